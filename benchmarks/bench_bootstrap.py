"""How long the intervals take: 1,000 bootstrap resamples over the entities of the CoNLL-2003 test file.

The answers come from the most frequent tag of each word. Tallies, resamples and tables are timed, not the answering.

Run: python -m benchmarks.bench_bootstrap --data DIR
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.common import benchmark_parser, data_file, print_table, write_result
from tunesmith.data import read_rows
from tunesmith.evaluation.paired import difference
from tunesmith.evaluation.scoring import score_predictions
from tunesmith.tasks import make_task

RESAMPLES, ROUNDS = 1_000, 5


def main() -> None:
    """Judge and compare, a few times over, and write the medians."""
    arguments = benchmark_parser(__doc__ or "").parse_args()
    task = make_task("token-classification", {})
    rows: dict[str, Any] = {
        name: read_rows(data_file(arguments.data, "conll2003", f"{name}.conll"), task.Row, task.columns).rows
        for name in ("train", "test")
    }
    labels = task.labels(rows["train"])
    golds = [task.gold(row, labels) for row in rows["test"]]
    frequent = next(baseline for baseline in task.baselines(labels) if baseline.name == "frequent")
    answers = {
        share: frequent.predict(rows["train"][::share], rows["test"], None)  # type: ignore[arg-type]
        for share in (1, 2)
    }
    seconds: dict[str, list[float]] = {"intervals": [], "paired difference": []}
    for _ in range(ROUNDS):
        began = time.perf_counter()
        judged = score_predictions(task, answers[1], golds, labels, resamples=RESAMPLES)
        seconds["intervals"].append(time.perf_counter() - began)
        other = score_predictions(task, answers[2], golds, labels, resamples=RESAMPLES)
        began = time.perf_counter()
        difference(other, judged, task, labels, resamples=RESAMPLES, shuffles=RESAMPLES)
        seconds["paired difference"].append(time.perf_counter() - began)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    facts = {"rows": len(golds), "resamples": RESAMPLES, "seconds": medians, "rounds": seconds}
    write_result("bench_bootstrap", facts)
    print_table("bootstrap", ["what", "seconds"], [[name, f"{value:.2f}"] for name, value in medians.items()])


if __name__ == "__main__":
    main()
