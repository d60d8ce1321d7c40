"""The command line: a thin shell over the Python functions.

Everything heavy is imported inside the commands, so that `tunesmith --help` answers at once. Results go to
standard output, what people read goes to standard error. Exit codes: 0 done, 1 a fault of ours, 2 the user's
input, 130 interrupted.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tunesmith import __version__, chat_command, new_command, pretrain_commands, serve_commands
from tunesmith.errors import ConfigError, Interrupted, TunesmithError

if TYPE_CHECKING:
    from rich.console import Console

    from tunesmith.api import Predictor
    from tunesmith.config import RunConfig
    from tunesmith.console import Reporter
    from tunesmith.data import RowStream

Answerer = Callable[[Sequence[Any]], Sequence[Any]]
EXIT_FAULT = 1
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""As the shell reports a program whose reader went away."""

app = typer.Typer(
    name="tunesmith",
    help="Fine-tune a language model on your labelled texts, measure it honestly, and use it.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as train.epochs=3; may be given often."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Set bad rows aside instead of stopping at them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Abstain = Annotated[
    str | None,
    typer.Option(
        metavar="WISH", help="Withhold unsure answers: precision=0.95, coverage=0.9, or a threshold such as 0.8."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also the tables: plan, competitors, classes.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="The folder that fit wrote.")]


def main() -> None:
    """Run the command line (the entry point of the package)."""
    try:
        app()
    except KeyboardInterrupt:  # before a command could take it
        sys.exit(EXIT_INTERRUPTED)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"tunesmith {__version__}")
        raise typer.Exit


@app.command()
def fit(
    file: Annotated[str | None, typer.Argument(metavar="DATA", help="Training file; the same as --train.")] = None,
    task: Annotated[str | None, typer.Option(help="What is learnt; default: told by the data.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model: a hub id, a folder, minilm or zh-classics.")] = None,
    train: Annotated[str | None, typer.Option(help="Training file, or - for standard input.")] = None,
    dev: Annotated[str | None, typer.Option(help="Development file; default: a part of the training file.")] = None,
    method: Annotated[str | None, typer.Option(help="How it is tuned, such as full or lora; default: full.")] = None,
    out: Annotated[str | None, typer.Option(help="The model's folder; default: runs/<task>-<hash>.")] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE", help="Settings as a YAML file.")] = None,
    recipe: Annotated[str | None, typer.Option(help="classic: AdamW 2e-5, batch 16, 5 epochs, 128 tokens.")] = None,
    setting: Settings = None,
    skip_bad: SkipBad = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another run in --out.")] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The closing lines only.")] = False,
) -> None:
    """Fine-tune a model; the same command again continues.

    `tunesmith fit data.csv` is enough: the rest is guessed and printed as a full command. A run that was
    stopped goes on where it was; one that had finished is left as it is.
    """
    flags = {
        "task": {"name": task},
        "model": {"name": model},
        "method": {"name": method},
        "data": {"train": _one_of(file, train), "dev": dev, "skip_bad": skip_bad or None},
        "output": {"folder": out, "overwrite": overwrite or None},
    }
    with _guarded() as console:
        resolved = _resolve(config, recipe, flags, setting or [])
        finished = _run(resolved, console, verbose=verbose, quiet=quiet)
        if as_json:
            state = {"folder": str(finished.folder), "already_complete": finished.already_complete}
            _print_json({**state, **finished.metrics})


def _one_of(file: str | None, train: str | None) -> str | None:
    if file is not None and train is not None:
        raise typer.BadParameter(f"training data came twice: {file} and --train {train}; give one of them")
    return file if train is None else train


def _resolve(config: str | None, recipe: str | None, flags: dict[str, Any], settings: Sequence[str]) -> RunConfig:
    """Settings from the least to the most telling: recipe, file, options, --set."""
    from tunesmith.config import CLASSIC_RECIPE, read_config_file, resolve_config

    if recipe not in (None, "classic"):
        raise ConfigError(f"unknown recipe {recipe!r}", fix="--recipe classic is the only one")
    given = {
        name: {key: value for key, value in section.items() if value is not None} for name, section in flags.items()
    }
    layers = [CLASSIC_RECIPE if recipe else {}, read_config_file(config) if config else {}, given]
    return resolve_config(*layers, settings=settings)


def _run(config: RunConfig, console: Console, *, verbose: bool, quiet: bool) -> Any:
    """Fine-tune, printing what happens; returns the last event."""
    from tunesmith.console import Reporter, working

    with working(console, "loading"):
        from tunesmith import api

    with Reporter(console, verbose=verbose, quiet=quiet) as reporter:
        try:
            for event in api.fit_events(config, in_one_go=True):
                reporter.show(event)
        except Interrupted as error:
            raise _with_command(error, reporter) from None
    return event


def _with_command(error: Interrupted, reporter: Reporter) -> Interrupted:
    """Name the folder as well, in full: the command may be given elsewhere."""
    command = reporter.plan.command if reporter.plan else "the same command"
    return Interrupted(error.message, fix=f"to continue: {command}")


@app.command()
def evaluate(
    folder: Folder,
    data: Annotated[str, typer.Option("--data", metavar="FILE", help="Labelled rows, or - for standard input.")],
    setting: Settings = None,
    skip_bad: SkipBad = False,
    abstain: Abstain = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Score a model on labelled rows, beside its competitors."""
    with _guarded() as console:
        from tunesmith.console import show_evaluation, show_next, working

        options = _read_options(setting, skip_bad=skip_bad, labels_required=True)
        with working(console, "scoring"):
            from tunesmith import api

            found = api.load(folder)
            metrics = found.evaluate(data, options=options, abstain=abstain)
        show_evaluation(console, metrics, found.artifact.metrics, verbose=verbose)
        if not verbose and data != "-":
            show_next(console, [shlex.join(["tunesmith", "report", folder, "--data", data])])
        if as_json:
            _print_json(metrics)


@app.command()
def report(
    folder: Folder,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="Labelled rows; default: the development rows of the run."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The page; default: DIR/report.html, with --data report-DIR-FILE.html."),
    ] = None,
    language: Annotated[str | None, typer.Option(help="en or zh: which is shown first.")] = None,
    without_texts: Annotated[bool, typer.Option("--without-texts", help="Show no text of a row.")] = False,
    setting: Settings = None,
    skip_bad: SkipBad = False,
    abstain: Abstain = None,
    overwrite: Overwrite = False,
) -> None:
    """Write how good a model is, where it is weak and how it was made, as one page that needs no network."""
    with _guarded() as console:
        from tunesmith.console import describe_gain, show_notice, working

        options = _read_options(setting, skip_bad=skip_bad, labels_required=True)
        with working(console, "scoring and writing"):
            from tunesmith.reports import report as write_report

            written = write_report(
                folder,
                data,
                out=out,
                language=language,
                with_texts=False if without_texts else None,
                options=options,
                abstain=abstain,
                overwrite=overwrite,
            )
        if written.missing:
            show_notice(console, f"the page shows no rows: {written.missing}")
        console.print(describe_gain(written.metrics), style="bold", soft_wrap=True)
        console.print(f"report {written.path}", soft_wrap=True)


@app.command()
def compare(
    systems: Annotated[
        list[str],
        typer.Argument(metavar="A B", help="Folders that fit wrote, or patterns in quotes; one may be a file."),
    ],
    data: Annotated[str, typer.Option("--data", metavar="FILE", help="Labelled rows, or - for standard input.")],
    metric: Annotated[str | None, typer.Option(help="The score that decides; default: the task's headline.")] = None,
    setting: Settings = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Say whether model B is better than A on labelled rows, how much, and which rows changed.

    One of the two may be a file that predict wrote as JSON lines. For several seeds of each configuration give
    patterns in quotes: then the interval covers seeds and rows.
    """
    if len(systems) != 2:
        raise typer.BadParameter(
            f"{len(systems)} systems came, wanted two, A and B; several runs of one are a pattern in quotes: 'runs/a-*'"
        )
    with _guarded() as console:
        from tunesmith.console import working

        options = _read_options(setting, skip_bad=skip_bad, labels_required=True)
        with working(console, "answering and comparing"):
            from tunesmith.comparing import compare as compare_systems

            report = compare_systems(systems[0], systems[1], data, metric=metric, options=options)
        from tunesmith.compare_report import show_comparison

        show_comparison(console, report)
        if as_json:
            _print_json(report)


@app.command()
def predict(
    folder: Folder,
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts for a quick trial.")] = None,
    source: Annotated[str | None, typer.Option("--in", metavar="FILE", help="Rows, or - for standard input.")] = None,
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
    with _guarded() as console:
        from tunesmith.prediction_files import check_target

        check_target(out or "-", overwrite=overwrite)
        options = _read_options(setting, skip_bad=skip_bad, labels_required=False)
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


@app.command()
def demo(
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="The model's folder; default: tunesmith-demo, tunesmith-demo-zh.")
    ] = None,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    model: Annotated[str | None, typer.Option(help="Base model; default: one of the language.")] = None,
) -> None:
    """Fine-tune on sample texts: before, after, five answers."""
    with _guarded() as console:
        from tunesmith.console import working

        with working(console, "loading"):
            from tunesmith.demo import run_demo

        run_demo(console, out, language=language, model=model)


@app.command()
def check(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="DATA", help="One file a split, the training file first; - is standard input."),
    ],
    task: Annotated[str | None, typer.Option(help="What the rows are for; default: told by what they hold.")] = None,
    model: Annotated[str, typer.Option(help="Base model whose tokens are counted, or none.")] = "minilm",
    setting: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in labelled files, and what is wrong with them, before training.

    Bad rows, labels spelt in two ways, duplicates, rows that stand in two splits, texts that would be cut, words
    that the model does not know … It is a report: the exit code is 0 whatever it says.
    """
    with _guarded() as console:
        from tunesmith.console import working

        options = _read_options(setting, skip_bad=True, labels_required=True)
        with working(console, "reading and comparing"):
            from tunesmith import api

            report = api.check(*sources, task=task, model=None if model == "none" else model, options=options)
        from tunesmith.check_report import show_check

        show_check(console, report)
        if as_json:
            _print_json(report)


def _read_options(settings: Sequence[str] | None, *, skip_bad: bool, labels_required: bool) -> Any:
    """How a file is read: the data.columns and data.format settings apply here, too."""
    from tunesmith.config import apply_settings, resolve_config
    from tunesmith.data import ReadOptions

    given = apply_settings({}, settings or [])
    foreign = [name for name in given if name != "data"] + [
        f"data.{key}" for key in given.get("data", {}) if key not in ("columns", "format")
    ]
    if foreign:
        raise ConfigError(f"--set {foreign[0]} has no effect here", fix="set data.columns.FIELD or data.format only")
    section = resolve_config(given).data
    return ReadOptions(
        mapping=section.columns, format=section.format, skip_bad=skip_bad, labels_required=labels_required
    )


def _print_json(content: Any) -> None:
    import json

    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


@contextmanager
def _guarded() -> Iterator[Console]:
    """Turn what goes wrong into a message and an exit code; only a fault of ours shows a traceback."""
    from tunesmith.console import make_console, show_error

    console = make_console()
    try:
        yield console
    except TunesmithError as error:
        show_error(console, error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        show_error(console, "interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        _leave_quietly()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        traceback.print_exc()
        show_error(
            console,
            f"{type(error).__name__}: a fault of Tunesmith, not of yours; please report it with the above",
        )
        raise typer.Exit(EXIT_FAULT) from None


def _leave_quietly() -> NoReturn:
    """The reader of standard output has gone: keep Python from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(EXIT_BROKEN_PIPE)


chat_command.register(app, _guarded)
new_command.register(app, _guarded)
pretrain_commands.register(app, _guarded)
serve_commands.register(app, _guarded)

if __name__ == "__main__":
    main()
