"""The documentation says what the code does: files, layers, links, twins, commands, settings, Python examples."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import shlex
import shutil
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from tests import configuration_page
from tests.test_layers import LAYERS
from tests.tiny import make_rows
from tunesmith import base_models, cli
from tunesmith.config import resolve_config
from tunesmith.errors import ConfigError
from tunesmith.methods import METHODS, make_method
from tunesmith.objectives import OBJECTIVES
from tunesmith.pretraining.config import resolve_pretraining
from tunesmith.settings import apply_settings, build_named, parse_setting
from tunesmith.task_guess import settle_task
from tunesmith.tasks import TASKS, make_task

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "tunesmith"
TWINS = [(ROOT / "README.md", ROOT / "README.zh.md")]
ENGLISH = sorted(page for folder in (DOCS, DOCS / "tasks") for page in folder.glob("*.md"))
TWINS += [(page, DOCS / "zh" / page.relative_to(DOCS)) for page in ENGLISH]
PAGES = [page for twins in TWINS for page in twins] + [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")]
EACH_PAGE = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]
EACH_TWIN = [pytest.param(twins, id=str(twins[0].relative_to(ROOT))) for twins in TWINS]
NOT_RUN = re.compile(r"<!-- not run: .+ -->")
WORD = "[a-z][a-z_]*"
SUFFIXES = "csv|tsv|json|jsonl|parquet|py|md|yaml|safetensors|gz|typed|whl"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    is_run: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    place = 0
    while place < len(lines):
        if lines[place].startswith("```"):
            end = next(i for i in range(place + 1, len(lines)) if lines[i] == "```")
            before = " ".join(lines[max(0, place - 2) : place])
            text = "\n".join(lines[place + 1 : end])
            yield Block(page, place + 1, lines[place][3:].strip(), text, not NOT_RUN.search(before))
            place = end
        place += 1


def prose_of(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def headings_of(page: Path) -> list[tuple[int, str]]:
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose_of(page), re.MULTILINE)]


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [DOCS / "architecture.md", DOCS / "zh" / "architecture.md"], ids=["en", "zh"])
def test_the_tree_lists_every_file_and_nothing_else(page: Path) -> None:
    tree = next(block.text for block in blocks_of(page) if block.text.startswith("src/tunesmith/"))
    listed = re.findall(r"^  (\S+) +# \S", tree, re.MULTILINE)
    paths = [p.relative_to(PACKAGE) for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files = {"methods/*.py" if p.match("methods/[a-z]*.py") else p.as_posix() for p in paths}
    assert sorted(listed) == sorted(files)
    assert len(tree.splitlines()) == len(files) + 1, "one line a file"


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_results_name_no_folder_of_a_machine(path: Path) -> None:
    named = re.findall(r'"((?:/|~|[A-Z]:\\\\)[^"]*)"', path.read_text(encoding="utf-8"))
    assert not named


@pytest.mark.parametrize("page", [DOCS / "methods.md", DOCS / "zh" / "methods.md"], ids=["en", "zh"])
def test_every_method_has_its_row(page: Path) -> None:
    assert re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE) == list(METHODS)


@pytest.mark.parametrize("page", [DOCS / "architecture.md", DOCS / "zh" / "architecture.md"], ids=["en", "zh"])
def test_the_layers_are_those_of_the_import_rule(page: Path) -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(len(LAYERS)))
    assert [set(re.findall(r"`(\w+)`", parts)) for _, parts in rows] == LAYERS


@pytest.mark.parametrize("page", EACH_PAGE)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"https?://", target):
            continue
        path, _, fragment = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links {target}"
        if fragment:
            assert fragment in {anchor(text) for _, text in headings_of(linked)}, f"{page.name} links {target}"


@pytest.mark.parametrize("page", EACH_PAGE)
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_every_page_has_a_twin_and_stands_in_the_index() -> None:
    for folder in (DOCS, DOCS / "zh"):
        index = (folder / "README.md").read_text(encoding="utf-8")
        pages = {page for part in (folder, folder / "tasks") for page in part.glob("*.md")}
        names = {page.relative_to(folder).as_posix() for page in pages} - {"README.md"}
        assert names == {page.relative_to(DOCS).as_posix() for page in ENGLISH} - {"README.md"}
        assert {name for name in names if f"({name})" not in index} == set()


@pytest.mark.parametrize("twins", EACH_TWIN)
def test_chinese_pages_have_the_same_structure(twins: tuple[Path, Path]) -> None:
    english, chinese = twins
    levels = [[level for level, _ in headings_of(page)] for page in twins]
    assert levels[0] == levels[1], "headings"
    rows = [len(re.findall(r"^\|.*\|$", prose_of(page), re.MULTILINE)) for page in twins]
    assert rows[0] == rows[1], "rows of tables"
    pairs = itertools.zip_longest(blocks_of(english), blocks_of(chinese))
    for one, other in pairs:
        assert one is not None, f"{other} has no English twin"
        assert other is not None, f"{one} has no Chinese twin"
        assert one.language == other.language
        assert untold(one) == untold(other), f"{one} and {other}"
    assert re.search("[\u4e00-\u9fff]", chinese.read_text(encoding="utf-8"))


def untold(block: Block) -> list[str]:
    """A block without what may be translated: comments, and in Python texts."""
    if block.language != "python":
        return [re.sub(r"(^|\s)# .*", "", line).rstrip() for line in block.text.splitlines()]
    skipped = {tokenize.COMMENT, tokenize.NL}
    tokens = tokenize.generate_tokens(io.StringIO(block.text).readline)
    return ["…" if t.type == tokenize.STRING else t.string for t in tokens if t.type not in skipped]


@pytest.mark.parametrize("page", EACH_PAGE)
def test_no_placeholder_is_left(page: Path) -> None:
    """Figures and the transcript come from measured runs; see docs/results.md for the commands."""
    assert re.findall(r"\{\{.*?\}\}", page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", EACH_PAGE)
def test_no_path_of_a_machine(page: Path) -> None:
    found = re.findall(r"(?<![\w.~/])/(?:home|Users|root|work|mnt|opt|tmp)/\w+", page.read_text(encoding="utf-8"))
    assert found == []


def commands_of(block: Block) -> Iterator[list[str]]:
    """The words of each command of a shell block, pipes and redirections taken apart."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;<>"):
                if command:
                    yield command
                command = [] if word[0] not in "<>" else [">"]
            else:
                command.append(word)


def shell_commands() -> list[Any]:
    blocks = [block for page in PAGES for block in blocks_of(page) if block.language in ("bash", "sh", "")]
    return [
        pytest.param(command, id=f"{block}-{place}")
        for block in blocks
        for place, command in enumerate(commands_of(block) if block.language else [])
    ]


@pytest.mark.parametrize("command", shell_commands())
def test_shell_commands_exist(command: list[str]) -> None:
    program, arguments = command[0], command[1:]
    if program == "tunesmith":
        parse_command(arguments)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in arguments if "=" not in word} <= set(targets)
    elif program == "python":
        assert arguments[0] == "-m"
        assert ROOT.joinpath(*arguments[1].split(".")).with_suffix(".py").is_file()
    else:
        assert program in {"pip", "cat", ">"}, f"{program} is not known to this test"


def parse_command(arguments: list[str]) -> None:
    """Parse a command line as the program does, without running it, and check each of its settings."""
    group = typer.main.get_command(cli.app)
    assert isinstance(group, click.Group | typer.core.TyperGroup)
    name, *rest = arguments
    assert name in group.commands, f"no command {name}"
    context = group.commands[name].make_context(name, rest)
    settings = context.params.get("setting") or []
    if name == "pretrain":
        pretraining = resolve_pretraining(
            {"objective": {"name": context.params["objective"] or "mlm"}}, settings=settings
        )
        build_named("objective", OBJECTIVES, pretraining.objective.name, pretraining.objective.options)
        return
    if name not in {"fit", "bench-methods", "models"}:  # these read a run's settings
        assert all(setting.startswith("data.") for setting in settings), "only how a file is read can be set here"
    changes = {section: {"name": context.params.get(section)} for section in ("task", "method")}
    given = {key: value for key, value in changes.items() if value["name"]}
    config = settle_task(resolve_config(given, settings=settings))
    make_task(config.task.name, config.task.options)
    make_method(config.method.name, config.method.options)


@pytest.mark.parametrize("page", EACH_PAGE)
def test_settings_that_are_named_exist(page: Path) -> None:
    known, free = configuration_page.known_keys(), configuration_page.free_keys()
    sections = "|".join({key.partition(".")[0] for key in known})
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"--set ({WORD}\.[\w.]+)=", text)
    if page.name != "architecture.md":  # there, `data.read_rows` is a function
        named += re.findall(rf"`((?:{sections})\.(?!(?:{SUFFIXES})\b){WORD}(?:\.\w+)?)(?:=[^`]*)?`", text)
    for key in set(named) - {"section.key"}:
        assert key in known or key.rpartition(".")[0] in free, f"{page.name} names the setting {key}"


@pytest.mark.parametrize("page", EACH_PAGE)
def test_settings_with_values_are_valid(page: Path) -> None:
    for setting in re.findall(rf"--set ({WORD}\.[\w.]+=[^\s`'\"]+)", page.read_text(encoding="utf-8")):
        _, value = parse_setting(setting)
        if isinstance(value, str) and value.isupper():
            continue  # a stand-in such as N
        if page.name.startswith(("pretraining", "corpora")):
            given = resolve_pretraining(settings=[setting]).objective
            assert any(is_accepted(partial(build_named, "objective", OBJECTIVES), n, given.options) for n in OBJECTIVES)
            continue
        config = resolve_config(apply_settings({}, [setting]) if "section.key" not in setting else {})
        assert any(is_accepted(make_task, name, config.task.options) for name in TASKS), setting
        assert any(is_accepted(make_method, name, config.method.options) for name in METHODS), setting


def is_accepted(make: Any, name: str, options: Any) -> bool:
    try:
        make(name, options)
    except ConfigError:
        return False
    return True


def test_the_page_of_settings_is_current() -> None:
    assert configuration_page.untranslated() == [], "mend docs/zh/configuration.json"
    for page, content in configuration_page.pages().items():
        assert page.read_text(encoding="utf-8") == content, "run python -m tests.configuration_page"


def test_every_setting_says_what_it_is_for() -> None:
    books = (configuration_page.RUN, configuration_page.PRETRAINING)
    tables = [settings for book in books for settings in configuration_page.section_tables(book).values()]
    silent = [setting.path for settings in tables for setting in settings if not setting.meaning]
    assert silent == ["task.name", "method.name", "few_shot.name", "objective.name"]


def python_pages() -> list[Any]:
    """Pages with examples that run; a Chinese page only where its examples differ from the English ones."""
    found = []
    for page in PAGES:
        run = [block for block in blocks_of(page) if block.language == "python" and block.is_run]
        english = next((one for one, other in TWINS if other == page), None)
        same = english is not None and [b.text for b in run] == [
            b.text for b in blocks_of(english) if b.language == "python" and b.is_run
        ]
        if run and not same:
            found.append(pytest.param(run, id=str(page.relative_to(ROOT))))
    return found


@pytest.fixture(scope="module")
def workplace(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that examples name and a model in runs/reviews; minilm is a tiny trunk here."""
    from tunesmith import api

    folder = tmp_path_factory.mktemp("examples")
    rows = make_rows(72)
    for name, part in {"reviews": rows[:48], "test": rows[48:], "new": rows[48:]}.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"])
            writer.writeheader()
            writer.writerows(part)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_trunk(patch, tiny_bert)
        os.chdir(folder)
        try:
            api.fit("reviews.csv", out="runs/reviews", settings=["train.epochs=1", "evaluate.resamples=100"])
        finally:
            os.chdir(before)
    return folder


def use_tiny_trunk(patch: pytest.MonkeyPatch, trunk: Path) -> None:
    real = base_models.resolve

    def resolve(name: str, *, revision: str | None = None) -> base_models.BaseModelFolder:
        return real(str(trunk) if name == "minilm" else name, revision=revision)

    patch.setattr(base_models, "resolve", resolve)


@pytest.mark.parametrize("blocks", python_pages())
def test_python_examples_run(
    blocks: list[Block], workplace: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    use_tiny_trunk(monkeypatch, tiny_bert)
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block.text, str(block), "exec"), names)


def test_examples_leave_what_they_say(workplace: Path) -> None:
    """The folder's table in docs/prediction.md names files that are there."""
    page = (DOCS / "prediction.md").read_text(encoding="utf-8")
    files = {path.name for path in (workplace / "runs" / "reviews").iterdir() if path.is_file()}
    files -= {name for name in files if name.startswith((".", "vocab", "special_tokens"))}
    assert {name for name in files if f"`{name}`" not in page} == set()


def test_the_json_layout_is_the_documented_one(workplace: Path) -> None:
    metrics = json.loads((workplace / "runs" / "reviews" / "metrics.json").read_text(encoding="utf-8"))
    page = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    assert {key for key in metrics if f"`{key}`" not in page} == set()
    assert {key for key in metrics["calibration"] if f"`{key}`" not in page} == set()
    assert {name for name in metrics["scores"] if f"`{name}`" not in page} == set()
    assert {name for name in metrics["baselines"] if f"`{name}`" not in page} == set()
