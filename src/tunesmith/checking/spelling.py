"""Label names that are probably the same label, spelt differently."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

RARE_SHARE = 0.2
"""A slip of the pen is at most so frequent as what was meant."""
LONG_CHARACTERS = 5
"""In shorter names one letter makes another word."""
PLURAL_CHARACTERS = 5
"""So that news are not taken for several new."""
MOST_NAMES = 5_000
"""Names that are compared for slips; more of them are hardly labels."""
PLACEHOLDERS = frozenset(
    {
        *(
            "n/a",
            "na",
            "n.a.",
            "#n/a",
            "nan",
            "null",
            "nil",
            "none",
            "unknown",
            "undefined",
            "not available",
            "no label",
        ),
        *("unlabeled", "unlabelled", "blank", "empty", "missing", "tbd", "todo", "tba", "xx", "xxx", "?", "??", "???"),
        *("-", "--", "---", "—", "/", ".", "...", "无", "未知", "空", "暂无", "待定", "不详", "未标注", "无标签"),
    }
)
_JOINTS = re.compile("[\\s_\\-‐‑‒–—/.·・\u00ad\u200b-\u200f\u2060\ufeff]+")


def find_variants(counts: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Groups of names that differ in case, blanks, width, joints, a plural s, or by one slip.

    Args:
        counts: how often each name stands there.

    Returns:
        Groups of two or more, the most frequent name first.

    Example:
        >>> find_variants({"Sport": 90, "sports": 4, "new-s": 3, "news": 50, "politcs": 1, "politics": 40})
        [('Sport', 'sports'), ('news', 'new-s'), ('politics', 'politcs')]
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        groups[spelling_key(name)].append(name)
    keys = {key: sum(counts[name] for name in names) for key, names in groups.items()}
    for slip, meant in find_slips(keys) if len(keys) <= MOST_NAMES else ():
        groups[meant] += groups.pop(slip)
    found = [tuple(sorted(names, key=lambda name: (-counts[name], name))) for names in groups.values()]
    several = [names for names in found if len(names) > 1]
    return sorted(several, key=lambda names: (-counts[names[0]], names))


def spelling_key(name: str) -> str:
    """What is left of a name without case, width, blanks, joints and a plural s; a number is itself.

    Example:
        >>> spelling_key("Ａuto_Parts"), spelling_key("1.0"), spelling_key("-1")
        ('autopart', '1', '-1')
    """
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    try:
        number = float(plain)
        return str(int(number)) if number.is_integer() else str(number)
    except (ValueError, OverflowError):
        pass
    joined = _JOINTS.sub("", plain) or plain
    is_plural = len(joined) >= PLURAL_CHARACTERS and joined.isascii() and joined[-2:] not in ("ss", "us", "is")
    return joined.removesuffix("s") if is_plural else joined


def find_slips(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs (rare key, frequent key) of long names that differ by one letter, or by two neighbours swapped.

    Found by what is left when one letter is taken out, so that not all pairs need be compared.

    Example:
        >>> find_slips({"positve": 1, "positive": 40, "class1": 1, "class2": 30})
        [('positve', 'positive')]
    """
    long = sorted(key for key in counts if len(key) >= LONG_CHARACTERS)
    buckets: dict[str, list[str]] = defaultdict(list)
    for key in long:
        for rest in {key, *_shortened(key)}:
            buckets[rest].append(key)
    found: dict[str, str] = {}
    for slip in sorted(long, key=lambda key: (counts[key], key)):
        near = {other for rest in (slip, *_shortened(slip)) for other in buckets[rest]} - {slip}
        meant = [other for other in near if counts[slip] <= RARE_SHARE * counts[other] and is_slip(slip, other)]
        if meant:
            found[slip] = max(meant, key=lambda other: (counts[other], other))
    return [(slip, _end(meant, found)) for slip, meant in found.items()]


def _end(key: str, found: Mapping[str, str]) -> str:
    """What was meant, where that is a slip itself; counts rise, so there is an end."""
    while key in found:
        key = found[key]
    return key


def _shortened(key: str) -> Iterator[str]:
    return (key[:place] + key[place + 1 :] for place in range(len(key)))


def is_slip(one: str, other: str) -> bool:
    """Whether one letter was left out, put in, changed or swapped with the next.

    A digit or another last letter is no slip: they number things.

    Example:
        >>> is_slip("sprot", "sport"), is_slip("sport", "spurt"), is_slip("level1", "level2"), is_slip("typea", "typeb")
        (True, True, False, False)
    """
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    first, second = one[start:], other[start:]
    if first[:1].isdigit() or second[:1].isdigit():
        return False
    if len(first) == len(second):
        swapped = first[1::-1] + first[2:]
        return len(first) > 1 and (first[1:] == second[1:] or swapped == second)
    longer, shorter = (first, second) if len(first) > len(second) else (second, first)
    return longer[1:] == shorter


def find_placeholders(names: Iterable[str]) -> list[str]:
    """Names that mean "no label".

    Example:
        >>> find_placeholders(["good", "N/A", "未知", "?"])
        ['N/A', '未知', '?']
    """
    return [name for name in names if unicodedata.normalize("NFKC", name).casefold().strip() in PLACEHOLDERS]


def say_variants(groups: Sequence[tuple[str, ...]], counts: Mapping[str, int], limit: int = 3) -> str:
    """The groups for a message.

    Example:
        >>> say_variants([("sport", "Sport")], {"sport": 9, "Sport": 1})
        "'sport' (9) and 'Sport' (1)"
    """
    shown = "; ".join(" and ".join(f"{name!r} ({counts[name]:,})" for name in group[:4]) for group in groups[:limit])
    return shown if len(groups) <= limit else f"{shown}; {len(groups) - limit:,} more"
