"""Feedback: checked, joined to what was asked, on the disk when acknowledged, and rows for training in the end."""

from __future__ import annotations

import copy
import json
import signal
import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.serving.conftest import Start
from tests.serving.harness import Client, served, wait_for
from tunesmith import api, data
from tunesmith.cli import app
from tunesmith.errors import UserError
from tunesmith.serving.feedback_store import Feedback, FeedbackStore, read_feedback
from tunesmith.serving.hosting import Hosted
from tunesmith.serving.limits import Limits
from tunesmith.serving.remembering import Memory

ROW = {"text": "the film was good"}
GONE = "reviews.0123456789abcdef01234567"


def give(client: Client, **content: Any) -> Any:
    return client.post("/v1/feedback", content)


def stored(client: Client, service: Any) -> list[Feedback]:
    return [feedback for feedback, _ in read_feedback(service.store.path)]


def test_feedback_joins_what_was_asked(start: Start) -> None:
    client, service = start()
    name = client.predict(ROW).json["id"]
    answer = give(client, id=name, right="negative", comment="<i>no</i>")
    assert answer.status == 201
    assert answer.json == {"id": name, "stored": True}
    (found,) = stored(client, service)
    assert found.row == {**ROW, "label": "negative"}
    assert found.comment == "<i>no</i>"
    assert found.prediction is not None
    assert found.prediction["label"] in ("negative", "positive")
    assert found.version == service.models["reviews"].digest
    assert len(found.version) == 12


def test_entities_are_corrected(start: Start) -> None:
    client, service = start()
    name = client.predict({"text": "the song was here"}, "names").json["id"]
    assert give(client, id=name, right=[{"start": 4, "end": 8, "label": "THING"}]).status == 201
    assert give(client, id=name, right=[]).status == 201
    (found,) = stored(client, service)
    assert found.row == {"text": "the song was here", "entities": []}
    for right in ([{"start": 4, "end": 99, "label": "THING"}], [{"start": 4, "end": 8, "label": "CITY"}], "THING"):
        answer = give(client, id=name, right=right)
        assert answer.status == 422
        assert answer.error["field"].startswith("right")


def test_what_is_not_remembered_needs_its_row(start: Start) -> None:
    client, service = start()
    answer = give(client, id=GONE, right="negative")
    assert answer.status == 404
    assert "send the row along" in answer.error["fix"]
    assert give(client, id=GONE, right="negative", row=ROW).status == 201
    assert stored(client, service)[0].prediction is None
    assert give(client, id="nobody.01", right="negative", row=ROW).status == 404


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"right": "negative"}, "id"),
        ({"id": 5, "right": "negative"}, "id"),
        ({"id": "x" * 200, "right": "negative"}, "id"),
        ({"id": GONE, "row": ROW}, "right"),
        ({"id": GONE, "right": "negativ", "row": ROW}, "right"),
        ({"id": GONE, "right": 7, "row": ROW}, "right"),
        ({"id": GONE, "right": {"a": 1}, "row": ROW}, "right"),
        ({"id": GONE, "right": ["negative", "positive"], "row": ROW}, "right"),
        ({"id": GONE, "right": "negative", "row": {"txt": "a"}}, "row.txt"),
        ({"id": GONE, "right": "negative", "row": ["a"]}, "row"),
        ({"id": GONE, "right": "negative", "row": ROW, "comment": "x" * 5000}, "comment"),
        ({"id": GONE, "right": "negative", "row": ROW, "comment": "\ud800"}, "comment"),
        ({"id": GONE, "right": "negative", "row": ROW, "admin": True}, "admin"),
    ],
)
def test_bad_feedback_is_refused(client: Client, content: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/feedback", content)
    assert answer.status == 422
    assert answer.error["field"].startswith(field)


@pytest.mark.parametrize("right", [10**400, -(10**400), True, "1e999"], ids=["large", "small", "true", "text"])
def test_numbers_beyond_all_bounds_are_refused(start: Start, models: dict[str, Hosted], right: Any) -> None:
    client, _ = start(models={"reviews": numeric(models["reviews"])})
    answer = give(client, id=GONE, right=right, row=ROW)
    assert answer.status == 422
    assert answer.error["field"] == "right"
    assert len(answer.body) < 500


def numeric(hosted: Hosted) -> Hosted:
    """The same model as if it gave numbers; it is not asked."""
    labels = replace(hosted.labels, names=(), counts=(), kind="number")
    predictor = copy.copy(hosted.predictor)
    predictor.artifact = replace(hosted.predictor.artifact, labels=labels)
    return replace(hosted, predictor=predictor)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("reviews", [str(number) for number in range(1_000)]),
        ("reviews", "|".join(str(number) for number in range(1_000))),
        ("names", [{"start": 0, "end": 4, "label": "THING"}] * 1_000),
    ],
    ids=["labels", "text", "entities"],
)
def test_more_than_can_be_right_is_not_looked_at(client: Client, name: str, right: Any) -> None:
    """Each of 200,000 made-up labels would be compared with all there are, while nobody else is served."""
    answer = give(client, id=f"{name}.01", right=right, row=ROW)
    assert answer.status == 422
    assert answer.error["field"] == "right"
    assert "at most" in answer.error["message"]


def test_no_feedback_no_text_on_the_disk(start: Start) -> None:
    client, service = start()
    client.predict({"text": "a very secret text"})
    give(client, id=client.predict(ROW).json["id"], right="negative")
    folder = service.store.path.parent
    assert not [path for path in folder.iterdir() if b"very secret" in path.read_bytes()]
    assert stat.S_IMODE(service.store.path.stat().st_mode) == 0o600


def test_memory_is_bounded_in_rows_text_and_time(models: dict[str, Hosted]) -> None:
    now = [0.0]
    hosted = models["reviews"]
    memory = Memory(Limits(remembered_rows=3, remembered_bytes=100, remembered_s=10), clock=lambda: now[0])

    def keep(text: str, **prediction: Any) -> str:
        return memory.keep(hosted, hosted.task.Row(text=text), prediction)

    names = [keep("a") for _ in range(4)]
    assert [memory.find(name) is not None for name in names] == [False, True, True, True]
    keep("a", probabilities={f"label {place}": 0.01 for place in range(100)})
    assert len(memory) == 0, "answers take room, not only texts: a model may know thousands of labels"
    memory.keep(hosted, hosted.task.Row(text="a", label=["x" * 60] * 9), {})
    assert memory.size_bytes < 20, "the right answer is not asked about"
    short = keep("a")
    long = keep("x" * 80)
    assert (memory.find(short) is None, memory.find(long) is None) == (True, False)
    now[0] = 10.5
    assert memory.find(long) is None
    assert (len(memory), memory.size_bytes) == (0, 0)


def test_export_gives_rows_that_fit_and_check_read(start: Start, tmp_path: Path, tiny_bert: Path) -> None:
    client, service = start()
    for number in range(24):
        name = client.predict({"text": f"the film number {number} was {'good' if number % 2 else 'bad'}"}).json["id"]
        assert give(client, id=name, right="negative").status == 201
        assert give(client, id=name, right=("negative", "positive")[number % 2]).status == 201
    assert give(client, id=client.predict(ROW, "markup").json["id"], right="a\"b'c&d\n").status == 201
    source, out = service.store.path, tmp_path / "rows.jsonl"
    code, output = run("feedback", "export", source, "--out", out)
    assert code == 2
    assert "--model reviews" in output
    code, output = run("feedback", "export", source, "--out", out, "--model", "reviews")
    assert code == 0
    assert "24 rows" in output
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert rows[1] == {"text": "the film number 1 was good", "label": "positive"}
    read = data.read_rows(str(out), service.models["reviews"].task.Row, service.models["reviews"].task.columns)
    assert len(read.rows) == 24
    assert api.check(str(out), model=None)["splits"]
    settings = [f"model.name={tiny_bert}", "train.max_steps=1", "evaluate.baselines=false", "evaluate.resamples=100"]
    assert api.fit(out, out=tmp_path / "again", settings=settings).folder.is_dir()
    assert run("feedback", "export", source, "--out", out, "--model", "reviews")[0] == 2  # it is there already
    assert run("feedback", "export", source, "--out", tmp_path / "b.jsonl", "--model", "review")[0] == 2


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert "Traceback" not in result.output
    return result.exit_code, " ".join(result.output.split())


def test_foreign_files_stay_as_they_are(tmp_path: Path) -> None:
    text, other, newer = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "c.db"
    text.write_text("no database at all, but long enough to look at " * 20)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE feedback (a)")
    connection.close()
    FeedbackStore(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version=9")
    connection.close()
    for path in (text, other, newer, tmp_path / "no" / "folder.db"):
        before = path.read_bytes() if path.exists() else None
        for use in (FeedbackStore, read_feedback):
            with pytest.raises(UserError):
                use(path)
        assert (path.read_bytes() if path.exists() else None) == before


def test_a_failing_disk_is_said_and_overcome(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.serving import feedback_store

    client, service = start()
    good = feedback_store._write

    def broken(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(feedback_store, "_write", broken)
    answer = give(client, id=GONE, right="negative", row=ROW)
    assert answer.status == 503
    assert "not stored" in answer.error["message"]
    assert answer.headers["retry-after"]
    monkeypatch.setattr(feedback_store, "_write", good)
    assert give(client, id=GONE, right="negative", row=ROW).status == 201
    assert len(stored(client, service)) == 1


def test_a_file_that_is_taken_away_is_made_anew(start: Start) -> None:
    """SQLite would go on writing into a file that has no name any more; what it acknowledges then is lost."""
    client, service = start()
    path, moved = service.store.path, service.store.path.with_name("last-month.db")
    assert give(client, id=GONE, right="negative", row=ROW).status == 201
    path.rename(moved)
    assert give(client, id=GONE, right="positive", row=ROW).status == 201
    assert [found.row["label"] for found, _ in read_feedback(moved)] == ["negative"]
    assert [found.row["label"] for found in stored(client, service)] == ["positive"]
    path.unlink()
    assert give(client, id=GONE, right="negative", row=ROW).status == 201
    assert [found.row["label"] for found in stored(client, service)] == ["negative"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_acknowledged_feedback_survives_kill(folders: dict[str, Path], tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with served(str(folders["reviews"]), "--feedback", "kept.db", folder=tmp_path) as (process, client):

        def write(writer: int) -> None:
            for number in range(10_000):
                name = f"reviews.{writer:04d}{number:020d}"
                try:
                    answer = give(client, id=name, right="negative", row={"text": f"row {name}"})
                except (OSError, http_error()):
                    return
                if answer.status == 201:
                    acknowledged.append(answer.json["id"])

        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for writer in writers:
            writer.start()
        assert wait_for(lambda: len(acknowledged) >= 200, seconds=30)
        process.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.join()
    found = {feedback.id: feedback for feedback, _ in read_feedback(tmp_path / "kept.db")}
    assert len(acknowledged) >= 200
    assert set(acknowledged) <= set(found)
    assert all(feedback.row == {"text": f"row {name}", "label": "negative"} for name, feedback in found.items())
    connection = sqlite3.connect(tmp_path / "kept.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def http_error() -> type[Exception]:
    import http.client

    return http.client.HTTPException


def test_writers_share_a_sync(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path / "many.db")
    futures = [store.put(feedback) for feedback in make_many(300)]
    for future in futures:
        future.result(timeout=20)
    store.close()
    assert [feedback.id for feedback, _ in read_feedback(store.path)] == [f"reviews.{n}" for n in range(300)]


def make_many(count: int) -> Iterator[Feedback]:
    for number in range(count):
        yield Feedback(f"reviews.{number}", "reviews", "v", "t", {"text": "a", "label": "b"})
