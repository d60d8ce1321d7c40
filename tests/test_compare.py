"""`tunesmith compare`: two models on the same rows, what changed, what is refused, several seeds, the JSON."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import tunesmith
from tests.tiny import make_rows
from tunesmith import api, artifact, compare_report
from tunesmith.cli import app
from tunesmith.comparing import comparison, facts
from tunesmith.comparing.contestants import Contestant, check_same_question
from tunesmith.errors import UserError

SETTINGS = ["train.learning_rate=1e-2", "model.dropout=0", "task.pooling=mean", "evaluate.baselines=false"]
SETTINGS += ["evaluate.resamples=100", "train.epochs=6", "train.batch_size=8"]
ROWS = make_rows(140)
TRAIN, TEST = ROWS[:80], ROWS[80:]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return str(path)


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["compare", *map(str, words)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


class Place:
    """A folder with a trunk, data files and the models that tests compare, each made once."""

    def __init__(self, folder: Path, trunk: Path) -> None:
        self.folder, self.trunk = folder, trunk
        self.train = write(folder / "train.csv", TRAIN)
        self.test = write(folder / "test.csv", TEST)

    def fit(self, name: str, *settings: str, train: Any = None) -> Path:
        out = self.folder / "runs" / name
        if not out.exists():
            api.fit(train or self.train, out=out, settings=[f"model.name={self.trunk}", *SETTINGS, *settings])
        return out


@pytest.fixture(scope="module")
def place(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("compare"), tiny_bert)


def answer(place: Place, path: Path, wrong: Sequence[int], rows: Sequence[dict[str, Any]] = TEST) -> Path:
    """A predictions file that is right but in the rows of these numbers."""
    other = {"positive": "negative", "negative": "positive"}
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            label = other[row["label"]] if number in wrong else row["label"]
            file.write(json.dumps({**row, "prediction": {"label": label, "probability": 0.9}}) + "\n")
    return path


# Two models


def test_a_model_and_itself_do_not_differ(place: Place) -> None:
    model = place.fit("a-1", "train.seed=1")
    report = tunesmith.compare(model, model, place.test, resamples=50)
    assert report["verdict"] == "no_difference_shown"
    found = report["difference"]
    assert (found["value"], found["low"], found["high"], found["p"]) == (0, 0, 0, 1)
    assert [report["changes"][kind] for kind in ("fixed", "broken", "better", "worse")] == [0, 0, 0, 0]
    assert {row["value"] for row in report["per_class"].values()} == {0}
    assert report["settings"] == {}
    said = run(model, model, "--data", place.test).stderr
    assert "no difference can be shown: accuracy" in said
    assert "p = 1.000) on 60 rows" in said


def test_exchanging_two_models_changes_the_sign_alone(place: Place) -> None:
    good, poor = place.fit("a-1", "train.seed=1"), place.fit("short", "train.max_steps=1")
    there, back = (tunesmith.compare(*pair, place.test, resamples=50) for pair in ((poor, good), (good, poor)))
    assert there["difference"]["value"] == -back["difference"]["value"] > 0.1
    assert there["difference"]["p"] == back["difference"]["p"] < 0.05
    assert (there["verdict"], back["verdict"]) == ("b_better", "a_better")
    assert there["changes"]["fixed"] == back["changes"]["broken"]
    assert there["scores"]["macro_f1"]["a"] == back["scores"]["macro_f1"]["b"]
    evaluated = api.evaluate(good, place.test, resamples=50, baselines=False)
    assert there["difference"]["b"] == evaluated["scores"]["accuracy"]["value"]
    assert there["systems"]["b"]["runs"][0]["scores"] == evaluated["scores"]
    assert there["fingerprint"] == evaluated["fingerprint"]
    assert there["settings"]["train.max_steps"] == {"a": "1", "b": "null"}


def test_the_order_of_the_answers_names_does_not_matter(place: Place) -> None:
    """Names are sorted in the folders that fit writes; others may have them in another order."""
    first = artifact.read_artifact(place.fit("a-1", "train.seed=1"))
    turned = replace(first, labels=replace(first.labels, names=first.labels.names[::-1]))
    assert turned.labels.names != first.labels.names
    pair = [[Contestant(found.folder, found)] for found in (first, turned)]
    assert check_same_question(*pair) is first


def test_a_folder_and_a_file_of_predictions(place: Place, tmp_path: Path) -> None:
    model = place.fit("a-1", "train.seed=1")
    predicted = [one.label for one in api.load(model).predict(place.test)]
    misses = [number for number, row in enumerate(TEST) if predicted[number] != row["label"]]
    hits = [number for number in range(len(TEST)) if number not in misses]
    file = answer(place, tmp_path / "b.jsonl", wrong=hits[:2])
    report = json.loads(run(model, file, "--data", place.test, "--json").stdout)
    assert (report["changes"]["fixed"], report["changes"]["broken"]) == (len(misses), 2)
    broken = report["changes"]["examples"]["broken"][0]
    row = TEST[hits[0]]
    assert (broken["line"], broken["text"], broken["right"]) == (hits[0] + 2, row["text"], row["label"])
    assert broken["a"] == [row["label"]] != broken["b"]
    assert report["systems"]["b"]["rows_per_s"] is None
    assert report["systems"]["a"]["rows_per_s"] > 0
    facts_found = report["difference"]["facts"]
    assert (facts_found["only_before"], facts_found["only_after"]) == (2, len(misses))
    other = run(file, model, "--data", place.test).stderr
    assert f"line {hits[0] + 2}" in other


def test_what_predict_wrote_is_what_the_model_answers(place: Place, tmp_path: Path) -> None:
    model, file = place.fit("a-1", "train.seed=1"), tmp_path / "own.jsonl"
    done = CliRunner().invoke(app, ["predict", str(model), "--in", place.test, "--out", str(file)])
    assert done.exit_code == 0
    report = tunesmith.compare(model, file, place.test, resamples=50)
    assert report["difference"]["value"] == 0
    assert [report["changes"][kind] for kind in ("fixed", "broken")] == [0, 0]


def test_size_and_speed_stand_side_by_side(place: Place) -> None:
    full, lora = place.fit("a-1", "train.seed=1"), place.fit("lora", "method.name=lora")
    report = tunesmith.compare(full, lora, place.test, resamples=50)
    one, other = report["systems"]["a"], report["systems"]["b"]
    assert (one["method"], other["method"]) == ("full", "lora")
    assert one["weights_bytes"] == (full / "model.safetensors").stat().st_size
    assert other["weights_bytes"] == (lora / "adapter_model.safetensors").stat().st_size
    assert other["trained_parameters"] < one["trained_parameters"] == one["parameters"] < other["parameters"]
    assert min(one["rows_per_s"], other["rows_per_s"]) > 0
    assert report["settings"]["method.name"] == {"a": '"full"', "b": '"lora"'}


def test_another_score_may_decide(place: Place) -> None:
    pair = place.fit("a-1", "train.seed=1"), place.fit("short", "train.max_steps=1")
    said = json.loads(run(*pair, "--data", place.test, "--metric", "macro_f1", "--json").stdout)
    assert (said["headline"], said["difference"]["test"]) == ("macro_f1", "randomisation")
    assert said["difference"]["value"] == said["scores"]["macro_f1"]["value"]
    assert "did you mean 'macro_f1'" in run(*pair, "--data", place.test, "--metric", "macrof1", code=2).stderr


@pytest.mark.parametrize(("name", "value", "better"), [("accuracy", 0.1, "b_better"), ("rmse", 0.1, "a_better")])
def test_the_verdict_knows_which_scores_are_better_small(name: str, value: float, better: str) -> None:
    assert comparison.decide(value, 0.01, name) == better
    assert comparison.decide(value, 0.05, name) == "no_difference_shown"


def test_numbers_are_compared_by_their_errors(place: Place) -> None:
    values = [2.5 * (row["label"] == "positive") + n % 7 / 10 for n, row in enumerate(ROWS)]
    rows = [{"text": row["text"], "label": value} for row, value in zip(ROWS, values, strict=True)]
    models = [place.fit(f"number-{steps}", f"train.max_steps={steps}", train=rows[:80]) for steps in (1, 40)]
    report = tunesmith.compare(*models, rows[80:], resamples=50, shuffles=200)
    assert (report["headline"], report["difference"]["test"]) == ("spearman", "randomisation")
    assert report["difference"]["facts"]["shuffles"] == 200
    assert report["per_class"] == {}
    assert report["changes"]["better"] + report["changes"]["worse"] == 60
    assert isinstance(report["changes"]["examples"]["better"][0]["a"][0], float)
    assert "B is nearer" in shown(report)


def test_entities_are_compared_one_by_one(place: Place) -> None:
    names = ("Ada", "Bob", "Cleo", "Dan", "Eve", "Finn")
    rows = []
    for number in range(60):
        name = names[number % len(names)]
        text = f"{name} was great and the film {number} too"
        rows.append({"text": text, "entities": [{"start": 0, "end": len(name), "label": "PER"}]})
    settings = ["task.name=token-classification", *(s for s in SETTINGS if not s.startswith("task."))]
    folders = []
    for steps in (1, 30):
        folders.append(place.folder / "runs" / f"entities-{steps}")
        steps_set = f"train.max_steps={steps}"
        api.fit(rows[:40], out=folders[-1], settings=[f"model.name={place.trunk}", *settings, steps_set])
    report = tunesmith.compare(*folders, rows[40:], resamples=50, shuffles=500)
    assert (report["headline"], report["difference"]["test"]) == ("entity_f1", "randomisation")
    assert report["verdict"] == "b_better"
    assert report["changes"]["fixed"] > 0
    example = report["changes"]["examples"]["fixed"][0]
    assert example["right"][0]["label"] == "PER"
    assert example["right"][0]["text"] in names
    assert f"{example['right'][0]['text']} = PER" in shown(report)


# What is refused, and what is warned of


def test_rows_that_a_model_was_trained_on_are_warned_of(place: Place) -> None:
    model = place.fit("a-1", "train.seed=1")
    warnings = tunesmith.compare(model, place.fit("short", "train.max_steps=1"), place.train, resamples=50)["warnings"]
    assert sum("trained on" in warning for warning in warnings) == 2
    clean = tunesmith.compare(model, place.fit("short", "train.max_steps=1"), place.test, resamples=50)["warnings"]
    assert clean == [facts.ONE_RUN]


def test_other_answers_and_other_tasks_are_refused_by_name(place: Place) -> None:
    model = place.fit("a-1", "train.seed=1")
    renamed = [{**row, "label": {"positive": "joy"}.get(row["label"], row["label"])} for row in TRAIN]
    other = place.fit("renamed", "train.max_steps=1", train=renamed)
    said = run(model, other, "--data", place.test, code=2)
    assert "'joy'" in said.stderr
    assert "'positive'" in said.stderr
    assert said.stdout == ""
    numbers = [{**row, "label": float(n) + 0.5} for n, row in enumerate(TRAIN)]
    rated = place.fit("rated", "train.max_steps=1", train=numbers)
    assert "kind of answer is single in the one and number" in run(model, rated, "--data", place.test, code=2).stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fewer", "answers 59 rows"),
        ("more", "answers 61 rows"),
        ("order", "the text is"),
        ("no key", "no key 'prediction'"),
        ("unknown", "'joy'"),
        ("no answer", "is no answer of"),
    ],
)
def test_a_predictions_file_of_other_rows_is_refused(place: Place, tmp_path: Path, fault: str, said: str) -> None:
    file = answer(place, tmp_path / "b.jsonl", wrong=[])
    lines = file.read_text("utf-8").splitlines()
    changed = {
        "fewer": lines[:-1],
        "more": [*lines, lines[0]],
        "order": lines[::-1],
        "no key": [line.replace('"prediction"', '"answer"') for line in lines],
        "unknown": [*lines[:-1], lines[-1].replace('{"label": "positive"', '{"label": "joy"')],
        "no answer": [*lines[:-1], re.sub('"prediction": {.*}}', '"prediction": 3}', lines[-1])],
    }
    file.write_text("\n".join(changed[fault]) + "\n", "utf-8")
    result = run(place.fit("a-1", "train.seed=1"), file, "--data", place.test, code=2)
    assert said in result.stderr
    assert "fix: " in result.stderr


@pytest.mark.parametrize(
    ("systems", "said"),
    [
        (("nothing", "nothing"), "there is no folder nothing"),
        (("nothing-*", "nothing"), "no finished model fits"),
        (("one", "two", "three"), "3 systems came"),
        (("one",), "1 systems came"),
    ],
)
def test_what_is_no_pair_of_models_exits_2(systems: tuple[str, ...], said: str) -> None:
    assert said in " ".join(run(*systems, "--data", "x.csv", code=2).stderr.split())


def test_two_files_of_predictions_are_refused(place: Place, tmp_path: Path) -> None:
    file = answer(place, tmp_path / "b.jsonl", wrong=[])
    assert "both files" in run(file, file, "--data", place.test, code=2).stderr


def test_models_that_take_other_columns_are_refused(place: Place, tmp_path: Path) -> None:
    other_rows = [{"body": row["text"], "text": f"other {n}", "label": row["label"]} for n, row in enumerate(TRAIN)]
    other = place.fit("columns", "train.max_steps=1", "data.columns.text=body", train=other_rows)
    data = write(tmp_path / "both.csv", [{"body": row["text"], **row, "text": f"x{n}"} for n, row in enumerate(TEST)])
    pair = place.fit("a-1", "train.seed=1"), other
    assert "read" in run(*pair, "--data", data, code=2).stderr
    assert "text is column 'text'" in run(*pair, "--data", data, code=2).stderr
    assert run(*pair, "--data", data, "--set", "data.columns.text=body").exit_code == 0


# Several seeds


@pytest.fixture(scope="module")
def seeds(place: Place) -> Place:
    for seed in (1, 2, 3):
        place.fit(f"a-{seed}", f"train.seed={seed}")
    for seed in (4, 5):
        place.fit(f"b-{seed}", f"train.seed={seed}", "train.max_steps=1")
    return place


def test_several_seeds_give_means_and_an_interval_over_both(seeds: Place) -> None:
    runs = seeds.folder / "runs"
    result = run(f"{runs}/a-?", f"{runs}/b-?", "--data", seeds.test, "--json")
    report = json.loads(result.stdout)
    assert [len(report["systems"][side]["runs"]) for side in "ab"] == [3, 2]
    assert [one["seed"] for one in report["systems"]["a"]["runs"]] == [1, 2, 3]
    singles = [api.evaluate(runs / f"a-{s}", seeds.test, resamples=50, baselines=False) for s in (1, 2, 3)]
    mean = sum(one["scores"]["accuracy"]["value"] for one in singles) / 3
    assert report["difference"]["a"] == pytest.approx(mean)
    assert report["difference"]["test"] == "seeds_t"
    assert set(report["settings"]) == {"train.max_steps"}
    assert facts.ONE_RUN not in report["warnings"]
    assert "means of 3 and 2 runs" in result.stderr
    listed = tunesmith.compare([runs / "b-4", runs / "b-5"], [runs / "a-1"], seeds.test, resamples=50)
    assert any("B is one run" in warning for warning in listed["warnings"])


def test_a_group_that_mixes_configurations_is_refused_by_the_setting(seeds: Place) -> None:
    runs = seeds.folder / "runs"
    with pytest.raises(UserError, match=r"train\.max_steps is null in .*a-1 and 1 in .*b-4"):
        tunesmith.compare([runs / "a-1", runs / "b-4"], runs / "a-2", seeds.test)
    with pytest.raises(UserError, match="same seed, 1"):
        tunesmith.compare([runs / "a-1", runs / "a-1"], runs / "a-2", seeds.test)
    with pytest.raises(UserError, match="empty list"):
        tunesmith.compare([], runs / "a-2", seeds.test)


# What is printed


def shown(report: dict[str, Any], width: int = 100) -> str:
    file = io.StringIO()
    compare_report.show_comparison(Console(file=file, width=width, highlight=False, markup=False, emoji=False), report)
    return file.getvalue()


def test_the_report_escapes_what_data_holds(place: Place) -> None:
    report = tunesmith.compare(place.fit("a-1", "train.seed=1"), place.fit("short", "train.max_steps=1"), place.test)
    evil = "x\x1b[2J\x1b]0;y\x07"
    report["changes"]["examples"]["broken"] = [{"line": 2, "text": evil, "right": evil, "a": [evil], "b": [evil]}]
    report["per_class"] = {evil: next(iter(report["per_class"].values()))}
    report["systems"]["a"]["runs"][0]["path"] = evil
    report["warnings"] = [evil]
    said = shown(report)
    assert "x\\x1b[2J" in said
    assert "\x1b" not in said
    assert "\x07" not in said


def test_many_classes_are_shown_from_both_ends(place: Place) -> None:
    report = tunesmith.compare(place.fit("a-1", "train.seed=1"), place.fit("short", "train.max_steps=1"), place.test)
    row = next(iter(report["per_class"].values()))
    report["per_class"] = {f"class {n:02}": row for n in range(30)}
    said = shown(report)
    assert "class 00" in said
    assert "class 29" in said
    assert "class 15" not in said
    assert "18 more" in said


def test_the_json_layout_is_the_documented_one(place: Place) -> None:
    page = (Path(__file__).parent.parent / "docs" / "compare.md").read_text(encoding="utf-8")
    report = tunesmith.compare(place.fit("a-1", "train.seed=1"), place.fit("short", "train.max_steps=1"), place.test)
    rows = re.findall(r"^\| `(\w+)`((?:, `\w+`)*) \|", page, re.MULTILINE)
    documented = {name for first, more in rows for name in [first, *re.findall(r"`(\w+)`", more)]}
    assert set(report) <= documented
    for part in (report["difference"], report["changes"], report["systems"]["a"], report["systems"]["a"]["runs"][0]):
        assert {key for key in part if f"`{key}`" not in page} == set()
    json.dumps(report, allow_nan=False)
