"""The command line as users meet it: what is printed where, exit codes, streams, and the traps of each command."""

import csv
import gzip
import io
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from tests.tiny import make_rows
from tunesmith import __version__, api
from tunesmith.cli import app

QUICK = {
    "train.learning_rate": "1e-2",
    "train.batch_size": "8",
    "train.epochs": "6",
    "model.dropout": "0",
    "task.pooling": "mean",
    "evaluate.resamples": "100",
}
SETTINGS = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
ROWS = make_rows(160)


def run(*words: object, stdin: bytes | None = None, code: int = 0) -> Result:
    """Run a command in this process and check its exit code."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output or code == 1
    return result


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def read_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def train_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"text": row["text"], "topic": "ab"[i // 2 % 2], "sentiment": row["label"]} for i, row in enumerate(ROWS)]
    return write_csv(tmp_path_factory.mktemp("data") / "train.csv", rows)


@pytest.fixture(scope="module")
def fitted(tiny_bert: Path, train_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("runs") / "model"
    return folder, run("fit", train_file, "--model", tiny_bert, "--out", folder, "--json", *SETTINGS)


@pytest.fixture(scope="module")
def model(fitted: tuple[Path, Result]) -> Path:
    return fitted[0]


# The program itself


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tunesmith', '--help']\n"
        "from tunesmith.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'numpy', 'pydantic', 'yaml', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("fit", "evaluate", "predict", "demo"))


def test_version() -> None:
    assert run("--version").stdout == f"tunesmith {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [("fit", "--nonsense"), ("nonsense",), ("predict",), ("predict", "x"), ("predict", "x", "a", "--in", "b")],
)
def test_wrong_usage_exits_2(words: tuple[str, ...]) -> None:
    assert run(*words, code=2).stdout == ""


def test_training_data_given_twice_exits_2() -> None:
    assert "twice" in run("fit", "a.csv", "--train", "b.csv", code=2).stderr


# fit


def test_fit_prints_people_s_output_to_stderr_and_one_object_to_stdout(fitted: tuple[Path, Result]) -> None:
    folder, result = fitted
    content = json.loads(result.stdout)
    assert content["folder"] == str(folder)
    assert content["headline"] == "accuracy"
    assert set(content["scores"]["accuracy"]) == {"value", "low", "high", "n"}
    assert content["baselines"]
    assert content["already_complete"] is False
    for said in ("144", "tunesmith fit --task", "step ", "tokens/s", "before → after fine-tuning: accuracy"):
        assert said in result.stderr
    assert "sentiment" in result.stderr, "the column taken for the label is named"


def test_the_printed_command_repeats_the_run(fitted: tuple[Path, Result]) -> None:
    folder, result = fitted
    command = next(line for line in result.stderr.splitlines() if line.startswith("tunesmith fit "))
    before = (folder / "model.safetensors").stat().st_mtime_ns
    again = run(*shlex.split(command)[1:])
    assert "already complete" in again.stderr
    assert again.stdout == ""
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_another_run_in_the_same_folder_is_refused_by_name(fitted: tuple[Path, Result], train_file: Path) -> None:
    command = next(line for line in fitted[1].stderr.splitlines() if line.startswith("tunesmith fit "))
    refused = run(*shlex.split(command)[1:], "--set", "train.seed=1", code=2)
    assert "train.seed" in refused.stderr
    assert "--out" in refused.stderr


def test_quiet_fit_says_how_good_and_where(model: Path, tiny_bert: Path, train_file: Path) -> None:
    said = run("fit", train_file, "--model", tiny_bert, "--out", model, "--quiet", *SETTINGS).stderr
    assert "before → after" in said
    assert "learning rate" not in said
    verbose = run("fit", train_file, "--model", tiny_bert, "--out", model, "--verbose", *SETTINGS).stderr
    assert "f1-score" in verbose


def test_a_config_file_and_a_recipe_lie_below_the_options(tmp_path: Path, train_file: Path) -> None:
    (tmp_path / "run.yaml").write_text("train: {epochs: 2}\nmodel: {name: nothing/here.bin}\n", encoding="utf-8")
    error = run(
        "fit", train_file, "--recipe", "classic", "--config", tmp_path / "run.yaml", "--model", "no model", code=2
    )
    assert "no model" in error.stderr


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (None, (), "does not exist"),
        ("", (), "is empty"),
        ("text,label\n", (), "no rows"),
        ("text,label\na,b\nc\n", (), "line 3"),
        ("text,label\na,b\nc,d\n", ("--set", "data.columns.label=lable"), "did you mean 'label'"),
        ("text,label\na,b\nc,d\n", ("--set", "train.epoch=3"), "train.epoch: did you mean 'epochs'"),
        ("text,label\na,b\nc,d\n", ("--set", "train.epochs"), "section.key=value"),
        ("text,label\na,b\nc,d\n", ("--recipe", "modern"), "unknown recipe"),
        ("text,label\na,b\nc,d\n", ("--task", "text-clasification"), "did you mean 'text-classification'"),
        ("text,label\na,x\nb,x\nc,x\n", (), "one class only"),
    ],
)
def test_mistakes_exit_2_with_a_remedy(tmp_path: Path, content: str | None, options: Any, said: str) -> None:
    path = tmp_path / "data.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    result = run("fit", path, "--out", tmp_path / "out", "--json", *options, code=2)
    assert result.stdout == ""
    assert said in result.stderr
    assert "fix: " in result.stderr
    assert not (tmp_path / "out" / "tunesmith.json").exists()


def test_bad_rows_are_set_aside_when_asked(tmp_path: Path, tiny_bert: Path) -> None:
    path = write_csv(tmp_path / "data.csv", ROWS[:40])
    with path.open("a", encoding="utf-8") as file:
        file.write("lonely\n")
    words = ("fit", path, "--model", tiny_bert, "--out", tmp_path / "out", "--set", "train.max_steps=1")
    assert "--skip-bad" in run(*words, code=2).stderr
    assert "1 of 41 rows" in run(*words, "--skip-bad").stderr
    assert len((tmp_path / "out" / "rejected.jsonl").read_text("utf-8").splitlines()) == 1


def test_a_fault_of_ours_exits_1_with_a_traceback(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: str) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(api, "load", fail)
    said = run("predict", model, "a", code=1).stderr
    assert "Traceback" in said
    assert "please report" in said


def test_an_interrupt_outside_training_exits_130(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(folder: str, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "load", interrupt)
    assert "interrupted" in run("evaluate", model, "--data", "x.csv", code=130).stderr


def start(*words: object, **options: Any) -> "subprocess.Popen[bytes]":
    """Run a command in a process of its own, with as many threads as this one."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "tunesmith.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options)


def test_ctrl_c_saves_and_the_printed_command_continues(
    tiny_bert: Path, train_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("fit", train_file, "--model", tiny_bert, "--set", "train.max_steps=200", "--set", "evaluate.steps=100")
    words = (*words, "--set", "evaluate.baselines=false", "--set", "train.epochs=100")
    with start(*words, cwd=tmp_path) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line.decode())
            if line.startswith(b"step 20 "):
                process.send_signal(signal.SIGINT)
        assert process.wait() == 130, "".join(said)
    assert "stopped after step" in "".join(said)
    assert "Traceback" not in "".join(said)
    command = next(line for line in reversed(said) if "fix: to continue: " in line).split("to continue: ")[1]
    monkeypatch.chdir(tmp_path)
    assert "continuing at step" in run(*shlex.split(command)[1:]).stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1, "the folder named after the clock is the same one"


# evaluate


def test_evaluate_takes_the_columns_of_training(model: Path, tmp_path: Path) -> None:
    rows = [{"label": "not this", "text": "nor this", "Mood": row["label"], "Body": row["text"]} for row in ROWS[:20]]
    plain = [{"topic": "ab"[i % 2], "sentiment": row["label"], "text": row["text"]} for i, row in enumerate(ROWS[:20])]
    path = write_csv(tmp_path / "other.csv", rows)
    named = ("--set", "data.columns.text=Body", "--set", "data.columns.label=Mood")
    remembered = json.loads(run("evaluate", model, "--data", write_csv(tmp_path / "p.csv", plain), "--json").stdout)
    given = json.loads(run("evaluate", model, "--data", path, "--json", *named).stdout)
    assert given["scores"] == remembered["scores"]
    assert given["scores"]["accuracy"]["value"] > 0.9
    assert given["baselines"].keys() == {"majority", "tfidf", "frozen"}


def test_evaluate_shows_classes_intervals_and_competitors(model: Path, train_file: Path) -> None:
    brief = run("evaluate", model, "--data", train_file).stderr.splitlines()
    brief = [line for line in brief if not line.startswith("note: ")]
    assert [line.split()[0] for line in brief] == ["before", "probabilities", "next"]
    assert shlex.split(brief[2].removeprefix("next"))[1:] == ["report", str(model), "--data", str(train_file)]
    result = run("evaluate", model, "--data", train_file, "--verbose")
    assert result.stdout == ""
    for said in ("precision", "macro avg", "right answer", "95 % interval", "majority class", "before → after"):
        assert said in result.stderr


def test_evaluate_counts_labels_it_never_learnt_as_wrong(model: Path, tmp_path: Path) -> None:
    rows = [
        {"text": row["text"], "sentiment": "unheard-of" if i < 3 else row["label"]} for i, row in enumerate(ROWS[:20])
    ]
    result = run("evaluate", model, "--data", write_csv(tmp_path / "new.csv", rows), "--json")
    report = json.loads(result.stdout)
    assert report["unseen_labels"] == {"unheard-of": 3}
    assert report["scores"]["accuracy"]["value"] <= 17 / 20
    assert sum(map(sum, report["confusion"]["matrix"])) == 17
    assert set(report["baselines"]) == {"majority", "tfidf", "frozen"}
    assert "never learnt" in result.stderr
    assert "unheard-of (3)" in result.stderr


def test_evaluate_refuses_settings_without_effect(model: Path, train_file: Path) -> None:
    said = run("evaluate", model, "--data", train_file, "--set", "train.epochs=3", code=2).stderr
    assert "no effect" in said


def test_evaluate_on_what_is_no_model(tmp_path: Path, train_file: Path) -> None:
    assert "tunesmith fit" in run("evaluate", tmp_path, "--data", train_file, code=2).stderr


# predict


def test_predict_keeps_order_and_columns(model: Path, tmp_path: Path) -> None:
    records = [{"id": i, "text": row["text"], "more": {"a": [1]}} for i, row in enumerate(ROWS)]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    lines = read_lines(run("predict", model, "--in", path).stdout)
    assert [{key: line[key] for key in ("id", "text", "more")} for line in lines] == records
    right = [line["prediction"]["label"] == row["label"] for line, row in zip(lines, ROWS, strict=True)]
    assert sum(right) / len(right) > 0.9
    assert all(line["prediction"]["probabilities"].keys() == {"negative", "positive"} for line in lines)


def test_predict_reads_stdin_gz_and_chinese(model: Path, tmp_path: Path) -> None:
    line = json.dumps({"text": "服务太差，手机坏了！", "编号": "甲"}, ensure_ascii=False) + "\n"
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(line.encode()))
    by_pipe = run("predict", model, "--in", "-", stdin=line.encode()).stdout
    out = tmp_path / "out.jsonl.gz"
    run("predict", model, "--in", packed, "--out", out)
    assert gzip.decompress(out.read_bytes()).decode() == by_pipe
    assert "服务太差" in by_pipe


def test_predict_guards_spreadsheets(model: Path, tmp_path: Path) -> None:
    rows = [
        {"text": '=HYPERLINK("x")', "note": "-3.5", "prediction": "old"},
        {"text": "a\nb", "note": "@x", "prediction": ""},
    ]
    source, out = write_csv(tmp_path / "in.csv", rows), tmp_path / "out.csv"
    run("predict", model, "--in", source, "--out", out)
    table = list(csv.DictReader(io.StringIO(out.read_text("utf-8"), newline="")))
    assert list(table[0]) == ["text", "note", "prediction", "predicted_label", "predicted_probability"]
    assert [row["text"] for row in table] == ['\'=HYPERLINK("x")', "a\nb"]
    assert [row["note"] for row in table] == ["-3.5", "'@x"]
    lines = read_lines(run("predict", model, "--in", source).stdout)
    assert lines[0]["text"] == '=HYPERLINK("x")'
    assert lines[0]["prediction"] == "old"
    assert lines[0]["prediction (2)"]["label"] in {"negative", "positive"}


def test_predict_never_overwrites_unasked(model: Path, train_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    out.write_text("mine", encoding="utf-8")
    assert "--overwrite" in run("predict", model, "--in", train_file, "--out", out, code=2).stderr
    assert out.read_text("utf-8") == "mine"
    assert "160 answers" in run("predict", model, "--in", train_file, "--out", out, "--overwrite").stderr
    assert out.read_text("utf-8").count("\n") == 161


@pytest.mark.parametrize("target", ["out.parquet", "out.xlsx", "nowhere/out.csv", "."])
def test_predict_refuses_what_it_cannot_write(model: Path, train_file: Path, tmp_path: Path, target: str) -> None:
    run("predict", model, "--in", train_file, "--out", tmp_path / target, code=2)
    assert list(tmp_path.iterdir()) == []


def test_predict_stops_at_bad_rows_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,id\ngood,1\n,2\nbad,3,x\n", encoding="utf-8")
    said = run("predict", model, "--in", source, "--out", out, code=2).stderr
    assert "line 3" in said
    assert "line 4" in said
    assert list(tmp_path.iterdir()) == [source]
    said = run("predict", model, "--in", source, "--out", out, "--skip-bad").stderr
    assert "2 of 3 rows" in said
    assert out.read_text("utf-8").count("\n") == 2
    assert [bad["line"] for bad in read_lines((tmp_path / "out.csv.rejected.jsonl").read_text("utf-8"))] == [3, 4]


def test_predict_with_only_bad_rows_is_an_error(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text,id\n,2\n", encoding="utf-8")
    run("predict", model, "--in", source, "--out", tmp_path / "o.csv", "--skip-bad", code=2)
    assert list(tmp_path.iterdir()) == [source]


def test_predict_texts_as_a_table_without_escapes(model: Path) -> None:
    result = run("predict", model, "the film was good", "这家公司\x1b[31m")
    assert "\x1b" not in result.stdout
    assert "\\x1b[31m" in result.stdout
    assert "probability" in result.stdout
    assert len(read_lines(run("predict", model, "a text", "--out", "-").stdout)) == 1


def test_a_reader_that_goes_away_is_no_fault(model: Path, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", [{"text": f"good {i}"} for i in range(2000)])
    with start("predict", model, "--in", path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# demo


def test_demo_says_which_languages_there_are() -> None:
    assert "'fr'" in run("demo", "--language", "fr", code=2).stderr


@pytest.mark.parametrize(("language", "is_given"), [("en", True), ("zh", False)])
def test_demo_goes_all_the_way_and_finds_itself_complete(
    language: str, is_given: bool, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith import demo

    monkeypatch.setattr(demo, "SETTINGS", {**demo.SETTINGS, "train": {"max_steps": 2}, "evaluate": {"resamples": 100}})
    model = ("--model", tiny_bert) if is_given else ()
    monkeypatch.chdir(tmp_path)
    words = ("demo", "--language", language, *model)
    said = run(*words).stderr
    assert "before → after fine-tuning" in said
    assert said.count("probability") == 1
    assert all(sentence.split()[0][:5] in said for sentence in demo.SENTENCES[language])
    assert "already complete" in run(*words).stderr
    assert [folder.name for folder in tmp_path.iterdir()] == [demo.FOLDERS[language]]
    assert len(set(demo.FOLDERS.values())) == len(demo.FOLDERS), "one demo may follow the other"


def test_demo_sentences_are_not_in_the_samples() -> None:
    from tunesmith.demo import SENTENCES, find_sample

    for language, sentences in SENTENCES.items():
        known = find_sample(language).read_text("utf-8")
        assert not [sentence for sentence in sentences if sentence in known]
