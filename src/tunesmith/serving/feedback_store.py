"""Feedback in one SQLite file: what is acknowledged is on the disk.

Write-ahead log with synchronous=FULL: a commit returns when the log has been synced. One thread writes; what came while
it synced goes into the next commit together, so many clients share one sync.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import durable
from tunesmith.errors import UserError

FORMAT = 1
APPLICATION = 0x54534642
"""Marks the file as one of ours (`application_id` of SQLite)."""
MOST_WAITING = 1_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    task TEXT NOT NULL,
    received_at TEXT NOT NULL,
    row TEXT NOT NULL,
    prediction TEXT,
    comment TEXT NOT NULL
)
"""
COLUMNS = ("id", "model", "version", "task", "received_at", "row", "prediction", "comment")


@dataclass(frozen=True)
class Feedback:
    """What somebody says about an answer.

    Attributes:
        id: of the answer.
        model: name of the model.
        version: tells models of one name apart.
        task: name of the task.
        row: the row with the right answer in it, as `fit` reads it.
        prediction: what was answered; None where it is not remembered.
        comment: free text, may be empty.
    """

    id: str
    model: str
    version: str
    task: str
    row: dict[str, Any]
    prediction: dict[str, Any] | None = None
    comment: str = ""


class StoreFull(Exception):
    """More feedback waits for the disk than is kept waiting."""


class FeedbackStore:
    """The file and the thread that writes it.

    Args:
        path: the file, made when missing, for its owner's eyes only.

    Raises:
        UserError: it cannot be written or is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: queue.Queue[tuple[Feedback, Future[None]] | None] = queue.Queue(MOST_WAITING)
        with _named(path):
            opened = _open(path)
            with closing(opened.connection):
                opened.connection.execute("DELETE FROM feedback WHERE 0")  # fails at once where it may only be read
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self._thread.start()

    def put(self, feedback: Feedback) -> Future[None]:
        """Hand feedback over; the future ends when it is on the disk.

        Raises:
            StoreFull: too much waits already.
        """
        stored: Future[None] = Future()
        try:
            self._waiting.put_nowait((feedback, stored))
        except queue.Full:
            raise StoreFull from None
        return stored

    def close(self) -> None:
        """Write what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        opened: _Opened | None = None
        ended = False
        while not ended:
            batch, ended = self._take()
            try:
                if opened is not None and opened.file != _identify(self.path):
                    _complete(opened)
                    opened = None
                opened = opened or _open(self.path)
                _write(opened.connection, [feedback for feedback, _ in batch])
            except Exception as error:  # a full disk: these are refused, the next ones are tried anew
                if opened is not None:
                    opened.connection.close()
                    opened = None
                _settle(batch, lambda future, error=error: future.set_exception(error))  # type: ignore[misc]
            else:
                _settle(batch, lambda future: future.set_result(None))
        if opened is not None:
            _complete(opened)

    def _take(self) -> tuple[list[tuple[Feedback, Future[None]]], bool]:
        """All that waits, at least one; and whether the end was among it."""
        found = [self._waiting.get()]
        while not self._waiting.empty() and len(found) < MOST_WAITING:
            found.append(self._waiting.get())
        return [entry for entry in found if entry is not None], None in found


def _settle(batch: Sequence[tuple[Feedback, Future[None]]], tell: Callable[[Future[None]], None]) -> None:
    for _, future in batch:
        if future.set_running_or_notify_cancel():
            tell(future)


@dataclass(frozen=True)
class _Opened:
    """A connection, and which file stood under the path when it was made."""

    connection: sqlite3.Connection
    file: tuple[int, int] | None


def _identify(path: Path) -> tuple[int, int] | None:
    """Tells whether a path still leads to the same file: somebody may move or delete it while the server runs."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _complete(opened: _Opened) -> None:
    """Close, with all of the log in the file. Where it has moved, SQLite leaves that out, and the log stays behind."""
    with contextlib.suppress(sqlite3.Error):
        opened.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    opened.connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)


def _open(path: Path) -> _Opened:
    """Connect to the file, which is made when missing, so that a commit is on the disk when it returns."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    connection = _connect(path)
    try:
        _prepare(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        durable.sync(path.absolute().parent)
        return _Opened(connection, _identify(path))
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the table in an empty file; nothing is changed in a file of another program."""
    if connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        _check_format(connection, path)
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(SCHEMA)
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute("COMMIT")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != APPLICATION:
        raise UserError(f"{path} is a database of another program", fix="give a file that tunesmith serve wrote")
    if version > FORMAT:
        message = f"{path} has format {version}, this version reads up to {FORMAT}"
        raise UserError(message, fix="pip install -U tunesmith")


def _write(connection: sqlite3.Connection, batch: Sequence[Feedback]) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows = [
        (one.id, one.model, one.version, one.task, now, _dump(one.row), _dump(one.prediction), one.comment)
        for one in batch
    ]
    connection.execute("BEGIN IMMEDIATE")
    try:
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO feedback ({', '.join(COLUMNS)}) VALUES ({marks})", rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _dump(content: Any) -> str | None:
    return None if content is None else json.dumps(content, ensure_ascii=False, allow_nan=False)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say which file is meant."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        message = f"{path} cannot be used for feedback: {error}"
        raise UserError(message, fix="give another file with --feedback") from error
    except OSError as error:
        message = f"{path} cannot be used for feedback: {error.strerror or error}"
        raise UserError(message, fix="give another file with --feedback") from error


def read_feedback(path: Path) -> list[tuple[Feedback, str]]:
    """Read a file of feedback: of each answer what was said last, with its time, in order of arrival.

    Raises:
        UserError: there is no such file, or it is something else.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}", fix="give the file that tunesmith serve --feedback wrote")
    with _named(path), closing(_connect(path)) as connection:
        _check_format(connection, path)
        latest = "SELECT MAX(number) FROM feedback GROUP BY id"
        query = f"SELECT {', '.join(COLUMNS)} FROM feedback WHERE number IN ({latest}) ORDER BY number"
        return [_read(dict(zip(COLUMNS, values, strict=True))) for values in connection.execute(query)]


def _read(values: dict[str, Any]) -> tuple[Feedback, str]:
    received_at = values.pop("received_at")
    row, prediction = json.loads(values.pop("row")), values.pop("prediction")
    return Feedback(row=row, prediction=None if prediction is None else json.loads(prediction), **values), received_at
