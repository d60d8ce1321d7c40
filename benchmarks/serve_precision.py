"""How far the answers of a served model in bf16 are from those in fp32: the development rows of SST-2.

Run: python -m benchmarks.serve_precision --data DIR
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.serve_load import fit_model
from tunesmith.serving.hosting import load_hosted

ROWS_AT_ONCE, BATCH_TOKENS = 8, 256


def answer(folder: Path, precision: str, rows: list[dict[str, Any]]) -> list[Any]:
    """Answers of all rows, some at a time, as clients send them."""
    hosted = load_hosted([f"sst2={folder}"], precision)["sst2"]
    asked = [hosted.task.Row(text=row["text"]) for row in rows]
    starts = range(0, len(asked), ROWS_AT_ONCE)
    return [a for start in starts for a in hosted.answer(asked[start : start + ROWS_AT_ONCE], BATCH_TOKENS)]


def main() -> None:
    """Answer twice, compare, write results/serve_precision.json."""
    parser = common.benchmark_parser(__doc__ or "")
    parser.add_argument("--folder", type=Path, help="a finished model; default: one is fitted on SST-2")
    options: argparse.Namespace = parser.parse_args()
    rows = common.read_jsonl(common.data_file(options.data, "sst2", "dev.jsonl"))
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name) / "sst2"
        if options.folder is None:
            fit_model(options.data, folder)
        exact, rounded = (answer(folder, precision, rows) for precision in ("fp32", "bf16"))
    apart = [abs(a.probabilities[a.label] - b.probabilities[a.label]) for a, b in zip(exact, rounded, strict=True)]
    changed = sum(a.label != b.label for a, b in zip(exact, rounded, strict=True))
    result = {"rows": len(rows), "mean": statistics.fmean(apart), "largest": max(apart), "labels_changed": changed}
    print(result)
    print(common.write_result("serve_precision", result))


if __name__ == "__main__":
    main()
