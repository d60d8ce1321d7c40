"""Tunesmith as its users run it: the command line in a process of its own, and the JSON that it writes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FIGURES = frozenset({"verdict", "headline", "difference", "scores", "baselines", "gain", "rows"})
"""Fields of a judgement that are figures; the others name folders and show texts of the data."""


def program() -> list[str]:
    """Return the start of a tunesmith command of this Python's environment."""
    script = Path(sys.executable).with_name("tunesmith")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "tunesmith.cli"]


def fit(options: Mapping[str, str | Path], settings: Mapping[str, Any]) -> float:
    """Run `tunesmith fit --option value … --set key=value …`; return the seconds the whole command took.

    Its own progress goes to the terminal. Raises SystemExit when it fails.
    """
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    started = time.perf_counter()
    done = subprocess.run([*program(), "fit", *words], check=False)
    if done.returncode:
        raise SystemExit(f"tunesmith fit {' '.join(words)}: exit code {done.returncode}")
    return time.perf_counter() - started


def pretrain(corpus: Sequence[str | Path], out: Path, options: Sequence[str], settings: Mapping[str, Any]) -> Any:
    """Run `tunesmith pretrain`; return what `--json` printed or raise SystemExit."""
    words = [*program(), "pretrain", *map(str, corpus), *options, "--out", str(out), "--json", "--quiet"]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return _json_of(words)


def new(rows: Path, out: Path, options: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """Run `tunesmith new`; return what `--json` printed or raise SystemExit."""
    words = [*program(), "new", str(rows), "--out", str(out), "--json"]
    words += [word for option, value in options.items() for word in (f"--{option}", str(value))]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return _json_of(words)


def compare(one: str, other: str, data: Path, settings: Mapping[str, Any] | None = None) -> Any:
    """The figures of `tunesmith compare ONE OTHER --data FILE --json`; patterns stand for several seeds."""
    words = [*program(), "compare", one, other, "--data", str(data), "--json"]
    words += [word for key, value in (settings or {}).items() for word in ("--set", f"{key}={value}")]
    return figures(_json_of(words))


def figures(judged: Mapping[str, Any]) -> dict[str, Any]:
    """What results keep of a judgement: no folder, no text of the data."""
    return {key: value for key, value in judged.items() if key in FIGURES}


def _json_of(words: Sequence[str]) -> Any:
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}")
    return json.loads(done.stdout)


def evaluate(folder: Path, data: Path, *options: str) -> dict[str, Any]:
    """Run `tunesmith evaluate FOLDER --data FILE --json`; return what it printed or raise SystemExit."""
    words = [*program(), "evaluate", str(folder), "--data", str(data), "--json", *options]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"tunesmith evaluate {folder.name}: exit code {done.returncode}")
    return json.loads(done.stdout)


def augment(rows: Path, out: Path, options: Mapping[str, Any]) -> Any:
    """Run `tunesmith augment FILE --out FILE`; return what `--json` printed or raise SystemExit."""
    words = [*program(), "augment", str(rows), "--out", str(out), "--json"]
    return _json_of([*words, *(word for option, value in options.items() for word in (f"--{option}", str(value)))])


def predict(folder: Path, data: Path, out: Path, field: str = "answer") -> list[str]:
    """Run `tunesmith predict FOLDER --in FILE --out FILE`; return a field of the answers in order."""
    words = [*program(), "predict", str(folder), "--in", str(data), "--out", str(out)]
    done = subprocess.run(words, check=False)
    if done.returncode:
        raise SystemExit(f"tunesmith predict {folder.name}: exit code {done.returncode}")
    return [json.loads(line)["prediction"][field] for line in out.read_text(encoding="utf-8").splitlines()]


def metrics(folder: Path) -> dict[str, Any]:
    """Return the metrics.json of a finished run's folder."""
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def facts(folder: Path) -> dict[str, Any]:
    """Return the tunesmith.json of a finished run's folder."""
    return json.loads((folder / "tunesmith.json").read_text(encoding="utf-8"))
