"""report.html of a finished model: rebuilt from its own development rows, or made for a file of labelled rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from tunesmith import api, data, inference, reporting
from tunesmith.abstaining import Wish
from tunesmith.artifact import REPORT
from tunesmith.contracts import Encoded
from tunesmith.errors import UserError
from tunesmith.predictor import Predictor


@dataclass(frozen=True)
class Report:
    """A page that was written.

    Attributes:
        path: of the page.
        metrics: the scores that it shows.
        missing: why it shows no rows; "" where it does.
    """

    path: Path
    metrics: Mapping[str, Any]
    missing: str = ""


def report(
    folder: str | Path,
    source: Any = None,
    *,
    out: str | Path | None = None,
    language: str | None = None,
    with_texts: bool | None = None,
    options: data.ReadOptions | None = None,
    abstain: Wish | None = None,
    overwrite: bool = False,
) -> Report:
    """Write report.html for a finished model.

    Args:
        folder: the finished model.
        source: labelled rows, as `evaluate` takes them; None: the development rows of the run.
        out: the page; default: report.html in the folder, for a source report-<model>-<source>.html here.
        language: "en" or "zh", shown first; default: as the run was told.
        with_texts: show wrongly answered texts; default: as the run was told.
        options: how the source is read.
        abstain: also say what it brings to withhold answers, as in `evaluate`.
        overwrite: also replace a file that is no page of ours.

    Raises:
        UserError: the page would replace something else.
        TunesmithError: as `evaluate`.
    """
    path = Path(out) if out is not None else _default_path(Path(folder), source)
    reporting.check_target(path, overwrite=overwrite)
    predictor = api.load(folder)
    output = predictor.artifact.facts["config"]["output"]
    if source is None:
        judged, missing = _own_rows(predictor)
        metrics = predictor.artifact.metrics
    else:
        found = predictor.judge(source, options=options, abstain=abstain)
        metrics, missing = found.metrics, ""
        items = _encode(predictor, found.read.rows)
        judged = reporting.gather_rows(
            predictor.task, predictor.artifact.labels, (found.read.rows, found.predictions, found.golds), items
        )
        judged = replace(judged, groups=found.read.groups)
    material = reporting.collect(predictor.artifact, judged, metrics)
    texts = output.get("report") != "without_texts" if with_texts is None else with_texts
    page = reporting.render_report(material, language or output.get("language", "en"), with_texts=texts)
    reporting.write_report(path, page, overwrite=overwrite)
    return Report(path, metrics, missing)


def _default_path(folder: Path, source: Any) -> Path:
    if source is None:
        return folder / REPORT
    if not isinstance(source, (str, Path)) or str(source) == "-":
        raise UserError("the rows have no file name that the page could be named after", fix="give out, or --out FILE")
    return Path(f"report-{folder.absolute().name}-{PurePath(source).name.partition('.')[0]}.html")


def _own_rows(predictor: Predictor) -> tuple[reporting.JudgedRows | None, str]:
    """The development rows of the run, answered again; None and why where they are not to be had as they were."""
    task, labels = predictor.task, predictor.artifact.labels
    try:
        splits = predictor.read_splits()
    except UserError as error:
        return None, error.message
    golds = [task.gold(row, labels) for row in splits.dev]
    answers = (splits.dev, predictor.predict_rows(splits.dev), golds)
    judged = reporting.gather_rows(task, labels, answers, _encode(predictor, splits.dev))
    lengths = reporting.row_lengths(_encode(predictor, splits.train))
    return replace(judged, train_lengths_tokens=lengths, groups=splits.dev_groups), ""


def _encode(predictor: Predictor, rows: Any) -> list[Encoded]:
    """The parts of rows as the model reads them, without their labels."""
    task = predictor.task
    context = inference.make_context(predictor.model, predictor.artifact.labels)
    return task.encode(inference.without_labels(task, rows), context)
