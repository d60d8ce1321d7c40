"""Scores of written texts: BLEU, chrF, ROUGE, exact match, length.

| score | range | what it is |
| --- | --- | --- |
| bleu, chrf | 0 to 100 | those of the corpus, as sacrebleu computes them; the scale is that of all published figures |
| rouge_1, rouge_2, rouge_l | 0 to 1 | mean F1 of the rows |
| exact_match | 0 to 1 | share of rows that equal a right text, white space aside |
| length_ratio | 0 and more | written words / right words, as BLEU counts them (signs too); 1 is as long as wanted |

With several right texts BLEU counts words of any of them and takes the nearest length, as its authors define it; of the
others the best right text counts. No right text at all is the same as an empty one.
Nothing written against nothing wanted is an exact match, and 0 elsewhere, as there is nothing to count. Signs count in
BLEU and chrF, not in ROUGE. BLEU of fewer than four words in all is 0: it has no run of four.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.contracts import Counts
from tunesmith.metrics.counts import ratio
from tunesmith.metrics.rouge import rouge_scores
from tunesmith.metrics.translation import Language, bleu_counts, bleu_score, chrf_counts, chrf_score

_MEANS = ("rouge_1", "rouge_2", "rouge_l", "exact_match")
_NOTHING = ("",)


def writing_counts(written: str, references: Sequence[str], language: Language) -> dict[str, float]:
    """Count one row.

    Args:
        written: the text to be judged.
        references: the right texts.
        language: which words BLEU counts: those of a language with blanks, or Chinese characters.

    Example:
        >>> counts = writing_counts("a dog  barked", ["The dog barked.", "a dog barked"], "en")
        >>> counts["exact_match"], counts["rouge_2"], counts["written_words"]
        (1.0, 1.0, 3.0)
    """
    wanted = references or _NOTHING
    return {
        "rows": 1.0,
        "exact_match": float(_is_equal(written, wanted)),
        **rouge_scores(written, wanted),
        **bleu_counts(written, wanted, language),
        **chrf_counts(written, wanted),
    }


def writing_scores(counts: Counts) -> dict[str, float]:
    """Summed counts → bleu, chrf, rouge_1, rouge_2, rouge_l, exact_match, length_ratio."""
    return {
        "bleu": bleu_score(counts),
        "chrf": chrf_score(counts),
        **{name: ratio(counts[name], counts["rows"]) for name in _MEANS},
        "length_ratio": ratio(counts["written_words"], counts["reference_words"]),
    }


def writing_error(written: str, references: Sequence[str]) -> float:
    """How far one text is from the nearest right one: what its chrF lacks, 0 (equal, white space aside) to 1.

    Example:
        >>> writing_error("a cat", ["a  cat", "cats"]), writing_error("", ["a cat"])
        (0.0, 1.0)
    """
    wanted = references or _NOTHING
    return 0.0 if _is_equal(written, wanted) else 1 - chrf_score(chrf_counts(written, wanted)) / 100


def _is_equal(written: str, references: Sequence[str]) -> bool:
    return any(written.split() == reference.split() for reference in references)
