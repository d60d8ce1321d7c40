"""The public functions: fit, evaluate, predict, load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import abstaining, artifact, checking, data, fitting, trackers
from tunesmith.config import RunConfig, resolve_config
from tunesmith.events import Finished
from tunesmith.predictor import Predictor


@dataclass(frozen=True)
class Result:
    """What a fit gave.

    Attributes:
        folder: the finished model.
        metrics: what metrics.json holds.
        seconds: the run took.
    """

    folder: Path
    metrics: Mapping[str, Any]
    seconds: float

    @property
    def headline(self) -> float:
        """The score that decides."""
        return float(self.metrics["scores"][self.metrics["headline"]]["value"])


def fit(
    train: Any = None,
    *,
    dev: Any = None,
    out: str | Path | None = None,
    config: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
) -> Result:
    """Fine-tune a model and write it into a folder.

    Args:
        train: a path, a pandas DataFrame, a `datasets` object, or a list of dicts; default: data.train.
        dev: likewise; default: data.dev, or a part of train.
        out: the folder; default: runs/<task>-<hash of the run>, so that the same call goes on.
        config: nested settings, such as {"train": {"epochs": 3}}.
        settings: "section.key=value" strings laid over `config`.

    Raises:
        TunesmithError: see `tunesmith.errors`.

    Example:
        >>> result = fit("reviews.csv", out="runs/reviews", settings=["train.epochs=3"])  # doctest: +SKIP
    """
    named = {key: str(source) for key, source in (("train", train), ("dev", dev)) if isinstance(source, (str, Path))}
    layers = [config or {}, {"data": named}]
    if out is not None:
        layers.append({"output": {"folder": str(out)}})
    resolved = resolve_config(*layers, settings=settings)
    sources = [None if isinstance(source, (str, Path)) else source for source in (train, dev)]
    for event in fit_events(resolved, *sources, in_one_go=True):
        if isinstance(event, Finished):
            return Result(event.folder, event.metrics, event.seconds)
    raise RuntimeError("a run ended without its last event")


def fit_events(
    config: RunConfig, train: Any = None, dev: Any = None, *, in_one_go: bool = False
) -> Iterator[fitting.Event]:
    """Fine-tune as `fit` does, yielding what happens; the trackers of `output.trackers` are written to.

    Args:
        config: everything the run depends on.
        train: a source in place of data.train.
        dev: a source in place of data.dev.
        in_one_go: you go through all events at once, so that Ctrl-C between two of them also saves and stops;
            otherwise it does so while something is computed.

    Raises:
        TunesmithError: see `tunesmith.errors`.
    """
    return trackers.track(fitting.run(config, train, dev, in_one_go=in_one_go), config)


def load(folder: str | Path) -> Predictor:
    """Load a finished folder.

    Raises:
        ModelError: it is missing, unfinished or damaged.
    """
    return Predictor(artifact.read_artifact(folder))


def evaluate(
    folder: str | Path,
    source: Any,
    *,
    options: data.ReadOptions | None = None,
    resamples: int = 1000,
    baselines: bool = True,
    abstain: abstaining.Wish | None = None,
) -> dict[str, Any]:
    """Score a finished model on labelled rows, beside its competitors where its training file is still there.

    Args:
        folder: the finished model.
        source: a labelled file, DataFrame or list of dicts.
        options: how it is read.
        resamples: bootstrap resamples behind each interval.
        baselines: let the competitors learn from the training file anew and answer these rows too.
        abstain: also say what it brings to withhold answers; as in `predict`.

    Returns:
        The object of metrics.json for these rows; "baselines_missing" says why there are none.
    """
    found = load(folder)
    return found.evaluate(source, options=options, resamples=resamples, baselines=baselines, abstain=abstain)


def predict(
    folder: str | Path,
    source: Any,
    *,
    options: data.ReadOptions | None = None,
    abstain: abstaining.Wish | None = None,
) -> Iterator[tuple[data.Chunk, list[Any]]]:
    """Answer a file chunk by chunk, with memory that does not grow with its length.

    Args:
        folder: the finished model.
        source: a path, "-" for standard input, or anything `fit` takes.
        options: how it is read; labels are not needed.
        abstain: mark answers that are not sure: "precision=0.95", "coverage=0.9" or a threshold such as 0.8.

    Yields:
        A chunk of rows (with the records as they stood in the file, and bad rows) and its predictions.
    """
    predictor = load(folder)
    threshold = None if abstain is None else predictor.abstention(abstain).threshold
    for chunk in predictor.stream(source, options):
        yield chunk, predictor.predict_rows(chunk.rows, threshold=threshold)


def check(
    *sources: Any, task: str | None = None, model: str | None = "minilm", options: data.ReadOptions | None = None
) -> dict[str, Any]:
    """Say what is in labelled data and what is wrong with it, before a model is trained on it.

    Args:
        sources: for each split a path, "-", DataFrame, `datasets` object or list of dicts, the training split first;
            or one mapping of names to them. Splits are named after their files.
        task: what the rows are for; default: told by what they hold.
        model: base model whose tokens are counted; None: none.
        options: how the sources are read. Bad rows are counted and never raise.

    Returns:
        The object that `tunesmith check --json` prints: "verdict", "findings" (gravest first), "splits" …

    Raises:
        DataError: a source cannot be read, or lacks a column.

    Example:
        >>> rows = [{"text": f"Parcel {n} came late.", "label": "bad"} for n in "abc"]
        >>> rows += [{"text": f"Parcel {n} came early.", "label": "Bad " if n == "f" else "good"} for n in "def"]
        >>> [found["kind"] for found in check(rows, model=None)["findings"]]
        ['rare_labels', 'label_variants']
    """
    given = sources[0] if len(sources) == 1 and isinstance(sources[0], Mapping) else sources
    return checking.check_sources(given, task=task, model=model, options=options)
