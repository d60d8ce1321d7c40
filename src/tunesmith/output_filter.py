"""A filter on what a model writes: patterns, a classifier, or both; what they catch is never shown.

A filter is a YAML file:

    patterns:                      # regular expressions, searched in the whole answer so far
      - '(?i)\\bidiot\\b'
    classifier: runs/abuse         # a finished text-classification model …
    labels: [abuse]                # … and those of its labels that must not be written
    threshold: 0.5                 # from which probability on
    replacement: I would rather not say that.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from tunesmith.config import Section
from tunesmith.errors import ConfigError
from tunesmith.settings import check_options, read_config_file

_ENDS = re.compile(r"[.!?。！？\n]")
"""Where a stretch of text ends that can be judged by itself."""


class FilterConfig(Section):
    """What a filter file holds."""

    patterns: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    """Regular expressions that must not match."""
    classifier: str | None = None
    """Folder of a text-classification model, as seen from the file."""
    labels: list[str] = Field(default_factory=list)
    """Labels of the classifier that must not be given."""
    threshold: float = Field(default=0.5, gt=0, le=1)
    """Probability of such a label from which an answer is held back."""
    replacement: str = "I would rather not say that."
    """What is shown instead."""


@dataclass(frozen=True)
class OutputFilter:
    """What must not be written.

    Attributes:
        patterns: that must not match.
        probability_of: how likely a text is of a label that must not be given; None without a classifier.
        threshold: from which probability on.
        replacement: what is shown instead.

    Example:
        >>> quiet = OutputFilter((re.compile("(?i)idiot"),), replacement="…")
        >>> quiet.fault("You Idiot!"), quiet.fault("You genius!")
        ("the pattern '(?i)idiot'", None)
        >>> "".join(filtered(iter(["Well. You ", "idiot. Go", " on."]), quiet))
        'Well. …'
    """

    patterns: tuple[re.Pattern[str], ...] = ()
    probability_of: Callable[[str], float] | None = None
    threshold: float = 0.5
    replacement: str = FilterConfig.model_fields["replacement"].default

    def fault(self, text: str) -> str | None:
        """Why a text must not be shown, in a few words; None where it may."""
        for pattern in self.patterns:
            if pattern.search(text):
                return f"the pattern {pattern.pattern!r}"
        if self.probability_of is not None and text.strip():
            probability = self.probability_of(text)
            if probability >= self.threshold:
                return f"the classifier ({probability:.2f})"
        return None


def read_filter(path: str | Path) -> OutputFilter:
    """Read a filter file and load its classifier.

    Raises:
        ConfigError: the file, a pattern or the classifier is no good.
        ModelError: the classifier's folder is none.
    """
    config = check_options(FilterConfig, read_config_file(path), str(path))
    if not config.patterns and config.classifier is None:
        raise ConfigError(f"{path} filters nothing", fix="give patterns:, or classifier: and labels:")
    judge = None if config.classifier is None else _load_judge(Path(path).parent / config.classifier, config.labels)
    patterns = tuple(_compile(pattern, str(path)) for pattern in config.patterns)
    return OutputFilter(patterns, judge, config.threshold, config.replacement)


def _compile(pattern: str, path: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"{path}, patterns: {pattern!r} is no regular expression: {error}", fix="mend it; \\. is a plain point"
        ) from error


def _load_judge(folder: Path, labels: Sequence[str]) -> Callable[[str], float]:
    from tunesmith.artifact import read_artifact
    from tunesmith.predictor import Predictor

    predictor = Predictor(read_artifact(folder))
    known = predictor.artifact.labels.names
    unknown = [label for label in labels if label not in known]
    if predictor.task.name != "text-classification" or not labels or unknown:
        wrong = f"has no label {unknown[0]!r}" if unknown else "needs labels: that must not be given"
        raise ConfigError(
            f"the classifier {folder} {wrong}",
            fix=f"labels: of a text-classification model, here {', '.join(known[:20]) or 'none'}",
        )

    turn = threading.Lock()

    def probability_of(text: str) -> float:
        with turn:  # several texts may be written at the same time
            (found,) = predictor.predict([text])
        return float(sum(found.probabilities[label] for label in labels))

    return probability_of


class Sieve:
    """Holds back what is written until its sentence is whole, and the rest once something was caught.

    Args:
        output_filter: what must not be written.

    Attributes:
        caught: whether the replacement was shown; then nothing more is.
    """

    def __init__(self, output_filter: OutputFilter) -> None:
        self.caught = False
        self._filter = output_filter
        self._shown, self._held = "", ""

    def add(self, piece: str) -> str:
        """What may be shown now that this was written, too."""
        self._held += piece
        return self._let_through(max((match.end() for match in _ENDS.finditer(self._held)), default=0))

    def end(self) -> str:
        """What may be shown now that nothing more comes."""
        return self._let_through(len(self._held))

    def _let_through(self, end: int) -> str:
        if self.caught or not end:
            return ""
        whole, self._held = self._held[:end], self._held[end:]
        # the whole answer so far is looked at: what is spread over two sentences is found, too
        if self._filter.fault(self._shown + whole) is not None:
            self.caught = True
            return _blank_of(whole) + self._filter.replacement
        self._shown += whole
        return whole


def filtered(pieces: Iterable[str], output_filter: OutputFilter) -> Iterator[str]:
    """The pieces of an answer as far as they may be shown, sentence by sentence; then the replacement.

    Args:
        pieces: text as it is written; once something was caught, no more of it is asked for.
        output_filter: what must not be written.
    """
    sieve = Sieve(output_filter)
    for piece in pieces:
        if shown := sieve.add(piece):
            yield shown
        if sieve.caught:
            return
    if rest := sieve.end():
        yield rest


def show_whole(text: str, output_filter: OutputFilter) -> str:
    """A whole answer as far as it may be shown."""
    return "".join(filtered([text], output_filter))


def _blank_of(text: str) -> str:
    """The white space that a text begins with."""
    return text[: len(text) - len(text.lstrip())]


def harmful_share(answers: Sequence[str], output_filter: OutputFilter) -> dict[str, Any]:
    """The share of answers that a filter catches, with its 95 % interval (Wilson 1927).

    Args:
        answers: at least one.
        output_filter: says what is harmful.
    """
    from tunesmith.evaluation.intervals import wilson_interval

    hits = sum(output_filter.fault(answer) is not None for answer in answers)
    low, high = wilson_interval(hits, len(answers))
    return {"value": hits / len(answers), "low": low, "high": high, "n": len(answers)}
