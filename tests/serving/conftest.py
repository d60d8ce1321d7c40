"""Tiny finished models and a server for them, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.harness import Client
from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api
from tunesmith.serving.batching import Crew
from tunesmith.serving.feedback_store import FeedbackStore
from tunesmith.serving.hosting import Hosted, load_hosted
from tunesmith.serving.lifecycle import RunningServer, open_listener
from tunesmith.serving.service import Service, make_service

SETTINGS = ["train.learning_rate=1e-2", "model.dropout=0", "task.pooling=mean", "train.epochs=2", "train.batch_size=8"]
QUICK = ["evaluate.baselines=false", "evaluate.resamples=100"]
Start = Callable[..., tuple[Client, Service]]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> dict[str, Path]:
    """A classifier, one with labels that are markup, and a tagger."""
    root = tmp_path_factory.mktemp("served")
    common = [f"model.name={tiny_bert}", *QUICK]
    evil = make_rows(40, ("<script>alert(1)</script>", "a\"b'c&d\n"))
    things = [row["text"].split()[1] for row in make_rows(24)]
    tagged = [{"text": f"the {thing} was here", "entities": [_entity(thing)]} for thing in things]
    api.fit(make_rows(60), out=root / "reviews", settings=[*common, *SETTINGS])
    api.fit(evil, out=root / "markup", settings=[*common, *SETTINGS])
    api.fit(
        tagged,
        out=root / "names",
        settings=[*common, "task.name=token-classification", "train.epochs=1", "train.learning_rate=1e-2"],
    )
    return {name: root / name for name in ("reviews", "markup", "names")}


def _entity(thing: str) -> dict[str, Any]:
    return {"start": 4, "end": 4 + len(thing), "label": "THING"}


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, Hosted]:
    return load_hosted([str(folder) for folder in folders.values()])


@pytest.fixture(scope="session")
def writing_folders(
    tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, folders: dict[str, Path]
) -> dict[str, Path]:
    """A decoder and an encoder with a decoder that write, a model that gives vectors, and a classifier."""
    root = tmp_path_factory.mktemp("writing")
    rows = [{"text": row["text"], "target": row["text"][::-1]} for row in make_rows(12)]
    once = [*QUICK, "train.max_steps=1", "evaluate.baselines=false"]
    for family in ("llama", "bart"):
        trunk = make_tiny_trunk(root / f"{family}-trunk", family, seed=3)
        settings = [*once, f"model.name={trunk}", "task.name=text-to-text", "task.max_new_tokens=12"]
        api.fit(rows, out=root / family, settings=settings)
    trunk = make_tiny_trunk(root / "chat-trunk", "llama", texts=["User: the Assistant: System:"] * 9, seed=3)
    chats = [{"messages": [_turn("user", row["text"]), _turn("assistant", "yes")]} for row in make_rows(12)]
    settings = [*once, f"model.name={trunk}", "task.name=chat", "task.max_new_tokens=12"]
    api.fit(chats, out=root / "chat", settings=settings)
    pairs = [{"text": row["text"], "text_b": row["text"][:20]} for row in make_rows(12)]
    api.fit(pairs, out=root / "vectors", settings=[*once, f"model.name={tiny_bert}", "task.name=embedding"])
    return {**{name: root / name for name in ("llama", "bart", "chat", "vectors")}, "reviews": folders["reviews"]}


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.fixture(scope="session")
def writing_models(writing_folders: dict[str, Path]) -> dict[str, Hosted]:
    return load_hosted([str(folder) for folder in writing_folders.values()])


@pytest.fixture
def start(models: dict[str, Hosted], tmp_path: Path) -> Iterator[Start]:
    """Start a server in this process; options go to `make_service`."""
    running: list[tuple[RunningServer, FeedbackStore]] = []

    def begin(**options: Any) -> tuple[Client, Service]:
        store = FeedbackStore(tmp_path / f"feedback-{len(running)}.db")
        options = {"models": models, "store": store, "crew": Crew(2, 1), **options}
        service = make_service(**options)
        server = RunningServer(service, open_listener("127.0.0.1", 0))
        server.start()
        running.append((server, store))
        return Client(server.address[1]), service

    yield begin
    for server, store in running:
        server.stop()
        store.close()


@pytest.fixture(scope="session")
def server(models: dict[str, Hosted], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Service]]:
    """One server with the usual limits, for all tests that leave it as it was."""
    store = FeedbackStore(tmp_path_factory.mktemp("store") / "feedback.db")
    service = make_service(models, store=store, crew=Crew(2, 1))
    running = RunningServer(service, open_listener("127.0.0.1", 0))
    running.start()
    yield Client(running.address[1]), service
    running.stop()
    store.close()


@pytest.fixture
def client(server: tuple[Client, Service]) -> Client:
    return server[0]
