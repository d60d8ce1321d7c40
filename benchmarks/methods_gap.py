"""Why adapters and prefixes stay behind full tuning: one thing changed at a time, one seed.

Each at the learning rate that the table of methods found best for it, and with its seed; what the table measured is
taken from there. More epochs tell of too few steps, more parameters of too few of them, and LoRA in some layers only of
what can be reached from there.

Run: python -m benchmarks.methods_gap --data DIR
"""

from __future__ import annotations

from typing import Any

from benchmarks.common import benchmark_parser, kept_entries, print_table, public_model, read_result, write_result
from benchmarks.methods_table import RESULT as TABLE
from benchmarks.methods_table import SEEDS, run

RESULT = "methods_gap"
LONGER, WIDER = "three times the epochs", "four times the parameters"
AT_ADAPTERS, IN_ATTENTION = "where adapters stand", "in attention alone"
RANK_16 = {"method.rank": 16, "method.alpha": 32}
"""Twice the rank of the default and the same scale: about as many parameters in half of the layers."""
PARTS: dict[str, dict[str, Any]] = {
    AT_ADAPTERS: {**RANK_16, "method.targets": '["output.dense"]'},
    IN_ATTENTION: {**RANK_16, "method.targets": '["query", "key", "value", "attention.output.dense"]'},
}
CHANGES: dict[str, dict[str, dict[str, dict[str, Any]]]] = {
    "conll2003": {
        "full": {LONGER: {"train.epochs": 12}},
        "adapter": {LONGER: {"train.epochs": 12}, WIDER: {"method.bottleneck": 128}},
        "prefix": {LONGER: {"train.epochs": 12}, WIDER: {"method.length": 64}},
        "lora": PARTS,
    },
    "sst2": {
        "full": {LONGER: {"train.epochs": 9}},
        "prefix": {LONGER: {"train.epochs": 9}, WIDER: {"method.length": 64}},
        "lora": {IN_ATTENTION: PARTS[IN_ATTENTION]},
    },
}
"""By set and method: what is changed → the settings. On SST-2 adapters are near full tuning."""


def from_table(table: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The run of the table at the best rate, with the first seed."""
    return dict(table["runs"][f"{prefix}/{table['methods'][prefix]['rate']}/{SEEDS[0]}"])


def main() -> None:
    """Run what is not there yet, writing after each run."""
    arguments = benchmark_parser(__doc__ or "").parse_args()
    table = read_result(TABLE)
    if table is None:
        raise SystemExit("the rates come from the table of methods: run python -m benchmarks.methods_table first")
    settings = {"model": public_model(arguments.model), "changes": CHANGES}
    runs = kept_entries(RESULT, "runs", settings)
    for name, method in [(name, method) for name, methods in CHANGES.items() for method in methods]:
        prefix = f"{name}/{method}"
        plain = runs[f"{prefix}/as in the table"] = from_table(table, prefix)
        for change, options in CHANGES[name][method].items():
            key = f"{prefix}/{change}"
            if key not in runs:
                runs[key] = run(arguments, name, (method, options), SEEDS[0], plain["learning_rate"])
            write_result(RESULT, {"settings": settings, "runs": runs})
    rows = [[key, f"{one['value']:.3f}", f"{one['dev']:.3f}", f"{one['command_s']:.0f}"] for key, one in runs.items()]
    print_table("methods_gap", ["set / method / change", "test", "development", "seconds"], rows)


if __name__ == "__main__":
    main()
