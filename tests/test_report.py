"""report.html says what the numbers say, shows no more than it may, and replaces nothing that is not its own."""

from __future__ import annotations

import doctest
import html
import importlib
import json
import re
import shutil
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tests.report_models import HIDDEN, SETTINGS, SOURCES, fit_classifier, fit_tagger, make_labelled, write_lines
from tests.tiny import make_rows
from tunesmith import api, artifact, reporting
from tunesmith.cli import app
from tunesmith.contracts import Labels
from tunesmith.errors import ConfigError, UserError
from tunesmith.pages import make_policy, read_style
from tunesmith.reporting import examples, slices
from tunesmith.reporting.language import LANGUAGES, Words, read_table
from tunesmith.reporting.material import JudgedRows
from tunesmith.reports import report
from tunesmith.tasks import make_task

MOST_BYTES = 3_000_000
MODULES = ("examples", "language", "material", "provenance", "scores", "slices")


@pytest.fixture(scope="module")
def place(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `classifier` and `tagger`, and the files they learnt from."""
    folder = tmp_path_factory.mktemp("reported")
    fit_classifier(folder, tiny_bert)
    fit_tagger(folder, tiny_bert)
    return folder


def read(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


def words_of(page: str) -> str:
    """What a reader sees of the English edition, on one line."""
    edition = page.partition('<article class="edition en')[2].partition("</article>")[0]
    bare = re.sub(r"<(svg|title|desc)\b.*?</\1>", " ", edition, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare))).replace("\u00a0", " ")


def test_a_run_ends_with_it(place: Path) -> None:
    for kind in ("classifier", "tagger"):
        page = read(place / kind)
        assert len(page.encode()) < MOST_BYTES
        assert not re.search(r"<(script|img|iframe|form)|<[^<>]*\s(style|src|srcset|action|on\w+)=|@import", page)
        assert re.findall(r'href="([^#][^"]*)"', page) == ["data:,"], "links lead to places on the page"
        assert f'content="{html.escape(make_policy(read_style()), quote=True)}"'.replace("&#x27;", "&#39;") in page
        assert str(place) not in page, "paths of this machine are not for readers"
        assert "tunesmith fit --config" in words_of(page)


def test_its_figures_are_those_of_metrics_json(place: Path) -> None:
    for kind in ("classifier", "tagger"):
        metrics, said = artifact.read_artifact(place / kind).metrics, words_of(read(place / kind))
        score, gain = metrics["scores"][metrics["headline"]], metrics["gain"]
        assert f"{score['value'] - gain['value']:.3f} → {score['value']:.3f}" in said.replace(" →", " →")
        signed = [f"{gain[key]:+.3f}".replace("-", "−") for key in ("value", "low", "high")]
        assert "{}, with a 95 % interval of {} to {}; p ".format(*signed) in said
        for scores in metrics["baselines"].values():
            one = scores[metrics["headline"]]
            assert f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" in said
        for label, row in metrics["per_class"].items():
            shown = [f"{row[key]:.3f}" for key in ("f1", "precision", "recall")]
            assert label.endswith(("avg", "(all)")) or re.search(rf"{' +'.join(shown)} +{row['support']:,.0f}", said)
        ece = metrics["calibration"]["after"]["ece"]
        assert f"{ece:.3f}" in said
        ledger = metrics["ledger"]["train"]
        assert f"{ledger['tokens']:,} {ledger['windowed_rows']:,} {ledger['cut_rows']:,}" in said


def test_hidden_and_hostile_texts_are_shown_as_what_they_are(place: Path) -> None:
    page = read(place / "classifier")
    assert "&lt;script&gt;document" in page
    assert "onerror=&#39;" in page
    assert "safe\\u202egpj.exe\\x1b[2J" in page
    assert HIDDEN[4] not in page
    assert html.escape(SOURCES[0]) in page


def test_texts_are_left_out_when_asked(place: Path, tiny_bert: Path, tmp_path: Path) -> None:
    shown = read(place / "classifier")
    without = read(fit_classifier(tmp_path, tiny_bert, "output.report=without_texts"))
    texts = {row["text"] for row in make_labelled()}
    pieces = {html.escape(text[:40]).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for text in texts}
    assert sum(piece in shown for piece in pieces) > 5
    assert not [piece for piece in pieces if piece in without]
    assert "Their texts are left out" in without
    weights = [(folder / "classifier" / "model.safetensors").read_bytes() for folder in (place, tmp_path)]
    assert weights[0] == weights[1], "what is shown changes nothing that is learnt"
    folder = fit_classifier(tmp_path, tiny_bert, "output.report=none", "output.overwrite=true", "train.seed=1")
    assert not (folder / "report.html").exists(), "the report of the replaced model is gone"
    assert not list(folder.rglob("*.html"))


def test_a_report_of_somebody_else_stops_the_run_before_it_costs(tiny_bert: Path, tmp_path: Path, place: Path) -> None:
    folder = Path(shutil.copytree(place / "tagger", tmp_path / "tagger"))
    (folder / "report.html").write_text("<h1>mine</h1>")
    model = (folder / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"report\.html was not written by Tunesmith"):
        fit_tagger(tmp_path, tiny_bert, "output.overwrite=true", "train.seed=1")
    assert (folder / "report.html").read_text() == "<h1>mine</h1>"
    assert (folder / "model.safetensors").read_bytes() == model
    with pytest.raises(UserError, match="was not written by Tunesmith"):
        report(folder)
    report(folder, overwrite=True)
    assert "names in" not in read(folder)


def test_the_command_it_shows_gives_the_same_weights(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = re.search(r"tunesmith (fit --config \S+ --out again)", words_of(read(place / "tagger")))
    assert command
    monkeypatch.chdir(place)
    done = CliRunner().invoke(app, command[1].split())
    assert done.exit_code == 0, done.output
    weights = [(place / name / "model.safetensors").read_bytes() for name in ("tagger", "again")]
    assert weights[0] == weights[1]
    shutil.rmtree(place / "again")


def test_made_again_it_says_the_same(place: Path, tmp_path: Path) -> None:
    """But for probabilities: those of a run are scaled without the row itself, a finished model scales all alike."""
    written = report(place / "tagger", out=tmp_path / "again.html")
    assert written.missing == ""
    pages = [words_of(read(place / "tagger")), words_of(written.path.read_text("utf-8"))]
    bare = [re.sub(r"Surest mistakes .*? Where it is weak", "", page) for page in pages]
    assert bare[0] == bare[1]


def test_other_rows_have_a_page_of_their_own(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{**row, "source": "fax"} for row in make_labelled(60)]
    write_lines(tmp_path / "test.jsonl", rows)
    before = read(place / "classifier")
    done = CliRunner().invoke(app, ["report", str(place / "classifier"), "--data", "test.jsonl", "--language", "zh"])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report-classifier-test.html").read_text("utf-8")
    said = words_of(page)
    assert 'lang="zh-Hans">' in page.partition("<head>")[0]
    assert "Judged on 60 rows of test.jsonl" in said
    assert "judged here 60 test.jsonl" in said
    assert "a little flattering" not in said
    assert read(place / "classifier") == before
    (tmp_path / "mine.html").write_text("mine")
    refused = CliRunner().invoke(app, ["report", str(place / "classifier"), "--out", "mine.html"])
    assert refused.exit_code == 2
    assert "give another --out" in refused.output
    assert (tmp_path / "mine.html").read_text() == "mine"
    wrong = {"--language=fr": "no page in 'fr'", "--data=-": "--out FILE", "--out=.": "is a folder"}
    for word, message in wrong.items():
        refused = CliRunner().invoke(app, ["report", str(place / "classifier"), word], input=b"")
        assert refused.exit_code == 2, refused.output
        assert message in refused.output


def test_without_its_rows_it_says_so(place: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(place / "classifier", tmp_path / "classifier"))
    facts = artifact.read_artifact(folder).facts
    rows = Path(facts["config"]["data"]["train"])
    content = rows.read_bytes()
    rows.write_bytes(content + content.splitlines(keepends=True)[0])
    try:
        written = report(folder)
    finally:
        rows.write_bytes(content)
    assert "is not what it was" in written.missing
    said = words_of(read(folder))
    assert "The judged rows are not at hand" in said
    assert "Surest mistakes" not in said
    assert "Class by class" in said


def test_numbers_and_several_labels_have_one_too(tiny_bert: Path, tmp_path: Path) -> None:
    rows = make_rows(60)
    numbers = [{"text": row["text"], "label": float(place % 7)} for place, row in enumerate(rows)]
    several = [{"text": row["text"], "label": [["a"], ["a", "b"], []][place % 3]} for place, row in enumerate(rows)]
    for name, kind, part in (("numbers", "number", numbers), ("several", "multi", several)):
        settings = [f"model.name={tiny_bert}", f"task.kind={kind}", "train.max_steps=3", *SETTINGS]
        folder = api.fit(part, out=tmp_path / name, settings=settings).folder
        said = words_of(read(folder))
        assert "Surest mistakes" in said
        assert ("How far to trust" in said) == (kind == "multi")
        assert "no command can name them" in said, "the rows came from Python"


def test_150_classes_and_long_names_stay_small(place: Path) -> None:
    names = tuple(f"class {number} {'of a long name ' * 4}".strip() for number in range(150))
    task, labels = make_task("text-classification", {}), Labels(names, (7,) * 150, "single")
    draw = np.random.default_rng(0)
    rows = [task.Row(text=f"{'lorem ipsum ' * 60}{place}", label=names[place % 150]) for place in range(3000)]
    shares = dict.fromkeys(names, 1 / 150)
    given = [names[int(number)] for number in draw.integers(0, 150, len(rows))]
    predictions = [task.Prediction(label=name, probability=0.5, probabilities=shares) for name in given]
    golds = [task.gold(row, labels) for row in rows]
    judged = JudgedRows(task, labels, rows, predictions, golds, [len(row.text.split()) for row in rows])
    from tunesmith.evaluation.scoring import score_predictions, to_json

    metrics = {**to_json(score_predictions(task, predictions, golds, labels, resamples=100), {}, 1.0), "split": "dev"}
    found = artifact.read_artifact(place / "classifier")
    material = replace(reporting.collect(found, judged, metrics), labels=labels)
    page = reporting.render_report(material)
    assert len(page.encode()) < MOST_BYTES
    said = words_of(page)
    assert "120 further classes" in said
    assert "135 further labels" in said
    assert said.count("taken for") == 20 + 2, "the most confused pairs, the heading, and the link to it"
    assert page.count("<path") < 100


def judge(texts: list[str], golds: list[str], given: list[str], sure: list[float], **more: Any) -> JudgedRows:
    task, labels = make_task("text-classification", {}), Labels(("a", "b"), (5, 5), "single")
    rows = [task.Row(text=text, label=gold) for text, gold in zip(texts, golds, strict=True)]
    answers = [
        task.Prediction(label=name, probability=p, probabilities={name: p, "ab".replace(name, ""): 1 - p})
        for name, p in zip(given, sure, strict=True)
    ]
    return JudgedRows(task, labels, rows, answers, [task.gold(row, labels) for row in rows], [3] * len(rows), **more)


def test_the_surest_mistakes_come_first() -> None:
    found, wrong = examples.find_mistakes(
        judge(["p", "q", "r", "s"], list("aabb"), list("abaa"), [0.9, 0.6, 0.95, 0.7])
    )
    assert wrong == 3
    assert [one.lines[0].segments[0].text for one in found] == ["r", "s", "q"]
    assert (found[0].comparison.given, found[0].comparison.right) == (("a",), ("b",))


def test_parts_are_scored_by_themselves_and_the_worst_come_first() -> None:
    """100 rows: all of 30 from the fax are wrong, all others right; 10 from the mail are too few to be shown."""
    sources = ["fax"] * 30 + ["web"] * 60 + ["mail"] * 10
    golds = ["ab"[place % 2] for place in range(100)]
    given = ["ab"[(place + (place < 30)) % 2] for place in range(100)]
    texts = ["利润上升" if place % 4 == 0 else "profit rose" for place in range(100)]
    found = slices.find_slices(judge(texts, golds, given, [0.9] * 100, groups={"source": sources}))
    assert found
    assert found.overall == 0.7
    parts = {(one.kind, one.column, one.value): one for one in found.shown}
    assert (parts["column", "source", "fax"].score.value, parts["column", "source", "web"].score.value) == (0.0, 1.0)
    assert parts["column", "source", "fax"].score.n == 30
    assert ("column", "source", "mail") not in parts
    assert ("script", "", "han") in parts
    assert ("length", "", "3") not in parts, "all rows are no part"
    assert [one.score.value for one in found.shown] == sorted(one.score.value for one in found.shown)
    shown = slices.describe_slices(found, Words("en"))["rows"]
    assert [row["differs"] for row in shown if row["title"].startswith("source")] == ["worse", "better"]


def test_long_texts_are_cut_around_the_first_mistake_and_overlaps_are_shown_apart() -> None:
    from tunesmith.contracts import Comparison, Mark

    text = "x" * 900 + "Oslo Mills" + "y" * 900
    marks = (Mark(900, 904, "LOC", "missed"), Mark(900, 910, "ORG", "spurious"))
    lines = examples._lines([text], Comparison(2.0, 0.9, ("ORG",), ("LOC",), marks))
    assert [line.title for line in lines] == ["right", "given"]
    assert all(line.is_cut and sum(len(one.text) for one in line.segments) == 400 for line in lines)
    assert [[(one.text, one.kind) for one in line.segments if one.kind] for line in lines] == [
        [("Oslo", "missed")],
        [("Oslo Mills", "spurious")],
    ]


def test_both_languages_have_the_same_words() -> None:
    tables = [read_table(language) for language in LANGUAGES]
    assert list(tables[0]) == list(tables[1])
    for key, text in tables[0].items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(one) if name} for one in (text, tables[1][key])]
        assert fields[0] == fields[1], key
        assert text.count("`") == tables[1][key].count("`")
    with pytest.raises(ConfigError, match="no page in 'fr'"):
        read_table("fr")


def test_no_word_is_left_over() -> None:
    package = Path(reporting.__file__).parent
    files = [*package.glob("*.py"), *(package.parent / "pages" / "templates").rglob("*.html")]
    source = "\n".join(file.read_text("utf-8") for file in files)
    named = set(re.findall(r"""["']([a-z_]+[a-z0-9_.]*)["']""", source))
    families = set(re.findall(r"""["']([a-z_]+)(?:\.line)?(?:\.["'] ~|\.\{|", )""", source))
    unused = [key for key in read_table("en") if key not in named and key.partition(".")[0] not in families]
    assert unused == []


def test_every_score_has_a_name_in_both_languages(place: Path) -> None:
    for kind in ("classifier", "tagger"):
        metrics = artifact.read_artifact(place / kind).metrics
        keys = [f"metric.{name}" for name in metrics["scores"]] + [f"baseline.{name}" for name in metrics["baselines"]]
        assert [key for key in keys if key not in read_table("en")] == []


def test_the_report_takes_no_part_in_what_a_run_is(place: Path) -> None:
    """Another language or no texts is no other run; the config that is shown names no folder of this machine."""
    facts = artifact.read_artifact(place / "classifier").facts
    assert "report.html" not in facts["files"]
    shown = html.unescape(re.search(r"<pre><code>(model:.*?)</code>", read(place / "classifier"), re.DOTALL)[1])  # type: ignore[index]
    config = yaml.safe_load(shown)
    assert config["data"]["train"] == "opinions.jsonl"
    assert config["train"] == json.loads(json.dumps(facts["config"]["train"]))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"tunesmith.reporting.{name}")).failed == 0
