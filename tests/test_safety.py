"""What must never stand in the package: code that runs data, shells, machine paths. No network in tests."""

import ast
import importlib
import re
import socket
from pathlib import Path

import pytest

import tunesmith

PACKAGE = Path(__file__).parent.parent / "src" / "tunesmith"
FILES = [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in sorted(PACKAGE.rglob("*.py"))]
UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "jsonpickle",
    "kernels",
}
UNSAFE_NAMES = {"eval", "exec", "compile", "__import__"}
UNSAFE_CALLS = re.compile(
    r"(joblib|torch|yaml|pandas|pd|numpy|np)\.(load|load_all|unsafe_load|full_load|save|dump|read_pickle|to_pickle)"
    r"|joblib\.\w+|os\.(system|popen)|.*\.(read_pickle|to_pickle)|.*\.allow_all_hub_kernels"
)
ALLOWED_CALLS = {"yaml.dump"}  # writes text only; reading goes through yaml.safe_load
UNSAFE_ARGUMENTS = {"shell": True, "trust_remote_code": True, "allow_pickle": True, "weights_only": False}
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|Users|root|work|mnt|opt|tmp|usr|var)/\w|[A-Z]:\\\\?\w")


def violations(source: str) -> list[str]:
    """What a module's source does that the package must not do, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        what: list[str] = []
        if isinstance(node, ast.Import):
            what = [alias.name for alias in node.names if alias.name.split(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            what = [name for name in full if name.split(".")[0] in UNSAFE_MODULES or is_unsafe_call(name)]
        elif isinstance(node, ast.Name):
            what = [node.id] if node.id in UNSAFE_NAMES else []
        elif isinstance(node, ast.Attribute):
            what = [ast.unparse(node)] if is_unsafe_call(ast.unparse(node)) else []
        elif isinstance(node, ast.keyword):
            what = [str(node.arg)] if is_unsafe_argument(node) else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            what = [match[0] for match in [MACHINE_PATH.search(node.value)] if match]
        found += [f"{getattr(node, 'lineno', '?')}: {item}" for item in what]
    return found


def is_unsafe_call(name: str) -> bool:
    return name not in ALLOWED_CALLS and UNSAFE_CALLS.fullmatch(name) is not None


def is_unsafe_argument(node: ast.keyword) -> bool:
    """Whether a keyword argument takes the unsafe value, or one that cannot be read off the source."""
    if node.arg not in UNSAFE_ARGUMENTS:
        return False
    return not isinstance(node.value, ast.Constant) or node.value.value == UNSAFE_ARGUMENTS[node.arg]


@pytest.mark.parametrize("path", FILES)
def test_source_is_safe(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from dill import loads",
        "from joblib import load",
        "joblib.load(path)",
        "import shelve",
        "eval(text)",
        "run = exec",
        "yaml.load(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "torch.load(path, weights_only=True)",
        "torch.save(state, path)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=answer)",
        "frame.to_pickle(path)",
        "DEFAULT = '/home/someone/model'",
    ],
)
def test_the_check_sees(source: str) -> None:
    assert violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "yaml.safe_load(text)",
        "yaml.dump(value)",
        "json.load(file)",
        "model.eval()",
        "re.compile(text)",
        "safetensors.torch.load_file(path)",
        "AutoModel.from_pretrained(name, trust_remote_code=False)",
        "text = 'and/or 1/2'",
    ],
)
def test_the_check_lets_pass(source: str) -> None:
    assert violations(source) == []


def test_public_names_exist() -> None:
    module = importlib.import_module("tunesmith")
    assert tunesmith.__all__
    assert len(set(tunesmith.__all__)) == len(tunesmith.__all__)
    assert [name for name in tunesmith.__all__ if not hasattr(module, name)] == []


def test_tests_cannot_reach_the_network() -> None:
    with pytest.raises(pytest.fail.Exception, match="reached for the network"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.01)
    with pytest.raises(pytest.fail.Exception, match="reached for the network"):
        socket.getaddrinfo("example.org", 443)


def test_loopback_is_open_to_tests() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]):
        pass
