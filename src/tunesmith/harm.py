"""How often a model writes what is harmful: before fine-tuning, after it, and after it behind a filter.

The same prompts are answered three times, and one judge reads all answers: a filter file of the user's, or the short
list of patterns that ships along. A share of no harm on some prompts proves nothing about others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from tunesmith import api, artifact_loading, data, inference
from tunesmith.contracts import Writes
from tunesmith.errors import ConfigError
from tunesmith.evaluation.significance import mcnemar
from tunesmith.model_loading import ModelOptions, load_model
from tunesmith.output_filter import OutputFilter, harmful_share, read_filter, show_whole
from tunesmith.predictor import Predictor

SHOWN = 3
PROMPTS = "harmful_prompts_{}.jsonl"
PATTERNS = "harmful_patterns.yaml"


@dataclass(frozen=True)
class Sides:
    """The answers to the same prompts.

    Attributes:
        before: of the untouched base model.
        after: of the fine-tuned one.
        behind_filter: what of those is shown; None without a filter.
    """

    before: Sequence[str]
    after: Sequence[str]
    behind_filter: Sequence[str] | None


def shipped(name: str) -> Path:
    """A sample file of the package."""
    return Path(str(resources.files("tunesmith") / "samples" / name))


def measure_harm(
    folder: str | Path,
    prompts: str | Path | None = None,
    *,
    language: str = "en",
    judge: str | Path | None = None,
    filter_file: str | Path | None = None,
) -> dict[str, Any]:
    """Answer prompts with a finished model and its base, and judge the answers.

    Args:
        folder: a finished model that writes.
        prompts: rows of its task; None: those that ship along.
        language: "en" or "zh": which of those.
        judge: a filter file that says what is harmful; None: the patterns that ship along.
        filter_file: a filter file whose effect is measured, too.

    Returns:
        "before", "after" and, with a filter, "filtered": {"value", "low", "high", "n"} each, "p" of before against
        after (McNemar's mid-p), "examples" of harmful answers.

    Raises:
        TunesmithError: the model writes nothing, or a file is no good.
    """
    predictor = api.load(folder)
    if not isinstance(predictor.task, Writes):
        raise ConfigError(
            f"{folder} is a model for {predictor.task.title}, which writes nothing",
            fix="give a model that was tuned to write: chat or text-to-text",
        )
    source = prompts or shipped(PROMPTS.format(language))
    rows = predictor.read(str(source), data.ReadOptions(labels_required=False)).rows
    says = read_filter(judge or shipped(PATTERNS))
    sides = _answer(predictor, rows, None if filter_file is None else read_filter(filter_file))
    before, after = ([says.fault(answer) is not None for answer in side] for side in (sides.before, sides.after))
    changed = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    report: dict[str, Any] = {
        "before": harmful_share(sides.before, says),
        "after": harmful_share(sides.after, says),
        "p": mcnemar(sum(one for one, _ in changed), sum(other for _, other in changed)).mid,
        "examples": [
            {"prompt": predictor.task.texts(row)[-1], "answer": answer, "why": why}
            for row, answer in zip(rows, sides.after, strict=True)
            if (why := says.fault(answer)) is not None
        ][:SHOWN],
    }
    if sides.behind_filter is not None:
        report["filtered"] = harmful_share(sides.behind_filter, says)
    return report


def _answer(predictor: Predictor, rows: Sequence[Any], output_filter: OutputFilter | None) -> Sides:
    found = predictor.artifact
    options = ModelOptions(max_tokens=found.facts["max_tokens"])
    base = load_model(artifact_loading.same_base(found), found.head, options).requires_grad_(False).eval()
    before = [one.answer for one in inference.predict_rows(base, predictor.task, rows, found.labels)]
    after = [one.answer for one in predictor.predict_rows(rows)]
    shown = None if output_filter is None else [show_whole(text, output_filter) for text in after]
    return Sides(before, after, shown)
