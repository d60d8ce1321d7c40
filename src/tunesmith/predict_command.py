"""The command `predict`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.command_basics import Abstain, Folder, Guarded, Overwrite, Settings, SkipBad, read_options

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.data import RowStream
    from tunesmith.predictor import Predictor

Answerer = Callable[[Sequence[Any]], Sequence[Any]]


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def predict(
        folder: Folder,
        texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts for a quick trial.")] = None,
        source: Annotated[
            str | None, typer.Option("--in", metavar="FILE", help="Rows, or - for standard input.")
        ] = None,
        out: Annotated[
            str | None,
            typer.Option(metavar="FILE", help="Ends in .jsonl, .csv, .tsv or, of vectors, .npy; -: standard output."),
        ] = None,
        setting: Settings = None,
        skip_bad: SkipBad = False,
        abstain: Abstain = None,
        overwrite: Overwrite = False,
        relations: Annotated[
            str | None,
            typer.Option(metavar="DIR", help="A relation model: the answers are triples of the entities found."),
        ] = None,
    ) -> None:
        """Answer a file row by row, or a few texts.

        JSON lines get one more key, `prediction`; a table gets the columns `predicted_label` and so on. There, a
        text that a spreadsheet would run as a formula gets an apostrophe in front. With --abstain answers stay and
        carry `abstained`.
        """
        if bool(texts) == (source is not None):
            raise typer.BadParameter("give either texts or --in FILE")
        if relations is not None and abstain is not None:
            raise typer.BadParameter("--abstain does not go with --relations; each triple has its confidence")
        with guarded() as console:
            from tunesmith.output_files import check_target

            check_target(out or "-", overwrite=overwrite)
            options = read_options(setting, skip_bad=skip_bad, labels_required=False)
            from tunesmith.console import working

            with working(console, "loading"):
                from tunesmith import api

                predictor = api.load(folder)
                answer = _triples_answerer(predictor, relations) if relations is not None else None
            answer = answer or _answerer(predictor, abstain, console)
            if texts and out is None:
                _print_answers(predictor, texts, answer)
            else:
                rows = predictor.as_rows(texts) if texts else source
                _write_answers(predictor.stream(rows, options), answer, out or "-", options, console)


def _answerer(predictor: Predictor, abstain: str | None, console: Console) -> Answerer:
    """Rows → predictions, those marked that are less sure than was wished for; says what that means."""
    if abstain is None:
        return predictor.predict_rows
    from functools import partial

    from tunesmith.abstaining import describe
    from tunesmith.console import show_notice

    abstention = predictor.abstention(abstain)
    show_notice(console, describe(abstention))
    return partial(predictor.predict_rows, threshold=abstention.threshold)


def _triples_answerer(entities: Predictor, folder: str) -> Answerer:
    """Rows of the entity model → their triples."""
    from functools import partial

    from tunesmith import api, triples

    relations = api.load(folder)
    triples.check_models(entities, relations)
    return partial(triples.answer_rows, entities=entities, relations=relations)


def _print_answers(predictor: Predictor, texts: Sequence[str], answer: Answerer) -> None:
    from tunesmith.console import make_console, show_predictions
    from tunesmith.data import ReadOptions

    rows = predictor.read(predictor.as_rows(texts), ReadOptions(labels_required=False)).rows
    shown = [" ⏐ ".join(predictor.task.texts(row)) for row in rows]
    show_predictions(make_console(sys.stdout), shown, [prediction.model_dump() for prediction in answer(rows)])


def _write_answers(stream: RowStream, answer: Answerer, out: str, options: Any, console: Console) -> None:
    from tunesmith.console import show_written
    from tunesmith.prediction_files import write_predictions

    written = write_predictions(stream, answer, out, sys.stdout.buffer, skip_bad=options.skip_bad)
    show_written(console, out, written.rows, written.rejected, written.examples)
