"""The command `chat`: a conversation on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.commands.basics import Guarded

if TYPE_CHECKING:
    from tunesmith.output_filter import OutputFilter
    from tunesmith.predictor import Predictor

HELP = "/reset begins anew, /system TEXT tells the model how to be, /exit ends; Ctrl-C stops an answer"


def register(app: typer.Typer, guarded: Guarded) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
        guarded: turns errors into messages and exit codes.
    """

    @app.command()
    def chat(
        folder: Annotated[str, typer.Argument(metavar="DIR", help="A model that was fitted with --task chat.")],
        system: Annotated[str, typer.Option(help="What the model is told before the conversation.")] = "",
        setting: Annotated[
            list[str] | None,
            typer.Option(
                "--set", metavar="KEY=VALUE", help="How answers are written, such as sample=true or temperature=0.7."
            ),
        ] = None,
        filter_file: Annotated[
            str | None, typer.Option("--filter", metavar="FILE", help="Patterns or a classifier of what is not shown.")
        ] = None,
    ) -> None:
        """Talk with a model; from a file or a pipe each line is what the user says, and each answer is a line."""
        with guarded() as console:
            from tunesmith.console import working

            with working(console, "loading"):
                from tunesmith import api
                from tunesmith.output_filter import read_filter

                predictor = api.load(folder)
                output_filter = None if filter_file is None else read_filter(filter_file)
            conversation = Conversation(predictor, system, setting or [], output_filter)
            if sys.stdin.isatty():
                console.print(HELP, markup=False, highlight=False)
                _talk(conversation)
            else:
                _answer_lines(conversation)


class Conversation:
    """What was said so far.

    Args:
        predictor: a model that converses.
        system: what it is told before.
        settings: KEY=VALUE of how answers are written.
        output_filter: what is not shown; what was shown instead is what the conversation goes on from.

    Attributes:
        messages: the conversation, oldest first.
    """

    def __init__(
        self, predictor: Predictor, system: str, settings: list[str], output_filter: OutputFilter | None = None
    ) -> None:
        from tunesmith import chatting
        from tunesmith.errors import ConfigError
        from tunesmith.settings import resolve
        from tunesmith.tasks.decoding_options import DecodingOptions

        self._predictor, self._reply, self._filter = predictor, chatting.reply, output_filter
        chatting.read_conversation(predictor.model, predictor.task, [{"role": "user", "content": "?"}])
        names = DecodingOptions.model_fields
        fitted: dict[str, Any] = {name: getattr(predictor.task.config, name) for name in names}
        self._decoding = resolve(DecodingOptions, {**fitted, "beams": 1}, settings=settings).decoding()
        if self._decoding.beams > 1:
            raise ConfigError(
                "beams know their answer at the end only, so none can be shown as it grows", fix="leave beams out"
            )
        self._system = system
        self.messages: list[dict[str, str]] = []
        self.reset()

    def reset(self, system: str | None = None) -> None:
        """Forget all that was said; `system` replaces what the model is told before."""
        self._system = self._system if system is None else system
        self.messages = [{"role": "system", "content": self._system}] if self._system else []

    def answer(self, text: str) -> Iterator[str]:
        """The model's answer to what the user says, piece by piece; what was given of it is remembered.

        Raises:
            DataError: the text is longer than the model can read; nothing is remembered then.
        """
        asked = {"role": "user", "content": text}
        written = self._reply(self._predictor.model, self._predictor.task, [*self.messages, asked], self._decoding)
        if self._filter is not None:
            from tunesmith.output_filter import filtered

            written = filtered(written, self._filter)
        given: list[str] = []
        try:
            for piece in written:
                given.append(piece)
                yield piece
        finally:
            if given:  # an answer that says nothing cannot stand in a conversation
                self.messages += [asked, {"role": "assistant", "content": "".join(given)}]


def _talk(conversation: Conversation) -> None:
    """Ask on a terminal until /exit or Ctrl-D."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (arrow keys and a history for input())
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            continue
        if text == "/exit":
            return
        if text:
            _take(conversation, text)


def _take(conversation: Conversation, text: str) -> None:
    """Follow a command, or show the answer to a text."""
    from tunesmith.console import make_console, show_error
    from tunesmith.errors import UserError

    command, _, rest = text.partition(" ")
    if command == "/reset":
        conversation.reset()
    elif command == "/system":
        conversation.reset(rest.strip())
    elif command.startswith("/") and command[1:].isalpha():
        print(HELP)
    else:
        try:
            _show(conversation.answer(text))
        except UserError as error:
            show_error(make_console(), error)


def _show(pieces: Iterator[str]) -> None:
    from tunesmith.data.rejects import printable

    try:
        for piece in pieces:
            print("\n".join(map(printable, piece.split("\n"))), end="", flush=True)
    except KeyboardInterrupt:
        print(" …", end="")
    print()


def _answer_lines(conversation: Conversation) -> None:
    """Each line of standard input is what the user says next; each answer is one line."""
    for line in sys.stdin:
        text = line.strip()
        if text == "/exit":
            return
        if text == "/reset":
            conversation.reset()
        elif text.startswith("/system "):
            conversation.reset(text.removeprefix("/system ").strip())
        elif text:
            print(" ".join("".join(conversation.answer(text)).split()), flush=True)
