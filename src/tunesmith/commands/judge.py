"""The commands that judge: `evaluate`, `report` and `compare` a model, `check` labelled files."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from tunesmith.commands.basics import (
    Abstain,
    AsJson,
    Folder,
    Guarded,
    Overwrite,
    Settings,
    SkipBad,
    Verbose,
    print_json,
    read_options,
    task_options,
)


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the commands that judge a model to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

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
        with guarded() as console:
            from tunesmith.console import show_evaluation, show_next, working

            options = read_options(setting, skip_bad=skip_bad, labels_required=True, lets_task=True)
            with working(console, "scoring"):
                from tunesmith import api

                found = api.load(folder, options=task_options(setting))
                metrics = found.evaluate(data, options=options, abstain=abstain)
            show_evaluation(console, metrics, found.artifact.metrics, verbose=verbose)
            if not verbose and data != "-":
                show_next(console, [shlex.join(["tunesmith", "report", folder, "--data", data])])
            if as_json:
                print_json(metrics)

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
        with guarded() as console:
            from tunesmith.console import describe_gain, show_notice, working

            options = read_options(setting, skip_bad=skip_bad, labels_required=True)
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
        metric: Annotated[
            str | None, typer.Option(help="The score that decides; default: the task's headline.")
        ] = None,
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
                f"{len(systems)} systems came, wanted two, A and B; "
                "several runs of one are a pattern in quotes: 'runs/a-*'"
            )
        with guarded() as console:
            from tunesmith.console import working

            options = read_options(setting, skip_bad=skip_bad, labels_required=True)
            with working(console, "answering and comparing"):
                from tunesmith.comparing import compare as compare_systems

                report = compare_systems(systems[0], systems[1], data, metric=metric, options=options)
            from tunesmith.compare_report import show_comparison

            show_comparison(console, report)
            if as_json:
                print_json(report)


def register_check(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command that judges labelled files to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def check(
        sources: Annotated[
            list[str],
            typer.Argument(metavar="DATA", help="One file a split, the training file first; - is standard input."),
        ],
        task: Annotated[
            str | None, typer.Option(help="What the rows are for; default: told by what they hold.")
        ] = None,
        model: Annotated[str, typer.Option(help="Base model whose tokens are counted, or none.")] = "minilm",
        setting: Settings = None,
        as_json: AsJson = False,
    ) -> None:
        """Say what is in labelled files, and what is wrong with them, before training.

        Bad rows, labels spelt in two ways, duplicates, rows that stand in two splits, texts that would be cut, words
        that the model does not know … It is a report: the exit code is 0 whatever it says.
        """
        with guarded() as console:
            from tunesmith.console import working

            options = read_options(setting, skip_bad=True, labels_required=True)
            with working(console, "reading and comparing"):
                from tunesmith import api

                report = api.check(*sources, task=task, model=None if model == "none" else model, options=options)
            from tunesmith.check_report import show_check

            show_check(console, report)
            if as_json:
                print_json(report)
