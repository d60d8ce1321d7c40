"""Exported folders: merged, read back by Hugging Face, equal; a wrong merge is refused and leaves nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from typer.testing import CliRunner, Result

from tests.contracts.harness import EACH_SAMPLE, Sample, kinds_of, make_config, make_trunks
from tests.test_artifact import ROWS, TEXTS, fit
from tests.tiny import make_rows, make_tiny_trunk
from tunesmith import api, artifact, data, exporting, fitting, inference
from tunesmith.cli import app
from tunesmith.errors import DataError, GateError, MethodError, ModelError, UserError
from tunesmith.licences import licence_files, stated_licence
from tunesmith.methods import METHODS
from tunesmith.methods.lora import Lora, LowRank
from tunesmith.model import Model
from tunesmith.model_loading import quiet_transformers
from tunesmith.packing import pack

STEEP = ("train.learning_rate=0.01", "train.max_steps=4")
"""Changes large enough to be lost visibly."""
MERGED = next(name for name, method in METHODS.items() if method.tags.mergeable and method.tags.stores == "adapter")
"""A method whose change stands beside the weights until it is merged."""
UNLABELLED = [{"text": row["text"]} for row in make_rows(9)]


@pytest.fixture(scope="module")
def tuned(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished LoRA."""
    return fit(tiny_bert, tmp_path_factory.mktemp("tuned") / "lora", "method.name=lora", *STEEP)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_the_exported_folder_answers_alike_everywhere(tuned: Path, tmp_path: Path) -> None:
    """With Tunesmith, with the class of Hugging Face and in its pipeline."""
    out = tmp_path / "exported"
    done = exporting.export(tuned, out, rows=UNLABELLED)
    assert (done.rows, done.merged, done.folder) == (9, True, out)
    assert 0 < done.largest.value <= exporting.TOLERANCE
    before, after = api.load(tuned), api.load(out)
    for one, other in zip(before.predict(TEXTS), after.predict(TEXTS), strict=True):
        assert one.label == other.label
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    with quiet_transformers():
        plain = transformers.AutoModelForSequenceClassification.from_pretrained(out).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(out)
        guess = transformers.pipeline("text-classification", model=str(out))(TEXTS[0])[0]
    encoded = tokenizer(TEXTS, padding=True, return_tensors="pt")
    rows = before.read(TEXTS, data.ReadOptions(labels_required=False)).rows
    items = before.task.encode(rows, inference.make_context(before.model, before.artifact.labels))
    with torch.no_grad():
        theirs = plain(**encoded).logits
        ours = before.task.forward(before.model, pack([[item] for item in items]))["logits"]
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)
    assert guess["label"] in before.artifact.labels.names


def test_it_keeps_what_the_model_said_of_itself(tuned: Path, tmp_path: Path) -> None:
    exporting.export(tuned, tmp_path / "exported", rows=UNLABELLED)
    old, new = artifact.read_artifact(tuned), artifact.read_artifact(tmp_path / "exported")
    assert new.facts["stores"] == "whole"
    assert (new.labels, new.metrics, new.calibration) == (old.labels, old.metrics, old.calibration)
    assert new.facts["base"]["sha256"] == old.facts["base"]["sha256"]
    names = {path.name for path in new.folder.iterdir()}
    assert {"model.safetensors", "config.json", "config.yaml", "metrics.jsonl"} <= names
    assert not [name for name in names if name.startswith(("adapter", "delta", "tmp-"))]
    card = (new.folder / "README.md").read_text()
    assert "exported by `tunesmith export`: on 9 rows" in card
    assert "transformers import pipeline" in card
    again = api.evaluate(new.folder, ROWS[16:], resamples=100)
    assert again["scores"]["accuracy"]["value"] == old.metrics["scores"]["accuracy"]["value"]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge that adds the change at another scale."""
    folded = LowRank.folded

    def wrong(self: LowRank) -> Any:
        self.scale *= 1.01
        return folded(self)

    monkeypatch.setattr(LowRank, "folded", wrong)


@pytest.mark.usefixtures("broken")
def test_a_broken_merge_is_refused_and_leaves_nothing(tuned: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", UNLABELLED)
    result = run("export", tuned, "--to", "hf", "--out", tmp_path / "exported", "--rows", rows, code=3)
    assert "nothing was written" in result.output
    assert "logits of line" in result.output or "vectors of line" in result.output
    assert "rows.jsonl differ by" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    assert api.load(tuned).predict(TEXTS)


@pytest.mark.usefixtures("broken")
def test_the_refusal_names_the_largest_difference(tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"differ by \d.*at most 1e-05 is allowed") as caught:
        exporting.export(tuned, tmp_path / "exported", rows=UNLABELLED)
    assert caught.value.exit_code == 3
    assert caught.value.fix


def test_outputs_that_are_no_numbers_are_refused(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(self: Lora, model: Model) -> None:
        with torch.no_grad():
            model.head_parameters()[-1].fill_(float("nan"))
        merge(self, model)

    merge = Lora.merge
    monkeypatch.setattr(Lora, "merge", spoil)
    with pytest.raises(GateError, match="differ by inf"):
        exporting.export(tuned, tmp_path / "exported", rows=UNLABELLED)


def test_weights_that_the_class_does_not_know_are_refused(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge that leaves its change beside the weights."""
    monkeypatch.setattr(Lora, "merge", lambda self, model: None)
    with pytest.raises(GateError, match=r"do not go together: .*base_layer"):
        exporting.export(tuned, tmp_path / "exported", rows=UNLABELLED)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_merged_is_refused_with_the_alternative(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Lora, model: Model) -> None:
        raise MethodError("its change cannot be folded into weights", fix="use the folder with Tunesmith")

    monkeypatch.setattr(Lora, "merge", refuse)
    result = run("export", tuned, "--out", tmp_path / "exported", code=2)
    assert "cannot be folded" in result.output
    assert "fix:" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_exported_or_refused(method: str, tiny_bert: Path, tmp_path: Path) -> None:
    folder = fit(tiny_bert, tmp_path / "run", f"method.name={method}", *STEEP)
    if METHODS[method].tags.mergeable:
        assert exporting.export(folder, tmp_path / "exported", rows=UNLABELLED).largest.value <= 1e-5
    else:
        with pytest.raises(MethodError):
            exporting.export(folder, tmp_path / "exported", rows=UNLABELLED)


def test_another_base_is_refused(tmp_path: Path) -> None:
    base = make_tiny_trunk(tmp_path / "base")
    folder = fit(base, tmp_path / "run", "method.name=lora")
    make_tiny_trunk(base, seed=1)
    with pytest.raises(ModelError, match=r"was tuned on .*base with SHA-256"):
        exporting.export(folder, tmp_path / "exported", rows=UNLABELLED)
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize("options", [["task.pooling=mean"], ["task.pooling=max", "task.head=mlp"]], ids=str)
def test_heads_without_a_class_are_refused(options: list[str], tiny_bert: Path, tmp_path: Path) -> None:
    folder = fit(tiny_bert, tmp_path / "run", "method.name=lora", *options)
    with pytest.raises(ModelError, match="no class for") as caught:
        exporting.export(folder, tmp_path / "exported", rows=UNLABELLED)
    assert "task.pooling=standard" in str(caught.value.fix)


def test_an_existing_folder_and_an_unknown_format_are_refused(tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        exporting.export(tuned, tmp_path, rows=UNLABELLED)
    assert "known: hf" in run("export", tuned, "--to", "onnx", "--out", tmp_path / "exported", code=2).output


def test_rows_are_those_of_the_run_unless_given(tiny_bert: Path, tmp_path: Path) -> None:
    """Development rows are found again; without them a file must be given."""
    train = write_rows(tmp_path / "train.jsonl", make_rows(40))
    config = {"model": {"name": str(tiny_bert)}, "method": {"name": "lora"}, "evaluate": {"baselines": False}}
    api.fit(train, out=tmp_path / "run", config=config, settings=["train.max_steps=2", "evaluate.resamples=100"])
    result = run("export", tmp_path / "run", "--out", tmp_path / "exported", "--json")
    said = json.loads(result.stdout)
    assert (said["source"], said["rows"]) == ("development rows", 4)
    assert said["largest"]["value"] <= said["tolerance"] == 1e-5
    train.unlink()
    with pytest.raises(DataError, match="no rows to compare") as caught:
        exporting.export(tmp_path / "run", tmp_path / "second")
    assert "--rows" in str(caught.value.fix)


@pytest.fixture(scope="module")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_trunks(tmp_path_factory.mktemp("trunks"))


@pytest.mark.parametrize("sample", EACH_SAMPLE)
def test_models_of_every_task_are_exported_or_refused(sample: Sample, trunks: dict[str, Path], tmp_path: Path) -> None:
    """Of those that write, the scores of the vocabulary are compared; heads of our own have no class there."""
    for kind in kinds_of(sample, MERGED)[:1]:
        settings = ("train.max_steps=3", "train.learning_rate=0.01", f"output.folder={tmp_path / kind}")
        config = make_config(sample, MERGED, trunks[kind], *settings, "output.report=none")
        list(fitting.run(config, sample.rows, sample.rows, in_one_go=True))
        out = tmp_path / f"{kind}-exported"
        head = artifact.read_artifact(tmp_path / kind).head
        if not head.is_standard and head.kind != "vectors":
            with pytest.raises(ModelError, match="no class for"):
                exporting.export(tmp_path / kind, out, rows=sample.rows)
            continue
        done = exporting.export(tmp_path / kind, out, rows=sample.rows)
        assert 0 < done.largest.value <= exporting.TOLERANCE
        assert done.rows == len(sample.rows)
        assert api.load(out).artifact.facts["stores"] == "whole"


@pytest.mark.usefixtures("broken")
def test_a_broken_merge_of_a_model_that_writes_is_refused(tmp_path: Path) -> None:
    """Its outputs are sums and hidden states; the scores of the vocabulary are compared as well."""
    trunk = make_tiny_trunk(tmp_path / "trunk", "llama")
    rows = [{"text": row["text"], "target": row["label"]} for row in make_rows(12)]
    config = {"model": {"name": str(trunk)}, "task": {"name": "text-to-text"}, "method": {"name": "lora"}}
    options = ["train.max_steps=3", "evaluate.baselines=false", "evaluate.resamples=100", "train.learning_rate=0.01"]
    api.fit(rows, dev=rows, out=tmp_path / "run", config=config, settings=options)
    with pytest.raises(GateError, match=r"(logits|hidden) of line"):
        exporting.export(tmp_path / "run", tmp_path / "exported", rows=rows)
    assert not (tmp_path / "exported").exists()


def test_an_interruption_leaves_nothing(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "load_published", interrupt)
    with pytest.raises(KeyboardInterrupt):
        exporting.export(tuned, tmp_path / "exported", rows=UNLABELLED)
    assert list(tmp_path.iterdir()) == []


def test_many_rows_are_thinned_evenly(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_ROWS", 4)
    assert exporting.export(tuned, tmp_path / "exported", rows=UNLABELLED).rows == 4


def test_the_licence_of_the_base_goes_along(tmp_path: Path) -> None:
    base = make_tiny_trunk(tmp_path / "base")
    (base / "README.md").write_text("---\nlicense: other\nlicense_name: my-terms\n---\n# A model\n")
    (base / "LICENSE").write_text("All of my terms.")
    folder = fit(base, tmp_path / "run", "method.name=lora")
    done = exporting.export(folder, tmp_path / "exported", rows=UNLABELLED)
    assert done.licence == "my-terms"
    assert (tmp_path / "exported" / "LICENSE").read_text() == "All of my terms."
    assert "its licence applies (`my-terms`, says its card)" in (tmp_path / "exported" / "README.md").read_text()
    assert artifact.read_artifact(shutil.copytree(tmp_path / "exported", tmp_path / "copy"))


@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("# x\n\n## Licence\n\nApache-2.0, as the project.\n", "Apache-2.0"),
        ("---\n- a\n---\nno word of it", None),
        ("---\nlicense: : {\n---\n", None),
    ],
)
def test_licences_are_read_from_cards(card: str, wanted: str | None, tmp_path: Path) -> None:
    assert stated_licence(tmp_path) is None
    (tmp_path / "README.md").write_text(card)
    (tmp_path / "NOTICE").write_bytes(b"\xff\xfe")
    assert stated_licence(tmp_path) == wanted
    assert licence_files(tmp_path) == {}
