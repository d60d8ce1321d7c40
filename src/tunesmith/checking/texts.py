"""One text at a time: what is broken in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

# What Windows-1252 shows for the bytes 80 to BF, which follow the first byte of every longer UTF-8 character.
_TAIL = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_READ_AS_LATIN = (
    f"[ÃÂ][{_TAIL}]",  # é, °, no-break space …
    f"â€[{_TAIL}]",  # quotes and dashes
    f"ðŸ[{_TAIL}]",  # emoji
    f"(?:[Ã-ß][{_TAIL}]){{2}}",  # two Cyrillic, Greek, Hebrew or Arabic letters
    f"(?:[ã-é][{_TAIL}]{{2}}){{2}}",  # two Chinese or Japanese characters
    "ï»¿",  # the byte order mark
)
_MOJIBAKE = re.compile("|".join((*_READ_AS_LATIN, "锟斤拷", "烫烫烫", "屯屯屯")))
# UTF-8 read as GBK: the commonest Chinese characters and marks become these.
_READ_AS_GBK = re.compile("[锛銆鐨鏄涓鍦浜鈥]")
_HTML = re.compile(
    r"</?(?:a|abbr|b|blockquote|br|center|code|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|script|section|small|span"
    r"|strong|style|sub|sup|table|tbody|td|th|thead|tr|u|ul)(?:\s+[\w:-]+\s*=[^<>]*)?\s*/?>"
    r"|&(?:[lg]t|amp|quot|apos|nbsp|hellip|mdash|ndash|[lr]dquo|[lr]squo|#\d{2,6}|#x[0-9a-f]{2,5});",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Without the joiners U+200C and U+200D, which emoji and several scripts need.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
_SUSPECT = re.compile(
    f"[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\ufffd<&ÃÂâðï锟烫屯\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e"
    "\u2066-\u2069锛銆鐨鏄涓鍦浜鈥]|"
    f"[Ã-ß][{_TAIL}]|[ã-é][{_TAIL}]{{2}}"
)


def _is_mojibake(text: str) -> bool:
    return _MOJIBAKE.search(text) is not None or (_READ_AS_GBK.search(text) is not None and _was_read_as_gbk(text))


def _was_read_as_gbk(text: str) -> bool:
    """Whether the text's GBK bytes are UTF-8 with far fewer characters: by chance, that hardly ever happens."""
    strange = max(re.findall(r"[^\x00-\x7f]+", text), key=len)
    try:
        data = strange.encode("gb18030")
    except UnicodeEncodeError:
        return False
    # The last byte of an odd number of them was lost when the text was misread.
    mended = data.decode("utf-8", "ignore")
    return len(strange) >= 3 and len(mended.encode("utf-8")) >= 0.8 * len(data)


FAULTS: Mapping[str, Callable[[str], object]] = {
    "broken_encoding": lambda text: "\ufffd" in text,
    "mojibake": _is_mojibake,
    "html": _HTML.search,
    "control_characters": _CONTROL.search,
    "invisible_characters": _INVISIBLE.search,
}
"""Kind of fault → whether a text has it."""


def find_faults(texts: Sequence[str]) -> dict[str, list[int]]:
    """Which of the texts are broken, by kind of fault.

    Example:
        >>> find_faults(["fine", "a<br>b", "cafÃ©", "浣犲ソ锛屼笘鐣�"])
        {'broken_encoding': [3], 'mojibake': [2, 3], 'html': [1]}
    """
    # One search over all of them is what most rows cost.
    if _SUSPECT.search("\n".join(texts)) is None:
        return {}
    suspect = [place for place, text in enumerate(texts) if _SUSPECT.search(text)]
    found = {kind: [place for place in suspect if has(texts[place])] for kind, has in FAULTS.items()}
    return {kind: places for kind, places in found.items() if places}
