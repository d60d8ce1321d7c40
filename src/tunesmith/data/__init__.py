"""Reading labelled texts: any source to validated rows, bad rows named, splits and fingerprints."""

from tunesmith.data.columns import ColumnMap, resolve_columns
from tunesmith.data.options import Format, ReadOptions
from tunesmith.data.origins import ORIGIN, ORIGINAL, WAY, Origins
from tunesmith.data.rejects import BadRow, Remark, bad_rows_error, write_rejected
from tunesmith.data.rows import Chunk, Rows, RowStream, fingerprint, read_rows, stream_rows
from tunesmith.data.splits import split_rows

__all__ = [
    "ORIGIN",
    "ORIGINAL",
    "WAY",
    "BadRow",
    "Chunk",
    "ColumnMap",
    "Format",
    "Origins",
    "ReadOptions",
    "Remark",
    "RowStream",
    "Rows",
    "bad_rows_error",
    "fingerprint",
    "read_rows",
    "resolve_columns",
    "split_rows",
    "stream_rows",
    "write_rejected",
]
