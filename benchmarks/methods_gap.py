"""Why adapters and prefixes stay behind full tuning on CoNLL-2003: one thing changed at a time, one seed.

Each at the learning rate that the table of methods found best for it, and with its seed; what the table measured is
taken from there. More epochs tell of too few steps, more parameters of too few of them.

Run: python -m benchmarks.methods_gap --data DIR
"""

from __future__ import annotations

from typing import Any

from benchmarks.common import benchmark_parser, kept_entries, print_table, public_model, read_result, write_result
from benchmarks.methods_table import RESULT as TABLE
from benchmarks.methods_table import SEEDS, SETS, run

RESULT = "methods_gap"
SET = "conll2003"
LONGER = {"train.epochs": 3 * SETS[SET]["epochs"]}
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "full": {"three times the epochs": LONGER},
    "adapter": {"three times the epochs": LONGER, "four times the parameters": {"method.bottleneck": 128}},
    "prefix": {"three times the epochs": LONGER, "four times the parameters": {"method.length": 64}},
}
"""By method: what is changed → the settings."""


def from_table(table: dict[str, Any], method: str) -> dict[str, Any]:
    """The run of the table at the best rate, with the first seed."""
    best = table["methods"][f"{SET}/{method}"]["rate"]
    return dict(table["runs"][f"{SET}/{method}/{best}/{SEEDS[0]}"])


def main() -> None:
    """Run what is not there yet, writing after each run."""
    arguments = benchmark_parser(__doc__ or "").parse_args()
    table = read_result(TABLE)
    if table is None:
        raise SystemExit("the rates come from the table of methods: run python -m benchmarks.methods_table first")
    settings = {"model": public_model(arguments.model), "changes": CHANGES}
    runs = kept_entries(RESULT, "runs", settings)
    for method, changes in CHANGES.items():
        runs[f"{method}/as in the table"] = from_table(table, method)
        for change, options in changes.items():
            key = f"{method}/{change}"
            if key not in runs:
                rate = runs[f"{method}/as in the table"]["learning_rate"]
                runs[key] = run(arguments, SET, (method, options), SEEDS[0], rate)
            write_result(RESULT, {"settings": settings, "runs": runs})
    rows = [[key, f"{one['value']:.3f}", f"{one['dev']:.3f}", f"{one['command_s']:.0f}"] for key, one in runs.items()]
    print_table("CoNLL-2003, entity F1", ["method / change", "test", "development", "seconds"], rows)


if __name__ == "__main__":
    main()
