"""Rows of tokens and tags, from .conll files or from lists in records, become rows of texts and spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from tunesmith.contracts import Column
from tunesmith.data.columns import SPANS_EXAMPLE, check_fields, no_spans
from tunesmith.data.options import GUESS_ROWS, RawChunk, ReadOptions, Record, Table, take_sample
from tunesmith.data.rejects import BadRow, Remark, display, shorten
from tunesmith.data.tagging import (
    Scheme,
    decode_tags,
    find_doubts,
    find_scheme,
    is_character_level,
    is_tag,
    join_tokens,
)
from tunesmith.data.token_columns import (
    TAGS,
    TOKENS,
    TaskFields,
    are_tags,
    as_list,
    find_fields,
    find_lists,
    without_lists,
)
from tunesmith.errors import DataError

JOINT_ROWS = 100
"""Rows that tell whether a source has a token for each character."""
LIST_FIX = "write a list of texts, one a token"
TAG_FIX = "write O, or B- or I- and the type (E-, S-, L-, U- and M-, too); data.columns.tags=N names another column"


def prepare(
    table: Table, columns: Sequence[Column], options: ReadOptions
) -> tuple[Table, Sequence[Column], ReadOptions]:
    """Make texts and spans of tagged tokens, where a source of a task that wants spans holds them.

    The first 1,000 rows tell where tokens and tags stand, whether there is a token for each character, and the
    scheme of the tags.

    Args:
        table: the source.
        columns: the task's columns.
        options: `mapping` may name the columns of `tokens` and `tags`.

    Returns:
        The source, and the columns and options that are left to look for in it.

    Raises:
        DataError: it is CSV and labels are wanted, has tokens without tags, or lacks a column that was named.
    """
    if table.has_header:
        return table, *_take_texts(table.name, columns, options)
    check_fields(options.mapping, [*(column.name for column in columns), TOKENS, TAGS])
    head = take_sample(table.chunks)
    sample = [record for chunk in head for record in chunk.records][:GUESS_ROWS]
    names = table.columns if table.columns is not None else list(dict.fromkeys(chain.from_iterable(sample)))
    table = replace(table, columns=names if sample else table.columns, chunks=chain(head, table.chunks))
    fields = find_fields(columns)
    tokens, tags = find_lists(table, sample, fields, options)
    if tokens is None:
        return table, *without_lists(names, sample, columns, options)
    if tags is not None and not options.labels_required and not are_tags(tags, sample):
        tags = None  # a last column of another kind, such as parts of speech, is no reason to refuse to predict
    if tags is None and options.labels_required:
        raise _no_tags(table, fields, names)
    return _rebuild(table, _make_reader(table, tokens, tags, fields, options, sample), options), columns, options


def _take_texts(name: str, columns: Sequence[Column], options: ReadOptions) -> tuple[Sequence[Column], ReadOptions]:
    """Of a CSV its text is read, for predicting; nothing else that these tasks take fits into a cell."""
    if options.labels_required:
        message = f"{display(name)} is a table of plain cells, which cannot hold spans"
        raise DataError(message, fix=f"give a .conll file, or JSON lines such as {SPANS_EXAMPLE}")
    text = find_fields(columns).text
    named = {field: name for field, name in options.mapping.items() if field == text.name}
    return [text], replace(options, mapping=named)


def _no_tags(table: Table, fields: TaskFields, names: Sequence[str]) -> DataError:
    if not table.token_lines:
        return no_spans(fields.spans, names, table.name)
    message = f"{display(table.name)} has one column, tokens without tags"
    return DataError(message, fix="write a tag behind each token, such as B-PER, and O where there is no entity")


def _make_reader(
    table: Table, tokens: str, tags: str | None, fields: TaskFields, options: ReadOptions, sample: Sequence[Record]
) -> TokenReader:
    given = [as_list(record.get(tokens)) or [] for record in sample[:JOINT_ROWS]]
    texts = [[token for token in sentence if isinstance(token, str)] for sentence in given]
    tagged = [as_list(record.get(tags)) or [] for record in sample] if tags else []
    return TokenReader(
        source=table.name,
        tokens=tokens,
        tags=tags,
        fields=fields,
        token_lines=table.token_lines,
        labels_required=options.labels_required,
        without_blanks=is_character_level(texts),
        scheme=find_scheme([sentence for sentence in tagged if all(map(is_tag, sentence))]),
    )


def _rebuild(table: Table, reader: TokenReader, options: ReadOptions) -> Table:
    """The source with texts and spans beside its own columns."""
    origin = {TOKENS: reader.tokens, TAGS: reader.tags}
    if table.token_lines:
        places = {TOKENS: "first", TAGS: "last"}
        origin = {key: options.mapping.get(key, places[key]) for key in origin if origin[key]}
    columns = list(dict.fromkeys([*(table.columns or []), *reader.made]))
    chunks = map(reader.convert, table.chunks)
    made_from = {key: name for key, name in origin.items() if name}
    return replace(table, columns=columns, chunks=chunks, made_from=made_from)


@dataclass(frozen=True)
class TokenReader:
    """Makes texts and spans of the tokens and tags of one source.

    Attributes:
        source: its name.
        tokens: column of the tokens.
        tags: column of the tags, if there is one.
        fields: what is made.
        token_lines: each token has a line of its own.
        labels_required: a row without tags is bad.
        without_blanks: the tokens are characters.
        scheme: of the tags.
    """

    source: str
    tokens: str
    tags: str | None
    fields: TaskFields
    token_lines: bool
    labels_required: bool
    without_blanks: bool
    scheme: Scheme

    @property
    def made(self) -> list[str]:
        """The fields that are made of tokens, and of tags where there are any."""
        columns = (self.fields.text, self.fields.words, self.fields.spans if self.tags else None)
        return [column.name for column in columns if column]

    def convert(self, chunk: RawChunk) -> RawChunk:
        """Put the fields beside the records, and into those that have no column of their name."""
        records: list[Record] = []
        fields: list[Record] = []
        lines, faults, remarks = list[int](), list(chunk.faults), list(chunk.remarks)
        for record, line in zip(chunk.records, chunk.lines, strict=True):
            try:
                made, found = self._make(record, line)
            except _Fault as fault:
                faults.append(BadRow(self.source, line, fault.field, shorten(fault.got), fault.problem, fault.fix))
                continue
            records.append({**record, **made, **record})  # columns of the user's own win, and stay in their order
            fields.append(made)
            lines.append(line)
            remarks += found
        return RawChunk(records, lines, faults, remarks, fields)

    def _make(self, record: Record, line: int) -> tuple[Record, list[Remark]]:
        """Fields of a record, and what is doubtful about it.

        Raises:
            _Fault: its tokens or tags cannot be used.
        """
        tokens = record[self.tokens] = _check_tokens(record.get(self.tokens))
        tags = self._check_tags(record, tokens)
        text, bounds = join_tokens(tokens, self.without_blanks)
        made: Record = {self.fields.text.name: text}
        if self.fields.words:
            made[self.fields.words.name] = bounds
        if tags is None:
            return made, []
        try:
            entities = decode_tags(tags)
        except (ValueError, AttributeError, TypeError):
            raise self._explain(tags, line) from None
        made[self.fields.spans.name] = [
            {"start": bounds[first][0], "end": bounds[behind - 1][1], "label": kind} for first, behind, kind in entities
        ]
        return made, self._doubt(tokens, tags, entities, line) if entities else []

    def _check_tags(self, record: Record, tokens: Sequence[str]) -> list[Any] | None:
        given = record.get(self.tags) if self.tags else None
        tags = as_list(given)
        if not self.labels_required and (given is None or (tags and all(tag is None for tag in tags))):
            return None
        if tags is None:
            if given is None:
                raise _Fault(TAGS, given, "the tags are missing", "give every token a tag, O where there is no entity")
            raise _Fault(TAGS, given, "is no list", LIST_FIX)
        if len(tags) != len(tokens):
            problem = f"tokens and tags differ in number: {len(tokens):,} and {len(tags):,}"
            raise _Fault(TAGS, tags, problem, "give every token a tag, O where there is no entity")
        record[self.tags or TAGS] = tags
        return tags

    def _explain(self, tags: Sequence[Any], line: int) -> _Fault:
        index, tag = next((index, tag) for index, tag in enumerate(tags) if not is_tag(tag))
        place = f"in line {line + index:,}" if self.token_lines else f"of token {index + 1:,}"
        if isinstance(tag, (int, float)):
            fix = 'write names such as "B-PER"; a datasets object whose features are ClassLabels has them'
            return _Fault(TAGS, tag, "the tags are numbers, which name no entity", fix)
        if tag is None or tag == "":
            return _Fault(TAGS, tag, f"the tag {place} is missing", TAG_FIX)
        return _Fault(TAGS, tag, f"{shorten(tag)} {place} is no tag", TAG_FIX)

    def _doubt(
        self, tokens: Sequence[str], tags: Sequence[str], entities: Sequence[tuple[int, int, str]], line: int
    ) -> list[Remark]:
        remarks = []
        for doubt in find_doubts(tags, entities, self.scheme):
            index = doubt.index
            token = shorten(tokens[index]) if self.token_lines else f"token {index + 1:,}, {shorten(tokens[index])},"
            problem = f"{shorten(tags[index])} of {token} {doubt.problem}"
            place = line + index if self.token_lines else line
            remarks.append(Remark(self.source, place, "bad tag", problem, doubt.fix))
        return remarks


class _Fault(Exception):
    """Why a row cannot be used."""

    def __init__(self, field: str, got: Any, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.field, self.got, self.problem, self.fix = field, got, problem, fix


def _check_tokens(given: Any) -> list[str]:
    """The tokens of a row.

    Raises:
        _Fault: they are missing, no list, or no texts.
    """
    tokens = as_list(given)
    if tokens is None:
        problem = "the tokens are missing" if given is None else "is no list"
        raise _Fault(TOKENS, given, problem, LIST_FIX)
    if not tokens:
        raise _Fault(TOKENS, tokens, "the list of tokens is empty", "fill it in, or remove the row")
    if set(map(type, tokens)) != {str} or "" in tokens:
        number, token = next((n, t) for n, t in enumerate(tokens, start=1) if not isinstance(t, str) or not t)
        problem = f"token {number:,} is {'empty' if token == '' else 'no text'}"
        raise _Fault(TOKENS, token, problem, "write the token, or leave it out together with its tag")
    return tokens
