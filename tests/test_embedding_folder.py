"""The finished folder of vectors: sentence-transformers' format, plain transformers, the command line, NumPy files."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from typer.testing import CliRunner

from tests.contracts.harness import Sample, read_sample
from tests.tiny import make_tiny_trunk
from tunesmith import api, artifact, cli
from tunesmith.errors import DataError, ModelError
from tunesmith.model_loading import quiet_transformers

SAMPLES = Path(__file__).parent / "contracts" / "samples"
PEER = """
import json, sys
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
print(json.dumps(model.encode(json.loads(sys.argv[2])).tolist()))
"""


@pytest.fixture(scope="module")
def sample() -> Sample:
    return read_sample(SAMPLES / "embedding.jsonl")


@pytest.fixture(scope="module")
def texts(sample: Sample) -> list[str]:
    return [text for row in sample.rows for text in row.values()]


@pytest.fixture(scope="module")
def trunks(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trunks")
    return {family: make_tiny_trunk(folder / family, family, texts) for family in ("bert", "llama")}


def fit(trunk: Path, sample: Sample, out: Path, *settings: str) -> Path:
    common = ["train.epochs=1", "evaluate.resamples=100", "evaluate.baselines=false", "train.learning_rate=1e-3"]
    config = {"model": {"name": str(trunk)}, "task": {"name": "embedding", "group_size": 8}}
    api.fit(sample.rows, dev=sample.rows, out=out, config=config, settings=[*common, *settings])
    return out


def vectors_of(folder: Path, texts: list[str]) -> Any:
    return np.array([np.asarray(answer.vector) for answer in api.load(folder).predict(texts)])


def plain_vectors(folder: Path, texts: list[str]) -> Any:
    """What the files say, done with nothing but transformers: modules in order, on padded texts."""
    with quiet_transformers():
        model = transformers.AutoModel.from_pretrained(folder).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    modules = json.loads((folder / "modules.json").read_text())
    kinds = [module["type"].removeprefix("sentence_transformers.models.") for module in modules]
    assert kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
    assert [module["idx"] for module in modules] == list(range(len(modules)))
    length = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    pooling = json.loads((folder / modules[1]["path"] / "config.json").read_text())
    modes = [key for key, value in pooling.items() if key.startswith("pooling_mode") and value]
    batch = tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    assert pooling["word_embedding_dimension"] == states.shape[-1]
    if modes == ["pooling_mode_mean_tokens"]:
        found = (states * mask).sum(1) / mask.sum(1)
    elif modes == ["pooling_mode_cls_token"]:
        found = states[:, 0]
    else:
        assert modes == ["pooling_mode_lasttoken"]
        found = states[torch.arange(len(texts)), batch["attention_mask"].sum(1) - 1]
    return torch.nn.functional.normalize(found, dim=-1).numpy() if len(kinds) == 3 else found.numpy()


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("bert", []),
        ("bert", ["task.pooling=first", "task.normalize=true"]),
        ("llama", ["task.pooling=last", "model.max_tokens=6"]),
    ],
)
def test_files_say_how_the_vectors_are_made(
    family: str, settings: list[str], trunks: dict[str, Path], sample: Sample, texts: list[str], tmp_path: Path
) -> None:
    folder = fit(trunks[family], sample, tmp_path / "run", *settings)
    np.testing.assert_allclose(vectors_of(folder, texts), plain_vectors(folder, texts), atol=1e-5)
    assert json.loads((folder / "config_sentence_transformers.json").read_text())["similarity_fn_name"] == "cosine"
    assert (folder / "2_Normalize").is_dir() == ("task.normalize=true" in settings)
    listed = artifact.read_facts(folder)["files"]
    assert {"modules.json", "1_Pooling/config.json", "sentence_bert_config.json"} <= set(listed)
    assert "SentenceTransformer" in (folder / "README.md").read_text()


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="it is not installed")
def test_sentence_transformers_gives_the_same_vectors(
    trunks: dict[str, Path], sample: Sample, texts: list[str], tmp_path: Path
) -> None:
    """In a process of its own: importing it takes seconds and changes what others log."""
    folder = fit(trunks["bert"], sample, tmp_path / "run", "task.normalize=true")
    command = [sys.executable, "-c", PEER, str(folder), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(vectors_of(folder, texts), json.loads(done.stdout.splitlines()[-1]), atol=1e-5)


def test_a_damaged_file_below_is_found(trunks: dict[str, Path], sample: Sample, tmp_path: Path) -> None:
    folder = fit(trunks["bert"], sample, tmp_path / "run")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"1_Pooling/config\.json"):
        api.load(folder)


def test_a_folder_of_another_task_replaces_it_whole(trunks: dict[str, Path], sample: Sample, tmp_path: Path) -> None:
    folder = fit(trunks["bert"], sample, tmp_path / "run", "task.normalize=true")
    fit(trunks["bert"], sample, tmp_path / "run", "method.name=bitfit", "output.overwrite=true")
    assert not [name for name in ("1_Pooling", "2_Normalize", "modules.json") if (folder / name).exists()]
    assert "with Tunesmith only" in (folder / "README.md").read_text()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout if "--json" in arguments else result.output


def test_the_command_line(trunks: dict[str, Path], sample: Sample, texts: list[str], tmp_path: Path) -> None:
    data, out = tmp_path / "pairs.csv", str(tmp_path / "run")
    data.write_text("question,answer\n" + "".join(f"{r['text']},{r['text_b']}\n" for r in sample.rows))
    common = ["--model", str(trunks["bert"]), "--out", out, "--set", "train.epochs=1"]
    common += ["--set", "evaluate.resamples=100"]
    said = run("fit", str(data), "--task", "embedding", "--dev", str(data), *common)
    assert "embedding, pairs" in said
    assert "recall_at_5" in said
    assert "before → after" in said
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f"{text}\n" for text in texts))
    run("predict", out, "--in", str(tmp_path / "texts.csv"), "--out", str(tmp_path / "vectors.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "vectors.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == texts
    run("predict", out, "--in", str(tmp_path / "texts.csv"), "--out", str(tmp_path / "vectors.npy"))
    matrix = np.load(tmp_path / "vectors.npy")
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array([line["prediction"]["vector"] for line in lines], dtype=np.float32))
    run("predict", out, "--in", str(data), "--out", str(tmp_path / "cosines.csv"))
    head, first, *_ = (tmp_path / "cosines.csv").read_text().splitlines()
    assert head == "question,answer,predicted_similarity"
    assert float(first.rpartition(",")[2]) == pytest.approx(
        float(matrix[0] @ matrix[1] / np.linalg.norm(matrix[0]) / np.linalg.norm(matrix[1])), abs=1e-5
    )
    assert "numbers)" in run("predict", out, "Is the pool heated?")
    judged = json.loads(run("evaluate", out, "--data", str(data), "--json"))
    assert {"frozen", "tfidf"} == set(judged["baselines"])
    assert judged["gain"]["test"] == "mcnemar_mid_p"
    assert "verdict" in json.loads(run("check", str(data), "--task", "embedding", "--json"))


def test_npy_holds_vectors_only(trunks: dict[str, Path], sample: Sample, tmp_path: Path) -> None:
    folder = fit(trunks["bert"], sample, tmp_path / "run")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in sample.rows))
    target = tmp_path / "out.npy"
    result = CliRunner().invoke(cli.app, ["predict", str(folder), "--in", str(rows), "--out", str(target)])
    assert result.exit_code == 2
    assert "is no vector" in result.output
    assert not target.exists()
    with pytest.raises(DataError, match="not written"):
        cli_format("out.npy.gz")


def cli_format(target: str) -> str:
    from tunesmith.output_files import choose_format

    return choose_format(target)
