"""The import rule: downward only, siblings apart, heavy libraries in one place; one loop; no names in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "tunesmith"
LAYERS = [
    {"errors", "contracts", "allocator", "dropout", "minhash", "sharing", "short_attention", "strict_yaml"}
    | {"file_lock", "text_keys"},
    {"model_files", "same_run", "settings"},
    {"config", "data", "metrics", "losses", "crf", "packing", "segments", "base_models", "events", "manifests"}
    | {"asking", "heads", "interrupts", "licences", "optimizer_state", "projection", "trunk_parts", "vector_file"}
    | {"word_edits"},
    {
        "attention",
        "pooling",
        "four_bits",
        "slots",
        "padding",
        "added_tokens",
        "child_processes",
        "durable",
        "output_files",
    },
    {"model", "folder_lock", "pages"},
    {"corpora", "generation", "guessing", "model_loading", "sentence_folder", "vocabulary", "optimization"}
    | {"frozen", "linear_layers", "peft_format", "prefixes"},
    {"likely_words", "tasks", "methods", "objectives", "architectures", "engine", "checkpoint"} | {"stored_weights"},
    {"card_use", "few_shot"},
    {
        "artifact",
        "chatting",
        "inference",
        "evaluation",
        "model_card",
        "task_guess",
        "training",
        "ledger",
        "labelled_rows",
    },
    {"notices"},
    {"artifact_loading", "preparation", "calibrating", "reporting"},
    {"abstaining", "checking", "judging", "planning", "prompting", "run_identity"},
    {"fitting", "predictor", "pretraining"},
    {"trackers", "console", "exporting", "output_filter", "prediction_files"},
    {"api", "check_report", "choice_reports", "compare_report", "method_bench"} | {"model_choice"},
    {"augmenting", "comparing", "demo", "estimator", "reports", "serving", "triples"},
    {"harm"},
    {"commands"},
    {"cli"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
ENTRY_POINTS = {"__init__", "__main__"}  # the public names and `python -m tunesmith` stand above all layers
OWNERS = {
    "transformers": {"model", "model_loading", "architectures", "four_bits", "generation"},
    "typer": {"cli", "commands"},
}
NAMELESS = ["engine.py", "checkpoint.py", "artifact.py", "artifact_loading.py", "stored_weights.py"]
FILES = [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in sorted(PACKAGE.rglob("*.py"))]


def part_of(path: Path) -> str:
    """The name in the layer table: a module, or the folder it is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere, also inside functions, with the names after `from x import`.

    The contracts speak of a Model, so they alone may name it to type checkers, in a block that never runs.
    """
    nodes = nodes_of(path)
    guards = [node for node in nodes if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    hidden = {id(node) for guard in guards if part_of(path) == "contracts" for node in guard.body}
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and id(node) not in hidden:
            assert node.level == 0, f"{path}: relative import; write the full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES)
def test_imports_go_downward(path: Path) -> None:
    part = part_of(path)
    if part in ENTRY_POINTS:
        return
    assert part in LEVEL, f"{part} stands in no layer: enter it in LAYERS and in docs/architecture.md"
    for name in imports_of(path):
        root, _, rest = name.partition(".")
        imported = rest.split(".")[0]
        if root == "tunesmith" and imported not in (part, "__version__"):
            assert imported in LEVEL, f"{path.name} imports {name}, which stands in no layer"
            assert LEVEL[imported] < LEVEL[part], f"{path.name} ({part}) imports {name}: not downward"


@pytest.mark.parametrize("path", FILES)
def test_heavy_libraries_stay_in_their_place(path: Path) -> None:
    for name in imports_of(path):
        owners = OWNERS.get(name.split(".")[0], {part_of(path)})
        assert part_of(path) in owners, f"{path.name} imports {name}; only {sorted(owners)} may"


def test_the_loop_exists_once() -> None:
    calls = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "backward"
    }
    assert calls == {"engine.py"}


def test_there_are_no_callback_classes() -> None:
    classes = [node for param in FILES for node in nodes_of(param.values[0]) if isinstance(node, ast.ClassDef)]
    assert classes
    assert not [node.name for node in classes if "callback" in node.name.lower()]


def table_names(folder: str, table: str) -> set[str]:
    """The keys of the dict literal assigned to TASKS or METHODS, without importing it."""
    for node in nodes_of(PACKAGE / folder / "__init__.py"):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and table in (getattr(t, "id", None) for t in targets):
            literal = next(inner for inner in ast.walk(node) if isinstance(inner, ast.Dict))
            return {key.value for key in literal.keys if isinstance(key, ast.Constant)}
    raise AssertionError(f"{folder}/__init__.py holds no table {table}")


@pytest.mark.parametrize("file", NAMELESS)
def test_core_names_no_task_and_no_method(file: str) -> None:
    names = table_names("tasks", "TASKS") | table_names("methods", "METHODS")
    names -= {"adapter"}  # the word for PEFT's format of weights, too, whichever method wrote them
    assert len(names) >= 2
    nodes = nodes_of(PACKAGE / file)
    json_keys = [key for node in nodes if isinstance(node, ast.Dict) for key in node.keys]
    json_keys += [node.slice for node in nodes if isinstance(node, ast.Subscript)]  # "head" is a JSON key, too
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and node not in json_keys}
    assert not texts & names
    modules = [
        name for name in imports_of(PACKAGE / file) if name.startswith(("tunesmith.tasks.", "tunesmith.methods."))
    ]
    assert {name.split(".")[2] for name in modules} <= {"TASKS", "METHODS", "make_method"}, (
        "name the tables, not their items"
    )
