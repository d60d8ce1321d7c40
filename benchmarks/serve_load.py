"""How many requests a second are answered within 100 ms: `tunesmith serve` beside FastAPI + `transformers.pipeline`.

One fine-tuned SST-2 classifier, one sentence a request, Poisson arrivals (open_loop.py). The servers run side by side
and are measured in turn, so that a busy minute of the machine hits all of them. For each way the highest rate is
searched at which the 99th percentile of the latency, counted from when a request was due, stays within the bound and no
request fails; then it is confirmed by further rounds, and lowered until their median keeps the bound.

The load generator runs on the same cores, for all ways alike.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.serve_plot import draw_latencies

BOUND_MS = 100.0
FIRST_RATE = 10.0
CLOSE = 1.07
"""The search ends when a good and a bad rate are this near to each other."""
STEP_DOWN = 0.94
PATH = "/v1/models/sst2/predict"
SETTINGS = ["train.max_steps=300", "evaluate.baselines=false", "evaluate.resamples=200"]


@dataclass
class Way:
    """A server and what is known about it.

    Attributes:
        name: key in the results.
        title: what people read.
        command: how it is started; {folder} and {port} are put in.
        path: of a prediction.
        environment: of its process.
        port: where it listens.
        good: highest rate that kept the bound.
        bad: lowest one that did not.
        points: what was measured in the search.
        rounds: what was measured to confirm.
    """

    name: str
    title: str
    command: Sequence[str]
    path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    good: float = 0.0
    bad: float = math.inf
    points: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def found(self) -> bool:
        """Whether the search has ended."""
        return self.bad / max(self.good, 1e-9) <= CLOSE

    def next_rate(self) -> float:
        """The rate to try next: twice the last one, later the geometric mean of the bounds."""
        if math.isinf(self.bad):
            return 2 * self.good or FIRST_RATE
        return math.sqrt(max(self.good, FIRST_RATE / 4) * self.bad)


def make_ways() -> list[Way]:
    """What is measured."""
    peer = [sys.executable, "-m", "uvicorn", "benchmarks.serve_peer:app", "--port", "{port}", "--log-level", "warning"]
    peer.append("--no-access-log")
    ours = [sys.executable, "-m", "tunesmith", "serve", "sst2={folder}", "--port", "{port}", "--feedback", "{store}"]
    return [
        Way("tunesmith", "tunesmith serve", ours, PATH),
        Way("tunesmith_bf16", "tunesmith serve --precision bf16", [*ours, "--precision", "bf16"], PATH),
        Way("pipeline", "FastAPI + pipeline", peer, "/predict"),
        Way("pipeline_1_thread", "the same, OMP_NUM_THREADS=1", peer, "/predict", {"OMP_NUM_THREADS": "1"}),
    ]


@contextmanager
def running(way: Way, folder: Path, scratch: Path) -> Iterator[None]:
    """Start a server, wait until it answers, end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        way.port = free.getsockname()[1]
    names = {"folder": str(folder), "port": str(way.port), "store": str(scratch / f"{way.name}.db")}
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    process = subprocess.Popen(
        [word.format(**names) for word in way.command],
        env={**environment, "MODEL": str(folder), **way.environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(way, process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_until_ready(way: Way, process: subprocess.Popen[bytes]) -> None:
    """Ask until a first answer comes."""
    body = json.dumps({"text": "a film"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{way.port}{way.path}", body, {"Content-Type": "application/json"}
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{way.title}: no answer from its server")


def measure(
    way: Way, rows: Sequence[Mapping[str, Any]], rate_per_s: float, seconds: float, seed: int
) -> dict[str, Any]:
    """Load one server at one rate, from a process of its own."""
    job = {"port": way.port, "path": way.path, "bodies": rows, "rate_per_s": rate_per_s, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.open_loop"],
        input=json.dumps({**job, "seed": seed}),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(
        f"{way.title:30} {rate_per_s:6.1f}/s  p50 {found['p50_ms']}  p99 {found['p99_ms']} ms  "
        f"failed {found['failed']}  generator late {found['generator_late_p99_ms']} ms",
        flush=True,
    )
    return found


def keeps_bound(point: Mapping[str, Any]) -> bool:
    """Whether the bound was kept and nothing failed."""
    return point["failed"] == 0 and point["p99_ms"] is not None and point["p99_ms"] <= BOUND_MS


def search(ways: Sequence[Way], rows: Sequence[Mapping[str, Any]], seconds: float) -> None:
    """Narrow the bounds of each way, one measurement a way in turn."""
    seed = 0
    while any(not way.found for way in ways):
        for way in ways:
            if way.found:
                continue
            seed += 1
            rate = way.next_rate()
            if try_twice(way, rows, rate, seconds, seed):
                way.good = max(way.good, rate)
            else:
                way.bad = min(way.bad, rate)
            if way.bad < FIRST_RATE / 2:
                raise SystemExit(f"{way.title}: misses the bound even at {way.bad:.1f} requests a second")


def try_twice(way: Way, rows: Sequence[Mapping[str, Any]], rate: float, seconds: float, seed: int) -> bool:
    """Whether one of two measurements keeps the bound: other work on the machine spoils one now and then."""
    for attempt in range(2):
        point = measure(way, rows, rate, seconds, seed + 500 * attempt)
        way.points.append(point)
        if keeps_bound(point):
            return True
    return False


def confirm(ways: Sequence[Way], rows: Sequence[Mapping[str, Any]], seconds: float, rounds: int) -> None:
    """Repeat each way at its best rate, in turn; lower the rate until the median of the rounds keeps the bound."""
    open_ways, seed = list(ways), 1000
    for way in ways:
        way.rounds = []
    while open_ways:
        for way in open_ways:
            way.rounds = []
        for _ in range(rounds):
            for way in open_ways:
                seed += 1
                way.rounds.append(measure(way, rows, way.good, seconds, seed))
        for way in list(open_ways):
            way.points += way.rounds
            if median_p99(way) <= BOUND_MS:
                open_ways.remove(way)
            else:
                way.good *= STEP_DOWN


def median_p99(way: Way) -> float:
    """Of the confirming rounds; a round with a failure counts as endless."""
    values = [point["p99_ms"] if point["failed"] == 0 and point["p99_ms"] else math.inf for point in way.rounds]
    return statistics.median(values)


def fill_curve(ways: Sequence[Way], rows: Sequence[Mapping[str, Any]], seconds: float) -> None:
    """Measure shares of each best rate as well, so that the curves have a foot."""
    for number, share in enumerate((0.25, 0.5, 0.8)):
        for way in ways:
            way.points.append(measure(way, rows, way.good * share, seconds, 2000 + number))


def make_result(ways: Sequence[Way], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What results/serve_load.json holds."""
    entries = {
        way.name: {
            "title": way.title,
            "highest_rate_per_s": round(way.good, 1),
            "p99_ms_median": median_p99(way),
            "rounds": way.rounds,
            "points": sorted(way.points, key=lambda point: float(point["rate_per_s"])),
        }
        for way in ways
    }
    ratios = {
        ours: {
            peer: round(entries[ours]["highest_rate_per_s"] / entry["highest_rate_per_s"], 2)
            for peer, entry in entries.items()
            if peer.startswith("pipeline")
        }
        for ours in ("tunesmith", "tunesmith_bf16")
    }
    return {"settings": settings, "bound_ms": BOUND_MS, "ways": entries, "times_the_rate_of": ratios}


def fit_model(data: Path, folder: Path) -> None:
    """A fraction of an epoch on SST-2: the speed does not depend on how good it is."""
    from tunesmith import api

    train, dev = (common.data_file(data, "sst2", name) for name in ("train.jsonl", "dev.jsonl"))
    api.fit(train, dev=dev, out=folder, settings=SETTINGS)


def main() -> None:
    """Measure, write results/serve_load.json and the plot of the documentation."""
    parser = common.benchmark_parser(__doc__ or "")
    parser.add_argument("--folder", type=Path, help="a finished model; default: one is fitted on SST-2")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a measurement of the search")
    parser.add_argument("--confirm-seconds", type=float, default=20.0, help="of a confirming round")
    parser.add_argument("--rounds", type=int, default=3, help="confirming rounds")
    parser.add_argument("--plot", type=Path, help="where the plot goes, such as docs/serve_load.svg")
    options: argparse.Namespace = parser.parse_args()
    rows = [{"text": row["text"]} for row in common.read_jsonl(common.data_file(options.data, "sst2", "dev.jsonl"))]
    ways = make_ways()
    settings = {"seconds": options.seconds, "confirm_seconds": options.confirm_seconds, "rounds": options.rounds}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        scratch = Path(name)
        folder = options.folder or scratch / "sst2"
        if options.folder is None:
            fit_model(options.data, folder)
        for way in ways:
            stack.enter_context(running(way, folder, scratch))
        for way in ways:
            measure(way, rows, FIRST_RATE, 3.0, 0)  # to warm up
        search(ways, rows, options.seconds)
        confirm(ways, rows, options.confirm_seconds, options.rounds)
        fill_curve(ways, rows, options.seconds)
    versions = {name: importlib.metadata.version(name) for name in ("fastapi", "uvicorn", "starlette")}
    result = make_result(ways, {**settings, "versions": versions})
    print(common.write_result("serve_load", result))
    if options.plot is not None:
        options.plot.write_text(draw_latencies(result), encoding="utf-8")


if __name__ == "__main__":
    main()
