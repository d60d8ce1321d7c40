"""Why adapters and prefixes stay behind full tuning: one thing changed at a time, one seed.

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
TIMES = 3
LONGER, WIDER = "three times the epochs", "four times the parameters"
WIDER_SETTINGS = {"adapter": {"method.bottleneck": 128}, "prefix": {"method.length": 64}}
TRIED = {
    "conll2003": {"full": (LONGER,), "adapter": (LONGER, WIDER), "prefix": (LONGER, WIDER)},
    "sst2": {"full": (LONGER,), "prefix": (LONGER, WIDER)},
}
"""By set and method: what is changed. Adapters are near full tuning on SST-2."""


def settings_of(name: str, method: str, change: str) -> dict[str, Any]:
    """What a change sets."""
    return WIDER_SETTINGS[method] if change == WIDER else {"train.epochs": TIMES * SETS[name]["epochs"]}


def from_table(table: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The run of the table at the best rate, with the first seed."""
    return dict(table["runs"][f"{prefix}/{table['methods'][prefix]['rate']}/{SEEDS[0]}"])


def main() -> None:
    """Run what is not there yet, writing after each run."""
    arguments = benchmark_parser(__doc__ or "").parse_args()
    table = read_result(TABLE)
    if table is None:
        raise SystemExit("the rates come from the table of methods: run python -m benchmarks.methods_table first")
    settings = {"model": public_model(arguments.model), "epochs": TIMES, "parameters": WIDER_SETTINGS}
    runs = kept_entries(RESULT, "runs", settings)
    for name, method, changes in [(name, *one) for name, methods in TRIED.items() for one in methods.items()]:
        prefix = f"{name}/{method}"
        plain = runs[f"{prefix}/as in the table"] = from_table(table, prefix)
        for change in changes:
            key = f"{prefix}/{change}"
            if key not in runs:
                options = settings_of(name, method, change)
                runs[key] = run(arguments, name, (method, options), SEEDS[0], plain["learning_rate"])
            write_result(RESULT, {"settings": settings, "runs": runs})
    rows = [[key, f"{one['value']:.3f}", f"{one['dev']:.3f}", f"{one['command_s']:.0f}"] for key, one in runs.items()]
    print_table("methods_gap", ["set / method / change", "test", "development", "seconds"], rows)


if __name__ == "__main__":
    main()
