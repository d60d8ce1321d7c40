"""BLEU and chrF of written texts, 0 to 100, from counts of rows that add up; the values are those of sacrebleu.

BLEU (Papineni et al. 2002) is sacrebleu's default (Post 2018): words of the tokenizer 13a, of `zh` for Chinese, up to 4
neighbours, smoothing by exponential decay. The counts of a row are sacrebleu's own. sacrebleu takes a tenth of a second
to import and is imported where BLEU is counted.
chrF (Popović 2015) is sacrebleu's default chrF2: runs of 1 to 6 characters without white space, recall weighing twice.
sacrebleu does not give its counts away, so they are counted here; the tests compare.

Both are scores of a corpus. They are not the mean of the rows' scores: sums of counts are put into the formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.contracts import Counts
from tunesmith.metrics.counts import ratio

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

Language = Literal["en", "zh"]

_BLEU_ORDERS, _CHRF_ORDERS = range(1, 5), range(1, 7)
_BLEU_MATCHES = tuple(f"bleu_matches_{order}" for order in _BLEU_ORDERS)
_BLEU_WRITTEN = tuple(f"bleu_written_{order}" for order in _BLEU_ORDERS)
_CHRF_KEYS = tuple(
    (f"chrf_matches_{order}", f"chrf_written_{order}", f"chrf_reference_{order}") for order in _CHRF_ORDERS
)
_BETA_SQUARED = 4
"""chrF2: recall weighs beta = 2 times as much as precision."""


@lru_cache(maxsize=2)
def _counter(language: Language) -> BLEU:
    """What counts one row. Effective order changes no count; without it sacrebleu warns of scores of single rows."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=_tokenizer(language), effective_order=True)


def _tokenizer(language: Language) -> str:
    return "zh" if language == "zh" else "13a"


def bleu_counts(written: str, references: Sequence[str], language: Language) -> dict[str, float]:
    """Count one row for BLEU.

    Returns:
        Runs of n words that are right, runs that were written (n = 1 to 4), words written, words of the reference
        whose length is nearest.

    Example:
        >>> counts = bleu_counts("the cat sat", ["the cat has sat"], "en")
        >>> counts["bleu_matches_1"], counts["bleu_matches_2"], counts["written_words"], counts["reference_words"]
        (3.0, 1.0, 3.0, 4.0)
    """
    row = _counter(language).sentence_score(written, references)
    return {
        **dict(zip(_BLEU_MATCHES, map(float, row.counts), strict=True)),
        **dict(zip(_BLEU_WRITTEN, map(float, row.totals), strict=True)),
        "written_words": float(row.sys_len),
        "reference_words": float(row.ref_len),
    }


def bleu_score(counts: Counts) -> float:
    """Summed counts → BLEU, 0 to 100."""
    from sacrebleu.metrics.bleu import BLEU

    matches: list[Any] = [counts[key] for key in _BLEU_MATCHES]
    written: list[Any] = [counts[key] for key in _BLEU_WRITTEN]
    lengths = int(counts["written_words"]), int(counts["reference_words"])
    return float(BLEU.compute_bleu(matches, written, *lengths, smooth_method="exp").score)


def chrf_counts(written: str, references: Sequence[str]) -> dict[str, float]:
    """Count one row for chrF, against the reference with the best chrF.

    Returns:
        For n = 1 to 6: runs of n characters in both, in the written text, in the reference.

    Example:
        >>> counts = chrf_counts("ab c", ["abd"])
        >>> counts["chrf_matches_1"], counts["chrf_matches_2"], counts["chrf_written_2"], counts["chrf_written_4"]
        (2.0, 1.0, 2.0, 0.0)
    """
    plain = _without_blanks(written)
    return max((_against(plain, _without_blanks(reference)) for reference in references), key=chrf_score)


def _without_blanks(text: str) -> str:
    return "".join(text.split())


def _against(given: str, right: str) -> dict[str, float]:
    """Counts of all lengths; as in sacrebleu, runs longer than the reference count nowhere."""
    found: dict[str, float] = {}
    for order, ((matches, written, reference), runs) in enumerate(zip(_CHRF_KEYS, _runs(given + right), strict=True)):
        ours, theirs = runs[: max(0, len(given) - order)], runs[len(given) :]
        kinds = int(runs.max(initial=-1)) + 1
        both = np.minimum(np.bincount(ours, minlength=kinds), np.bincount(theirs, minlength=kinds))
        found[matches] = float(both.sum())
        found[written] = float(len(ours) if len(theirs) else 0)
        found[reference] = float(len(theirs))
    return found


def _runs(text: str) -> Iterator[NDArray[np.int64]]:
    """For n = 1 to 6, a number for the run of n characters that begins at each place: equal runs, equal numbers.

    A run is the run before, one character longer, so its number comes from two numbers. On long texts this takes a
    third of the time that a dictionary of strings does.
    """
    letters = runs = _renumber(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32))
    yield runs
    for order in _CHRF_ORDERS[1:]:
        runs = _renumber(runs[:-1] * (len(text) + 1) + letters[order - 1 :])
        yield runs


def _renumber(values: NDArray[Any]) -> NDArray[np.int64]:
    """0, 1, 2 … in place of the values, so that they never get large."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64, copy=False)


def chrf_score(counts: Counts) -> float:
    """Summed counts → chrF2, 0 to 100: F of the mean precision and the mean recall of the lengths both sides have."""
    rows = [tuple(counts[key] for key in keys) for keys in _CHRF_KEYS]
    present = [(matches, written, reference) for matches, written, reference in rows if written and reference]
    precision = _mean(matches / written for matches, written, _ in present)
    recall = _mean(matches / reference for matches, _, reference in present)
    return 100 * ratio((1 + _BETA_SQUARED) * precision * recall, _BETA_SQUARED * precision + recall)


def _mean(shares: Iterable[float]) -> float:
    found = list(shares)
    return ratio(sum(found), len(found))


def translation_signature(language: Language, references: int | None = 1) -> str:
    """sacrebleu's signatures of what is measured, to be printed beside published scores.

    Args:
        language: which tokenizer BLEU counts with.
        references: right texts of each row; None where rows have different numbers of them.

    Example:
        >>> translation_signature("zh").rpartition("|version:")[0].partition("; ")[2]
        'chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no'
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    blank: list[list[Any]] = [["", ""]] * references if references else [["", ""], ["", None]]
    known: Mapping[str, Any] = {
        "BLEU": BLEU(tokenize=_tokenizer(language), references=blank),
        "chrF2": CHRF(references=blank),
    }
    return "; ".join(f"{name}|{metric.get_signature()}" for name, metric in known.items())
