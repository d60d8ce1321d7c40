"""The command `predict`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.commands.basics import Abstain, Guarded, Overwrite, Settings, SkipBad, read_options, task_options

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.data import RowStream
    from tunesmith.predictor import Predictor
    from tunesmith.prompting import ZeroShot

Answerer = Callable[[Sequence[Any]], Sequence[Any]]


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def predict(
        folder: Annotated[
            str | None, typer.Argument(metavar="DIR", help="The folder that fit wrote; not with --model.")
        ] = None,
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
        model: Annotated[
            str | None,
            typer.Option(metavar="NAME", help="A base model answers without training; needs --labels or --template."),
        ] = None,
        labels: Annotated[
            str | None, typer.Option(metavar="A,B,…", help="With --model: labels, or a .yaml file that describes them.")
        ] = None,
        template: Annotated[
            str | None, typer.Option(metavar="FILE", help="With --model: a template file, or a wording in quotes.")
        ] = None,
        shots: Annotated[
            str | None, typer.Option(metavar="FILE", help="With --model: a few labelled rows; nothing is trained.")
        ] = None,
    ) -> None:
        """Answer a file row by row, or a few texts.

        JSON lines get one more key, `prediction`; a table gets the columns `predicted_label` and so on. There, a
        text that a spreadsheet would run as a formula gets an apostrophe in front. With --abstain answers stay and
        carry `abstained`. With --model a base model answers that was not trained for it.
        """
        texts = _take_texts(folder, texts, model)
        _refuse_strangers(model, {"--labels": labels, "--template": template, "--shots": shots}, [abstain, relations])
        if bool(texts) == (source is not None):
            raise typer.BadParameter("give either texts or --in FILE")
        if relations is not None and abstain is not None:
            raise typer.BadParameter("--abstain does not go with --relations; each triple has its confidence")
        with guarded() as console:
            from tunesmith.output_files import check_target

            check_target(out or "-", overwrite=overwrite)
            options = read_options(setting, skip_bad=skip_bad, labels_required=False, lets_task=model is None)
            from tunesmith.console import working

            with working(console, "loading"):
                predictor, answer = _load(folder, model, task_options(setting), relations, (labels, template, shots))
            answer = answer or _answerer(predictor, abstain, console)
            if texts and out is None:
                _print_answers(predictor, texts, answer)
            else:
                rows = predictor.as_rows(texts) if texts else source
                _write_answers(predictor.stream(rows, options), answer, out or "-", options, console)


def _take_texts(folder: str | None, texts: list[str] | None, model: str | None) -> list[str] | None:
    """The texts; with a base model there is no folder, and what stands in its place is the first of them."""
    if model is None and folder is None:
        raise typer.BadParameter("give the folder of a finished model, or --model with a base model")
    if model is None or folder is None:
        return texts
    from tunesmith.artifact import FACTS

    if os.path.isfile(os.path.join(folder, FACTS)):  # a text may be longer than any name of a file
        raise typer.BadParameter(f"{folder} is a finished model; give it or --model, not both")
    return [folder, *(texts or [])]


def _refuse_strangers(model: str | None, asked: Mapping[str, str | None], finished: Sequence[str | None]) -> None:
    """Options that go with a base model only, or with a finished one only."""
    stranger = next((name for name, value in asked.items() if value is not None), None)
    if model is None and stranger is not None:
        raise typer.BadParameter(f"{stranger} goes with --model: a finished model knows its answers")
    if model is not None and any(value is not None for value in finished):
        raise typer.BadParameter("--abstain and --relations go with a finished model, not with --model")


def _load(
    folder: str | None,
    model: str | None,
    options: Mapping[str, Any],
    relations: str | None,
    asked: tuple[str | None, str | None, str | None],
) -> tuple[Predictor | ZeroShot, Answerer | None]:
    """What answers, and how where that is not its own way."""
    if model is not None:
        from tunesmith.prompting import zero_shot

        labels, template, shots = asked
        return zero_shot(model, labels, template=template, shots=shots), None
    from tunesmith import api

    assert folder is not None
    predictor = api.load(folder, options=options)
    return predictor, None if relations is None else _triples_answerer(predictor, relations)


def _answerer(predictor: Predictor | ZeroShot, abstain: str | None, console: Console) -> Answerer:
    """Rows → predictions, those marked that are less sure than was wished for; says what that means."""
    from functools import partial

    from tunesmith.abstaining import describe
    from tunesmith.console import show_notice
    from tunesmith.predictor import Predictor

    if not isinstance(predictor, Predictor):
        show_notice(console, predictor.title)
        return predictor.predict_rows
    if abstain is None:
        return predictor.predict_rows
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


def _print_answers(predictor: Predictor | ZeroShot, texts: Sequence[str], answer: Answerer) -> None:
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
