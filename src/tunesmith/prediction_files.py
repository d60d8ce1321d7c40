"""A stream of rows answered and written chunk by chunk, bad rows set aside; `output_files` has the formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from pydantic import BaseModel

from tunesmith.data import BadRow, RowStream, bad_rows_error
from tunesmith.data.rejects import SHOWN_ROWS, display
from tunesmith.errors import DataError
from tunesmith.output_files import dump, open_output, open_writer


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        rows: answers written.
        rejected: rows that could not be used.
        examples: the first of these.
        rejects: the file that holds them, or None.
    """

    rows: int
    rejected: int
    examples: tuple[BadRow, ...]
    rejects: Path | None


def write_predictions(
    stream: RowStream,
    answer: Callable[[Sequence[Any]], Sequence[BaseModel]],
    target: str,
    stdout: BinaryIO,
    *,
    skip_bad: bool = False,
) -> Written:
    """Answer a stream of rows chunk by chunk and write them in their order; memory stays flat.

    Args:
        stream: the rows.
        answer: rows → their predictions.
        target: a path whose end says the format, or "-" for JSON lines on `stdout`.
        stdout: where "-" goes.
        skip_bad: count bad rows, and list them in `<target>.rejected.jsonl`, instead of stopping.

    Raises:
        DataError: a row cannot be used and `skip_bad` is off, or none can, or the disk is full; no file is
            left then.
    """
    rows, rejected, examples = 0, 0, list[BadRow]()
    rejects = None if target == "-" else Path(f"{target}.rejected.jsonl")
    with ExitStack() as stack:
        writer = stack.enter_context(open_writer(stream, target, stdout))
        aside: TextIO | None = None
        for chunk in stream:
            rows, rejected = rows + len(chunk.rows), rejected + len(chunk.rejected)
            examples += chunk.rejected[: SHOWN_ROWS - len(examples)]
            if chunk.rejected and not skip_bad:
                raise bad_rows_error(chunk.rejected, rows + rejected, stream.source)
            if chunk.rejected and rejects is not None:
                aside = aside or stack.enter_context(open_output(str(rejects), stdout))
                aside.writelines(dump(asdict(bad)) + "\n" for bad in chunk.rejected)
            writer.write(chunk.records, answer(chunk.rows), chunk.lines)
        if rejected and not rows:
            message = f"none of the {rejected:,} rows of {display(stream.source)} can be used"
            raise DataError("\n  ".join([message, *map(str, examples)]), fix="correct the file")
    return Written(rows, rejected, tuple(examples), rejects if aside is not None else None)
