"""Triples: which pairs are asked about, what comes back, the command line, models of other tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tunesmith as ts
from tests.tiny import make_tiny_trunk
from tunesmith import api, cli
from tunesmith.console import format_answer
from tunesmith.errors import ModelError

PEOPLE, FIRMS = ("ada", "bo", "cy", "di"), ("acme", "norwind", "zeta", "omega")
SETTINGS = ("train.precision=fp32", "train.device=cpu", "train.learning_rate=3e-3", "train.epochs=25")
QUICK = (*SETTINGS, "train.batch_size=8", "evaluate.baselines=false", "evaluate.resamples=100", "output.report=none")


def span(text: str, word: str, label: str) -> dict[str, Any]:
    start = text.index(word)
    return {"start": start, "end": start + len(word), "label": label}


def make_rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of entities, and rows of relations between the same ones."""
    names, relations = [], []
    for person in PEOPLE:
        for firm in FIRMS:
            for text, head, tail, label in (
                (f"{person} works for {firm}", person, firm, "employs(e2,e1)"),
                (f"{firm} hired {person}", firm, person, "employs(e1,e2)"),
                (f"{person} walked past {firm}", person, firm, "Other"),
            ):
                names.append({"text": text, "entities": [span(text, person, "PER"), span(text, firm, "ORG")]})
                relations.append({"text": text, "head": head, "tail": tail, "label": label})
    return names + [join(*pair) for pair in zip(names[::5], names[1::5], strict=False)], relations


def join(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two rows of entities as two sentences of one text."""
    by = len(one["text"]) + 2
    moved = [{**found, "start": found["start"] + by, "end": found["end"] + by} for found in other["entities"]]
    return {"text": f"{one['text']}. {other['text']}", "entities": [*one["entities"], *moved]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of entities, one of relations and one of neither; the two know their rows by heart."""
    root = tmp_path_factory.mktemp("triples")
    names, relations = make_rows()
    trunk = make_tiny_trunk(root / "bert", "bert", [*(row["text"] for row in names), "a sentence . ! head tail"])
    settings = [f"model.name={trunk}", *QUICK]
    api.fit(names, dev=names, out=root / "names", settings=[*settings, "task.name=token-classification"])
    settings += ["task.name=relation-extraction", "train.epochs=12"]
    api.fit(relations, dev=relations, out=root / "jobs", settings=settings)
    turned = [{**row, "label": "none" if row["label"] == "Other" else "linked"} for row in relations]
    api.fit(turned, dev=turned, out=root / "plain", settings=settings)
    return {name: root / name for name in ("names", "jobs", "plain")}


def test_triples_lead_from_head_to_tail_whatever_the_order_in_the_text(folders: dict[str, Path]) -> None:
    texts = ["ada works for acme", "zeta hired di", "bo walked past omega", "nothing"]
    found = ts.extract_triples(texts, ts.load(folders["names"]), ts.load(folders["jobs"]))
    first, second, third, fourth = found
    assert [(one.head, one.relation, one.tail) for one in first.triples] == [("acme", "employs", "ada")]
    assert (first.triples[0].head_span, first.triples[0].tail_span) == ((14, 18), (0, 3))
    assert [(one.head, one.relation, one.tail) for one in second.triples] == [("zeta", "employs", "di")]
    assert 0 < second.triples[0].confidence <= 1
    assert third.triples == []
    assert [(entity.text, entity.label) for entity in third.entities] == [("bo", "PER"), ("omega", "ORG")]
    assert fourth.triples == []


def test_pairs_stand_in_one_sentence_unless_wished_otherwise(folders: dict[str, Path]) -> None:
    names, jobs = ts.load(folders["names"]), ts.load(folders["jobs"])
    text = "ada works for acme. zeta hired di"
    apart = ts.extract_triples([text], names, jobs)[0]
    assert len(apart.entities) == 4
    pairs = {(one.head, one.tail): text[slice(*one.head_span)] for one in apart.triples}
    assert pairs == {("acme", "ada"): "acme", ("zeta", "di"): "zeta"}
    asked: list[Any] = []
    jobs.predict_rows = lambda rows, **options: (
        asked.extend(rows)
        or [  # type: ignore[method-assign,func-returns-value]
            jobs.task.Prediction(label="Other", probability=1.0) for _ in rows
        ]
    )
    ts.extract_triples([text], names, jobs, across_sentences=True)
    assert len(asked) == 6
    assert {row.text for row in asked} == {text}


def test_labels_without_a_direction_are_asked_in_both_orders(folders: dict[str, Path]) -> None:
    found = ts.extract_triples(["ada works for acme"], ts.load(folders["names"]), ts.load(folders["plain"]))[0]
    assert {one.relation for one in found.triples} == {"linked"}
    assert ("ada", "acme") in {(one.head, one.tail) for one in found.triples}


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_the_command_line_answers_texts_and_files(folders: dict[str, Path], tmp_path: Path) -> None:
    names, jobs = str(folders["names"]), str(folders["jobs"])
    shown = run("predict", names, "--relations", jobs, "ada works for acme", "nothing").stdout
    assert "acme | employs | ada (" in shown
    assert "(none)" in shown
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 7, "text": "zeta hired di"}\n')
    run("predict", names, "--relations", jobs, "--in", str(source), "--out", str(out))
    answer = json.loads(out.read_text())
    assert answer["id"] == 7
    triple = answer["prediction"]["triples"][0]
    assert set(triple) == {"head", "relation", "tail", "head_span", "tail_span", "confidence"}
    assert (triple["head"], triple["head_span"]) == ("zeta", [0, 4])
    assert [entity["label"] for entity in answer["prediction"]["entities"]] == ["ORG", "PER"]


def test_models_of_other_tasks_are_refused(folders: dict[str, Path]) -> None:
    names, jobs = str(folders["names"]), str(folders["jobs"])
    said = run("predict", jobs, "--relations", names, "ada", code=2).stderr
    assert "is a model for relation extraction, wanted one for token classification" in " ".join(said.split())
    assert "swap the two folders" in said
    said = run("predict", names, "--relations", names, "ada", code=2).stderr
    assert "wanted one for relation extraction" in " ".join(said.split())
    with pytest.raises(ModelError):
        ts.extract_triples(["ada"], ts.load(folders["jobs"]), ts.load(folders["jobs"]))
    assert "--abstain" in run("predict", names, "--relations", jobs, "--abstain", "0.5", "ada", code=2).stderr


def test_a_text_that_says_e1_is_a_text_like_any_other(folders: dict[str, Path]) -> None:
    found = ts.extract_triples(["ada works for acme <e1>"], ts.load(folders["names"]), ts.load(folders["jobs"]))
    assert len(found) == 1


def test_the_relation_model_reads_a_sentence_without_the_blank_in_front(folders: dict[str, Path]) -> None:
    """It answers as if the sentence were alone."""
    names, jobs = (ts.load(folders[name]) for name in ("names", "jobs"))
    alone, behind = ts.extract_triples(["zeta hired di", "ada works for acme.  zeta hired di"], names, jobs)
    assert alone.triples[0].confidence == behind.triples[-1].confidence


def test_triples_for_people() -> None:
    triple = {"head": "Acme", "relation": "employs", "tail": "Ada", "confidence": 0.934}
    assert (
        format_answer({"entities": [], "triples": [triple, triple]}).splitlines() == ["Acme | employs | Ada (0.93)"] * 2
    )
