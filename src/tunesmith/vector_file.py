"""Vectors as one NumPy array in a .npy file, row by row: how many there will be need not be known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy


class VectorFile:
    """Writes float32 rows behind a header that is written again when their number is known.

    NumPy leaves room in the header for the largest number of rows, so that its length stays.

    Args:
        stream: binary, empty, can be sought in.

    Example:
        >>> import io
        >>> stream = io.BytesIO()
        >>> file = VectorFile(stream)
        >>> file.add([[1.0, 2.0]])
        >>> file.add([[3.0, 4.0], [5.0, 6.0]])
        >>> file.finish()
        >>> np.load(io.BytesIO(stream.getvalue())).tolist()
        [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.rows = 0
        self.width = 0

    def add(self, vectors: Sequence[Any]) -> None:
        """Append vectors of one width each; raises ValueError where widths differ."""
        if not vectors:
            return
        block = np.array([np.asarray(vector) for vector in vectors], dtype="<f4")
        if not self.rows:
            self.width = block.shape[1]
            self._write_header()
        if block.shape[1] != self.width:
            raise ValueError(f"vectors of {block.shape[1]} numbers behind some of {self.width}")
        self.stream.write(block.tobytes())
        self.rows += len(block)

    def finish(self) -> None:
        """Say in the header how many rows there are."""
        self.stream.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        facts = {"descr": "<f4", "fortran_order": False, "shape": (self.rows, self.width)}
        npy.write_array_header_1_0(self.stream, facts)
