"""Kill a run again and again, give it the same arguments until it finishes, and compare with one left alone.

The parent imports everything once, with one thread so that no pool of threads is lost in a fork; each attempt is a
child that trains for real. A kill is aimed at a section of the code (a save, the removal of old states, an
evaluation, the writing of the finished folder) or at any moment: either after a random time, or exactly before the
k-th file operation in the section, where the child waits until SIGKILL comes.

    python -m tests.kill.harness FOLDER --kills 60 --seed 1      prints what it did as JSON
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch

from tests.kill import runs
from tunesmith import artifact, checkpoint, fitting, training
from tunesmith.events import Finished, Notice
from tunesmith.labelled_rows import read_splits
from tunesmith.preparation import make_parts, prepare
from tunesmith.pretraining import running

SECTIONS: dict[str, tuple[Any, str]] = {
    "s": (checkpoint, "save"),
    "r": (checkpoint, "_rotate"),
    "e": (training.Training, "evaluate"),
    "f": (fitting._Fitting, "finish"),
    "g": (running._Pretraining, "finish"),
    "w": (artifact, "_write"),
    "p": (artifact, "_publish"),
}
"""Mark → where the function stands. A child sends the mark when it enters and its capital when it leaves."""

NAMES = {
    "s": "save",
    "r": "rotation",
    "e": "evaluation",
    "f": "finish",
    "g": "finish",
    "w": "writing",
    "p": "publishing",
    "": "other",
}
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.rmtree"}
OPERATION, WAITING, DAMAGED, COMPLETE = b".", b"!", b"D", b"C"
TRAINING_KILLS, FINISHING_KILLS = 7, 3
PATIENCE_S = 60.0


class Failure(AssertionError):
    """A run that was killed did not end as one left alone."""


@dataclass(frozen=True)
class Aim:
    """When the kill comes.

    Attributes:
        mark: of the section; "" for any moment.
        entry: which entry into the section, from 1.
        operation: before which file operation in it, from 1; 0 to go by time.
        delay_s: time after the entry, or after the start for any moment.
    """

    mark: str
    entry: int = 1
    operation: int = 0
    delay_s: float = 0.0


@dataclass
class Attempt:
    """What a child sent until it ended.

    Attributes:
        marks: every byte it sent.
        killed: whether SIGKILL ended it.
        times_s: when each byte came.
    """

    marks: bytes = b""
    killed: bool = False
    times_s: list[float] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The innermost section it was in."""
        inside = [
            (self.marks.rfind(mark.encode()), mark)
            for mark in SECTIONS
            if self.marks.count(mark.encode()) > self.marks.count(mark.upper().encode())
        ]
        return NAMES[max(inside, default=(0, ""))[1]]

    def spans(self, mark: str) -> Iterator[tuple[float, int]]:
        """Seconds and file operations of each stay in a section."""
        start = 0
        while (begin := self.marks.find(mark.encode(), start)) >= 0:
            start = self.marks.index(mark.upper().encode(), begin)
            yield self.times_s[start] - self.times_s[begin], self.marks.count(OPERATION, begin, start)


@dataclass
class Report:
    """What a hunt did.

    Attributes:
        runs: runs that were killed until they finished, all equal to one left alone.
        kills: section that the child was in → kills.
        seconds: of the whole hunt, imports left out.
    """

    runs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class _Spy:
    """Tells the parent where the child is, and waits for the kill where it is aimed at an operation."""

    def __init__(self, pipe: int, aim: Aim) -> None:
        self.pipe, self.aim = pipe, aim
        self.depth = self.entries = self.operations = 0
        self.is_watching = False
        for mark, (owner, name) in SECTIONS.items():
            setattr(owner, name, self._around(getattr(owner, name), mark))
        sys.addaudithook(self._audit)

    def _around(self, function: Callable[..., Any], mark: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            self.tell(mark.encode())
            self.depth += 1
            if mark == self.aim.mark:
                self.entries, self.operations = self.entries + 1, 0
                self.is_watching = self.entries == self.aim.entry
            try:
                return function(*given, **named)
            finally:
                self.depth -= 1
                self.is_watching = self.is_watching and mark != self.aim.mark
                self.tell(mark.upper().encode())

        return call

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        if not self.depth or event not in OPERATIONS or (event == "open" and not _writes(given)):
            return
        self.tell(OPERATION)
        if self.is_watching:
            self.operations += 1
            if self.operations == self.aim.operation:
                self.tell(WAITING)
                time.sleep(PATIENCE_S)

    def tell(self, mark: bytes) -> None:
        os.write(self.pipe, mark)


def _writes(given: tuple[Any, ...]) -> bool:
    return isinstance(given[2], int) and bool(given[2] & (os.O_WRONLY | os.O_RDWR))


def _train(inputs: Path, out: Path, recipe: str, aim: Aim, pipe: int) -> NoReturn:
    """The child: a real run, as the command line makes one."""
    code = 1
    try:
        spy = _Spy(pipe, aim)
        for event in runs.start_run(inputs, out, recipe):
            if isinstance(event, Notice) and "damaged" in event.text:
                spy.tell(DAMAGED)
            if isinstance(event, Finished) and event.already_complete:
                spy.tell(COMPLETE)
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def attempt(inputs: Path, out: Path, recipe: str, aim: Aim | None) -> Attempt:
    """Fork a child that trains, and kill it where the aim says, if it gets there.

    Raises:
        Failure: the child ended by itself with an error.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _train(inputs, out, recipe, aim or Aim("", 0, 0, PATIENCE_S), writing)
    os.close(writing)
    seen = Attempt()
    try:
        _watch(reading, seen, aim)
    finally:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        while chunk := os.read(reading, 4096):  # what it sent before it died
            seen.marks += chunk
        os.close(reading)
    seen.killed = os.WIFSIGNALED(status)
    if not seen.killed and os.WEXITSTATUS(status) != 0:
        raise Failure("the child ended with an error, see above")
    return seen


def _watch(pipe: int, seen: Attempt, aim: Aim | None) -> None:
    """Read until the child ends or the moment for the kill has come."""
    began = time.monotonic()
    due = began + aim.delay_s if aim is not None and not aim.mark else began + PATIENCE_S
    while (rest := due - time.monotonic()) > 0:
        if not select.select([pipe], [], [], rest)[0]:
            return
        chunk = os.read(pipe, 4096)
        seen.marks += chunk
        seen.times_s += [time.monotonic()] * len(chunk)
        if not chunk:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # let it end by itself
            return
        if aim is None or not aim.mark:
            continue
        if WAITING in chunk:
            return
        if not aim.operation and due > began + PATIENCE_S / 2 and seen.marks.count(aim.mark.encode()) >= aim.entry:
            due = time.monotonic() + aim.delay_s
    if aim is None or (aim.mark and due == began + PATIENCE_S):
        raise Failure(f"the child did not end in {PATIENCE_S:.0f} s")


class Hunt:
    """Kills runs of some recipes, one after the other, until enough kills were made."""

    def __init__(self, inputs: Path, folder: Path, seed: str, recipes: Sequence[str]) -> None:
        self.inputs = inputs
        self.folder = folder
        self.recipes = recipes
        self.random = random.Random(seed)
        self.report = Report()
        self.references: dict[str, tuple[Attempt, dict[str, str]]] = {}

    def go(self, kills: int) -> Report:
        """Kill until the number is reached; the run in hand is finished.

        Raises:
            Failure: a run did not end as one left alone.
        """
        began = time.monotonic()
        while self.report.kills.total() < kills:
            recipe = self.recipes[self.report.runs % len(self.recipes)]
            aims: list[Aim] = []
            out = self.folder / f"{self.report.runs}-{recipe}"
            try:
                self._kill_until_finished(out, recipe, aims)
            except Failure as failure:
                raise Failure(
                    f"{failure}\nrecipe {recipe} in {out}, aims so far:\n" + "\n".join(map(str, aims))
                ) from None
            self.report.runs += 1
        self.report.seconds = time.monotonic() - began
        return self.report

    def _reference(self, recipe: str) -> tuple[Attempt, dict[str, str]]:
        if recipe not in self.references:
            out = self.folder / f"alone-{recipe}"
            seen = attempt(self.inputs, out, recipe, None)
            self.references[recipe] = (seen, runs.digest(out))
        return self.references[recipe]

    def _kill_until_finished(self, out: Path, recipe: str, aims: list[Aim]) -> None:
        alone, wanted = self._reference(recipe)
        saved = False
        for number in range(TRAINING_KILLS + FINISHING_KILLS + 1):
            aims.append(self._aim(alone, number))
            seen = attempt(self.inputs, out, recipe, aims[-1] if number < TRAINING_KILLS + FINISHING_KILLS else None)
            if DAMAGED in seen.marks:
                raise Failure("a kill left a state that was taken for damaged")
            if not seen.killed:
                break
            self.report.kills[seen.place] += 1
            saved = saved or b"S" in seen.marks
            if saved and not artifact.is_complete(out) and checkpoint.newest(out / fitting.CHECKPOINTS)[0] is None:
                raise Failure("a state had been saved, and none is left")
        found = runs.digest(out)
        if found != wanted:
            different = sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))
            raise Failure(f"not as the run left alone: {different}")

    def _aim(self, alone: Attempt, number: int) -> Aim:
        """First at the training, then at the end; half of all at saves."""
        draw = self.random
        if number >= TRAINING_KILLS:
            mark, entry = draw.choice([mark for mark in "wwpfg" if mark.encode() in alone.marks]), 1
        else:
            mark, entry = draw.choice("ssssser" if number else "ss "), draw.randint(1, 2)
        if not mark.strip():
            return Aim("", delay_s=draw.uniform(0, alone.times_s[-1] - alone.times_s[0]))
        seconds, operations = max(alone.spans(mark))
        if mark != "e" and draw.random() < 0.5:
            return Aim(mark, entry, operation=draw.randint(1, max(1, operations)))
        return Aim(mark, entry, delay_s=draw.uniform(0, seconds))


def preload(inputs: Path) -> None:
    """Have every library import what a run needs, so that children need not."""
    torch.set_num_threads(1)
    config = runs.make_config(inputs, inputs)
    task, method = make_parts(config)
    prepare(config, read_splits(config, task), task, method)


def _hunt(hunt: Hunt, kills: int) -> NoReturn:
    """A hunter in a child of its own."""
    hunt.folder.mkdir()
    code = 1
    try:
        report = hunt.go(kills)
        (hunt.folder / "report.json").write_text(json.dumps(vars(report)))
        code = 0
    except Failure as failure:
        print(failure, file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def main() -> int:
    """Hunt in a folder with several hunters and print their reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--hunters", type=int, default=2, help="processes at work at a time")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    inputs = runs.make_inputs(given.folder / "inputs")
    preload(inputs)
    hunters, names = [], [*runs.PRETRAINING, *runs.RECIPES]
    for number in range(given.hunters):
        recipes = names[number :: given.hunters] or names
        hunt = Hunt(inputs, given.folder / f"hunter{number}", f"{given.seed}/{number}", recipes)
        hunters.append(os.fork())
        if hunters[-1] == 0:
            _hunt(hunt, -(-given.kills // given.hunters))
    codes = [os.waitstatus_to_exitcode(os.waitpid(hunter, 0)[1]) for hunter in hunters]
    if any(codes):
        print(f"again with --seed {given.seed}", file=sys.stderr)
        return 1
    reports = [json.loads(path.read_text()) for path in sorted(given.folder.glob("*/report.json"))]
    print(json.dumps({"seed": given.seed, "hunters": reports}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
