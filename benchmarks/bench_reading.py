"""How fast labelled rows are read, validated and hashed on one core; the rows are made, no data set is needed.

Run: python -m benchmarks.bench_reading
"""

from __future__ import annotations

import csv
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.common import print_table, write_result
from tunesmith.data import read_rows
from tunesmith.tasks import make_task

ROWS, ROUNDS = 300_000, 3


def make_files(folder: Path) -> list[Path]:
    """Write the same rows as JSON lines and as CSV: about 60 characters and one of three labels each."""
    chosen = random.Random(13)
    words = [f"word{number}" for number in range(500)]
    rows = [(" ".join(chosen.choices(words, k=8)), chosen.choice("abc")) for _ in range(ROWS)]
    lines, table = folder / "rows.jsonl", folder / "rows.csv"
    lines.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return [lines, table]


def rows_per_s(path: Path) -> float:
    """Read one file and check that all of it came."""
    task = make_task("text-classification", {})
    began = time.perf_counter()
    read = read_rows(path, task.Row, task.columns)
    assert len(read.rows) == read.read == ROWS
    return ROWS / (time.perf_counter() - began)


def main() -> None:
    """Measure both formats in turn and write the medians."""
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder))
        rounds = [{path.suffix[1:]: rows_per_s(path) for path in files} for _ in range(ROUNDS)]
    medians = {kind: statistics.median(found[kind] for found in rounds) for kind in rounds[0]}
    write_result("bench_reading", {"rows": ROWS, "rows_per_s": medians, "rounds": rounds})
    print_table("reading", ["format", "rows/s"], [[kind, f"{speed:,.0f}"] for kind, speed in medians.items()])


if __name__ == "__main__":
    main()
