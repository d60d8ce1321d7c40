"""kill -9 at any moment, then the same command: the finished folder is that of a run left alone, bit for bit."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.kill import runs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")

KILLS = 80
COLD_KILLS = 3
ROOT = Path(__file__).parents[2]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def test_kills_at_any_moment(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.kill.harness", str(tmp_path / "hunt"), "--kills", str(KILLS)]
    done = subprocess.run(command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)["hunters"]
    places = sum((Counter(report["kills"]) for report in reports), Counter[str]())
    assert places.total() >= KILLS
    assert places["save"] + places["rotation"] >= KILLS / 4
    assert places["writing"] + places["publishing"] + places["finish"] >= KILLS / 20


def start(inputs: Path, out: Path) -> subprocess.Popen[bytes]:
    """The real command line in a process of its own, with a random seed for what Python hashes."""
    config = runs.make_config(inputs, out, {"train": {"checkpoint_steps": 2}})
    (out.parent / "run.json").write_text(config.model_dump_json())
    command = [sys.executable, "-m", "tunesmith.cli", "fit", "--config", str(out.parent / "run.json"), "--quiet"]
    return subprocess.Popen(command, env=ONE_THREAD, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()


def test_cold_kills_through_the_command_line(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    delays = random.Random(seed)
    inputs = runs.make_inputs(tmp_path / "inputs")
    for name in ("alone", "killed"):
        (tmp_path / name).mkdir()
    alone, killed = tmp_path / "alone" / "out", tmp_path / "killed" / "out"
    reference = start(inputs, alone)
    seen: set[str] = set()
    for _ in range(COLD_KILLS):
        process = start(inputs, killed)
        while not (new := {path.name for path in killed.glob("checkpoints/step-*")} - seen):
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.001)
        seen |= new
        time.sleep(delays.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert process.returncode == -9
    end(start(inputs, killed))
    end(reference)
    assert runs.digest(killed) == runs.digest(alone)
