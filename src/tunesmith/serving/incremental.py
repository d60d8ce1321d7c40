"""Text that grows with each token: no half characters, no stop string, no space at its ends.

A token may be a part of a character, and the next one may end a stop string that others began. What may still change is
held back, so that the pieces put together are the whole answer, whichever way it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

BROKEN = "\ufffd"
"""What decoders write for bytes that are no character, or not one yet."""


class GrowingText:
    """The text of an answer as it is written.

    Args:
        decode: token ids to text.
        stops: the answer ends in front of the first of them that comes.
        loose_characters: how many at the end the next token may still change.

    Attributes:
        stopped: whether a stop string came; nothing is added after it.

    Example:
        >>> text = GrowingText(lambda ids: "".join(map(chr, ids)), ["!"])
        >>> [text.add(ord(letter)) for letter in " a b!c"], text.stopped
        (['', 'a', '', ' b', '', ''], True)
    """

    def __init__(
        self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = (), loose_characters: int = 0
    ) -> None:
        self.stopped = False
        self._decode = decode
        self._stops = stops
        self._loose = loose_characters
        self._ids: list[int] = []
        self._given = 0

    def add(self, token: int) -> str:
        """What is certain now and was not before; often nothing."""
        if self.stopped:
            return ""
        self._ids.append(token)
        text = self._read()
        held = 0 if self.stopped else max(self._loose, self._open_characters(text))
        return self._give(text[: max(0, len(text) - held)])

    def end(self) -> str:
        """The rest, when no more tokens come."""
        return "" if self.stopped else self._give(self._read())

    def _read(self) -> str:
        """All there is, cut in front of a stop string."""
        text = self._decode(self._ids).replace(BROKEN, "")
        places = [place for place in map(text.find, self._stops) if place >= 0]
        self.stopped = bool(places)
        return text[: min(places)] if places else text

    def _open_characters(self, text: str) -> int:
        """How many at the end may begin a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1)
        lengths = range(min(longest - 1, len(text)), 0, -1)
        return next((n for n in lengths if any(stop.startswith(text[-n:]) for stop in self._stops)), 0)

    def _give(self, text: str) -> str:
        text = text.strip()  # as whole answers are; what stands in the middle comes with the character behind it
        piece, self._given = text[self._given :], max(self._given, len(text))
        return piece
