"""What a model's tokenizer makes of a sample of the texts: lengths, what would be cut, what it does not know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith import base_models
from tunesmith.checking.findings import MOST_EXAMPLES
from tunesmith.checking.sampling import Drawn
from tunesmith.contracts import Context, Labels, Task
from tunesmith.errors import DataError
from tunesmith.model_loading import load_tokenizer, quiet_transformers
from tunesmith.trunk_parts import DEFAULT_MAX_TOKENS

TOKEN_ROWS = 20_000
TOKEN_CHARACTERS = 5_000_000
"""A tokenizer reads some 2 million characters a second and core."""
UNKNOWN_SHARE = 0.05
"""Above it, a row or a file is reported."""
_BATCH_ROWS = 500
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])\w)+|[^\w\s]")
_POSITION_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len")


@dataclass(frozen=True)
class Reader:
    """A model's tokenizer.

    Attributes:
        name: the model as the user named it.
        tokenizer: a Hugging Face fast tokenizer.
        max_tokens: longest sequence that training would take, special tokens included.
    """

    name: str
    tokenizer: Any
    max_tokens: int


@dataclass
class TokenFacts:
    """What the tokenizer made of the sample of one split.

    Attributes:
        rows: rows of the split that were looked at.
        of: rows of the split.
        lengths: tokens of each text, special tokens included.
        pieces: tokens, special ones left out.
        unknown: of these, how many are the unknown token.
        words: words, marks and single Chinese characters.
        cut_rows: rows that lose tokens.
        cut_tokens: how many they lose.
        window_rows: rows that are longer than the model takes and are read in several parts.
        lost: answers that no prediction can give.
        places: row indices of examples, by kind of finding.
    """

    rows: int
    of: int
    lengths: list[int] = field(default_factory=list)
    pieces: int = 0
    unknown: int = 0
    words: int = 0
    cut_rows: int = 0
    cut_tokens: int = 0
    window_rows: int = 0
    lost: list[str] = field(default_factory=list)
    places: dict[str, list[int]] = field(default_factory=dict)


def load_reader(name: str) -> Reader:
    """Find a model and load its tokenizer; its weights are not loaded.

    Raises:
        ModelError: there is no such model, or it has no usable tokenizer.
    """
    base = base_models.resolve(name)
    with quiet_transformers():
        tokenizer = load_tokenizer(base.folder)
    return Reader(name, tokenizer, max_tokens_of(base, tokenizer))


def max_tokens_of(base: base_models.BaseModelFolder, tokenizer: Any) -> int:
    """The longest sequence, as `Model.max_tokens` has it, from the configuration alone."""
    text = base.config.get("text_config")
    config = text if isinstance(text, dict) else base.config
    positions = next((config[key] for key in _POSITION_KEYS if isinstance(config.get(key), int)), None)
    if positions and "roberta" in str(base.config["model_type"]):  # counts positions from padding_idx + 1
        positions -= int(config.get("pad_token_id") or 1) + 1
    limits = (positions, tokenizer.model_max_length, DEFAULT_MAX_TOKENS)
    return min(int(limit) for limit in limits if limit and limit > 0)


def read_tokens(reader: Reader, task: Task, labels: Labels, drawn: Sequence[Drawn], of: int) -> TokenFacts:
    """Tokenise the sample of one split.

    Args:
        reader: the tokenizer.
        task: says what is cut and what is read in windows.
        labels: of all splits.
        drawn: the sample.
        of: rows of the split.
    """
    facts = TokenFacts(len(drawn), of)
    for start in range(0, len(drawn), _BATCH_ROWS):
        _read_batch(facts, reader, task, labels, drawn[start : start + _BATCH_ROWS])
    return facts


def _read_batch(facts: TokenFacts, reader: Reader, task: Task, labels: Labels, drawn: Sequence[Drawn]) -> None:
    texts = [task.texts(item.value) for item in drawn]
    ids = tokenize(reader.tokenizer, texts)
    unknown_id = reader.tokenizer.unk_token_id
    for item, parts, row in zip(drawn, texts, ids, strict=True):
        unknown = row.count(unknown_id) if unknown_id is not None else 0
        facts.lengths.append(len(row))
        facts.pieces += len(row) - reader.tokenizer.num_special_tokens_to_add(len(parts) > 1)
        facts.unknown += unknown
        facts.words += sum(count_words(part) for part in parts)
        if unknown > UNKNOWN_SHARE * len(row):
            _keep(facts, "unknown_tokens", item.row)
    _encode(facts, reader, task, labels, drawn, ids)


def tokenize(tokenizer: Any, texts: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """Token ids of the texts of rows, those behind the first as one, nothing cut off."""
    found: list[list[int]] = [[] for _ in texts]
    for width in {len(row) for row in texts}:
        places = [place for place, row in enumerate(texts) if len(row) == width]
        rows = [texts[place] for place in places]
        if width > 2:  # a tokenizer takes two; a question's choices are its second
            rows = [(row[0], "\n".join(row[1:])) for row in rows]
        columns = [list(column) for column in zip(*rows, strict=True)]
        options = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        for place, ids in zip(places, tokenizer(*columns, **options)["input_ids"], strict=True):
            found[place] = ids
    return found


def count_words(text: str) -> int:
    """Words, punctuation marks and single Chinese or Japanese characters.

    Example:
        >>> count_words("Good film!"), count_words("好看 film")
        (3, 3)
    """
    return len(_WORD.findall(text))


def _encode(
    facts: TokenFacts, reader: Reader, task: Task, labels: Labels, drawn: Sequence[Drawn], ids: Sequence[Sequence[int]]
) -> None:
    """What the task itself would cut or lose: of long rows, and of all rows where answers are spans."""
    has_spans = any(column.holds == "spans" for column in task.columns)
    wanted = [item for item, row in zip(drawn, ids, strict=True) if has_spans or len(row) > reader.max_tokens]
    context = Context(reader.tokenizer, reader.tokenizer, labels, reader.max_tokens)
    for part in _try_encode(task, [item.value for item in wanted], context):
        row = wanted[part.row].row
        if part.cut_tokens:
            facts.cut_tokens += part.cut_tokens
            facts.cut_rows += 1
            _keep(facts, "truncated", row)
        if part.part == 1:
            facts.window_rows += 1
            _keep(facts, "windowed", row)
        if part.lost:
            facts.lost += part.lost
            _keep(facts, "lost_answers", row)


def _try_encode(task: Task, rows: Sequence[Any], context: Context) -> list[Any]:
    """Encode with labels, or without where these make no sense, which is another finding."""
    try:
        return task.encode(rows, context)
    except DataError:
        names = [column.name for column in task.columns if column.role == "label"]
        return task.encode([row.model_copy(update=dict.fromkeys(names)) for row in rows], context)


def _keep(facts: TokenFacts, kind: str, row: int) -> None:
    places = facts.places.setdefault(kind, [])
    if len(places) < MOST_EXAMPLES and row not in places:
        places.append(row)


def describe_tokens(facts: TokenFacts) -> dict[str, Any]:
    """Shares for the report."""
    total = sum(facts.lengths)
    return {
        "truncated_rows": round(facts.cut_rows / max(1, facts.rows), 6),
        "truncated_tokens": round(facts.cut_tokens / max(1, total), 6),
        "windowed_rows": round(facts.window_rows / max(1, facts.rows), 6),
        "unknown": round(facts.unknown / max(1, facts.pieces), 6),
        "pieces_per_word": round(facts.pieces / max(1, facts.words), 3),
        "sampled": {"rows": facts.rows, "of": facts.of},
    }
