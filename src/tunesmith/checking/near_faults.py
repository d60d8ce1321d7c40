"""Findings about rows that are nearly the same, in one split or across two, from a sample of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunesmith.checking.findings import MOST_EXAMPLES, Finding, Place, Sampled, say_rows, say_share
from tunesmith.checking.near import SIMILARITY, find_near_twins
from tunesmith.checking.sampling import Drawn
from tunesmith.contracts import Task
from tunesmith.minhash import PIECE_BYTES
from tunesmith.text_keys import loose_key

ALIKE = f"{say_share(SIMILARITY)} or more of their {PIECE_BYTES}-letter pieces are the same"


def find_near_faults(
    task: Task, names: Sequence[str], samples: Sequence[Sequence[Drawn]], sizes: Sequence[int]
) -> list[Finding]:
    """Near duplicates and near leaks.

    Args:
        task: says what the texts of a row are.
        names: of the splits, the training split first.
        samples: rows of each split.
        sizes: rows of each split.
    """
    keys: dict[str, Place] = {}
    for index, sample in enumerate(samples):
        for drawn in sample:
            # Rows with equal keys are duplicates, which are found among all rows.
            keys.setdefault("\n".join(map(loose_key, task.texts(drawn.value))), Place(index, drawn.row))
    places = list(keys.values())
    twins = find_near_twins(list(keys), [place.split for place in places])
    pairs = [(places[row], places[twin]) for row, twin in twins]
    looked_at = [len(sample) for sample in samples]
    sampled = Sampled(sum(looked_at), sum(sizes)) if sum(looked_at) < sum(sizes) else None
    inside = [pair for pair in pairs if pair[0].split == pair[1].split]
    found = [_near_duplicates(inside, names, sum(looked_at), sampled)] if inside else []
    for later in range(1, len(names)):
        for earlier in range(later):
            across = [pair for pair in pairs if (pair[0].split, pair[1].split) == (later, earlier)]
            if across:
                found.append(_near_leaks(across, names, looked_at[later], sampled))
    return found


def _count(pairs: Sequence[tuple[Place, Place]], names: Sequence[str]) -> Mapping[str, int]:
    counts = {name: sum(pair[0].split == index for pair in pairs) for index, name in enumerate(names)}
    return {name: count for name, count in counts.items() if count}


def _near_duplicates(
    pairs: Sequence[tuple[Place, Place]], names: Sequence[str], rows: int, sampled: Sampled | None
) -> Finding:
    return Finding(
        "near_duplicates",
        "note",
        len(pairs),
        len(pairs) / rows,
        f"{say_rows(len(pairs))} {'is' if len(pairs) == 1 else 'are'} nearly the same as an earlier row of the same "
        f"split ({ALIKE})",
        "look at the examples: copies with small changes add little, and weigh double",
        tuple(pairs[:MOST_EXAMPLES]),
        splits=_count(pairs, names),
        sampled=sampled,
    )


def _near_leaks(
    pairs: Sequence[tuple[Place, Place]], names: Sequence[str], rows: int, sampled: Sampled | None
) -> Finding:
    later, earlier = names[pairs[0][0].split], names[pairs[0][1].split]
    return Finding(
        "near_leaks",
        "warning",
        len(pairs),
        len(pairs) / rows,
        f"{say_rows(len(pairs))} of {later} {'is' if len(pairs) == 1 else 'are'} nearly the same as a row of {earlier} "
        f"({ALIKE})",
        f"look at the examples: where they are copies, take them out of {earlier} or out of {later}",
        tuple(pairs[:MOST_EXAMPLES]),
        splits=_count(pairs, names),
        sampled=sampled,
    )
