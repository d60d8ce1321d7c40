"""How long `tunesmith check` takes on a large file of JSON lines, and how much memory; the rows are made.

Run: python -m benchmarks.bench_check [--rows 1000000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import print_table, write_result
from tunesmith.data import ReadOptions, stream_rows
from tunesmith.tasks import make_task

LABELS = ("billing", "delivery", "praise", "refund", "returns", "technical")
WORDS_OF_A_LANGUAGE = 20_000
FAULTS = 0.01
"""Share of the rows that repeat an earlier one, exactly or nearly."""


def make_rows(count: int, seed: int = 13) -> Iterator[dict[str, str]]:
    """Rows of about 70 characters in words of a made-up language, whose frequencies fall like those of a real one."""
    chosen = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(chosen.choices(letters, k=chosen.randint(2, 10))) for _ in range(WORDS_OF_A_LANGUAGE)]
    cumulated = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(words))))
    kept: list[str] = ["the first text of all, which is repeated now and then"]
    for _ in range(count):
        text = " ".join(chosen.choices(words, cum_weights=cumulated, k=chosen.randint(6, 14))).capitalize() + "."
        if chosen.random() < FAULTS:
            known = chosen.choice(kept)
            text = chosen.choice((known, known.upper(), known[:-1] + " indeed."))
        elif len(kept) < 1000:
            kept.append(text)
        yield {"text": text, "label": chosen.choice(LABELS)}


def write_rows(path: Path, count: int) -> float:
    """Write the rows; gives the mean length of a text in characters."""
    characters = 0
    with path.open("w", encoding="utf-8") as file:
        for row in make_rows(count):
            characters += len(row["text"])
            file.write(json.dumps(row) + "\n")
    return characters / count


def read_seconds(path: Path, count: int) -> float:
    """Read and validate the rows alone, as the check does."""
    task = make_task("text-classification", {})
    began = time.perf_counter()
    assert sum(len(chunk.rows) for chunk in stream_rows(path, task.Row, task.columns, ReadOptions())) == count
    return time.perf_counter() - began


def check(path: Path, count: int) -> tuple[dict[str, Any], float, int]:
    """Run the command as users do; gives its report, seconds with its start, and peak memory in bytes."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tunesmith", "check", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    took_s = time.perf_counter() - began
    unit = 1 if sys.platform == "darwin" else 1024
    peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    report = json.loads(done.stdout)
    assert next(iter(report["splits"].values()))["rows"]["accepted"] == count
    return report, took_s, peak_bytes


def main() -> None:
    """Make the file, check it once and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        characters = write_rows(path, rows)
        report, check_s, peak_bytes = check(path, rows)
        reading_s = read_seconds(path, rows)
    found = {finding["kind"]: finding["count"] for finding in report["findings"]}
    result = {
        "rows": rows,
        "mean_characters": round(characters, 1),
        "check_s": round(check_s, 2),
        "peak_bytes": peak_bytes,
        "read_and_validate_rows_per_s": round(rows / reading_s),
        "sampling": report["sampling"],
        "findings": found,
    }
    write_result("bench_check", result)
    cells = [f"{rows:,}", f"{check_s:.1f}", f"{peak_bytes / 2**30:.2f}", f"{rows / reading_s:,.0f}"]
    print_table("tunesmith check", ["rows", "seconds", "peak GiB", "read and validated rows/s"], [cells])


if __name__ == "__main__":
    main()
