"""Scores from lists and from additive counts of rows; no torch."""

from tunesmith.metrics.classification import (
    classification_counts,
    classification_scores,
    confusion,
    matthews,
    per_class_scores,
)
from tunesmith.metrics.counts import (
    OF_ANY_ROWS,
    SHARES_OF_ROWS,
    SMALLER_IS_BETTER,
    ratio,
    row_mistakes,
    sum_counts,
)
from tunesmith.metrics.entities import entity_counts, entity_scores, entity_tables
from tunesmith.metrics.numbers import number_counts, number_scores, spearman
from tunesmith.metrics.p_values import ALPHA, format_p
from tunesmith.metrics.perplexity import perplexity_counts, perplexity_scores
from tunesmith.metrics.questions import (
    answer_f1,
    answer_words,
    is_exact_match,
    normalise_answer,
    question_counts,
    question_scores,
)
from tunesmith.metrics.ranking import ranking_counts, ranking_scores
from tunesmith.metrics.relations import relation_scores, relation_table, split_direction
from tunesmith.metrics.retrieval import Found, rank_candidates, retrieval_counts, retrieval_scores
from tunesmith.metrics.rouge import longest_common, rouge_scores, rouge_words
from tunesmith.metrics.tables import display_width, report_table
from tunesmith.metrics.translation import (
    bleu_counts,
    bleu_score,
    chrf_counts,
    chrf_score,
    translation_signature,
)
from tunesmith.metrics.writing import writing_counts, writing_error, writing_scores

__all__ = [
    "ALPHA",
    "OF_ANY_ROWS",
    "SHARES_OF_ROWS",
    "SMALLER_IS_BETTER",
    "Found",
    "answer_f1",
    "answer_words",
    "bleu_counts",
    "bleu_score",
    "chrf_counts",
    "chrf_score",
    "classification_counts",
    "classification_scores",
    "confusion",
    "display_width",
    "entity_counts",
    "entity_scores",
    "entity_tables",
    "format_p",
    "is_exact_match",
    "longest_common",
    "matthews",
    "normalise_answer",
    "number_counts",
    "number_scores",
    "per_class_scores",
    "perplexity_counts",
    "perplexity_scores",
    "question_counts",
    "question_scores",
    "rank_candidates",
    "ranking_counts",
    "ranking_scores",
    "ratio",
    "relation_scores",
    "relation_table",
    "report_table",
    "retrieval_counts",
    "retrieval_scores",
    "rouge_scores",
    "rouge_words",
    "row_mistakes",
    "spearman",
    "split_direction",
    "sum_counts",
    "translation_signature",
    "writing_counts",
    "writing_error",
    "writing_scores",
]
