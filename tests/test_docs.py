"""The documentation against the code: settings and their defaults, examples, commands, links and named tests.

`python -m tests.test_docs` writes the settings of `docs/configuration.md` anew.
"""

import ast
import dataclasses
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from typer.main import get_command

from bench import __main__ as bench
from driftline import cli
from driftline.settings import Settings

ROOT = Path(__file__).parent.parent
CONFIGURATION = ROOT / "docs" / "configuration.md"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
BEGIN, END = "<!-- settings: written by `python -m tests.test_docs` -->", "<!-- end of settings -->"


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str
    default: str
    meaning: str

    @property
    def variable(self) -> str:
        return "DRIFTLINE_" + self.name.replace(".", "__").upper()

    @property
    def row(self) -> str:
        cells = (f"`{self.name}`", self.default, self.meaning, f"`{self.variable}`")
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def all_settings() -> Iterator[Setting]:
    """Every field of `Settings` and of every knob dataclass in it, in their order."""
    plain = Settings.model_construct()
    for name in Settings.model_fields:
        value = getattr(plain, name)
        if not dataclasses.is_dataclass(value):
            yield _setting(Settings, name, name, value)
            continue
        for field in dataclasses.fields(value):
            yield _setting(type(value), field.name, f"{name}.{field.name}", getattr(value, field.name))


def settings_table() -> str:
    """The settings as Markdown: one table a section."""
    parts: list[str] = []
    section = None
    for setting in all_settings():
        head = setting.name.rpartition(".")[0]
        if head != section:
            section = head
            parts += ["", f"### `[{head}]`" if head else "### At the top level", ""]
            parts += ["| setting | default | meaning | variable |", "|---|---|---|---|"]
        parts.append(setting.row)
    return "\n".join([*parts, ""])


def _setting(owner: type, field: str, name: str, value: object) -> Setting:
    meaning = _docstrings(owner).get(field, "")
    return Setting(name, _shown(value), meaning)


def _shown(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, timedelta):
        return f"`{TypeAdapter(timedelta).dump_python(value, mode='json')!s}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value}`"


def _docstrings(owner: type) -> dict[str, str]:
    """The line under each field of a class: Python keeps it only in the source."""
    tree = ast.parse(Path(str(sys.modules[owner.__module__].__file__)).read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__)
    found = {}
    for field, line in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(line, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(line.value)).split())
    return found


# --- configuration -----------------------------------------------------------------------------------------------------


def test_the_page_has_every_setting_with_its_default() -> None:
    written = CONFIGURATION.read_text().partition(BEGIN)[2].partition(END)[0]
    assert written == settings_table(), "run `python -m tests.test_docs`"


@pytest.mark.parametrize("setting", list(all_settings()), ids=lambda setting: setting.name)
def test_every_setting_says_what_it_means(setting: Setting) -> None:
    assert setting.meaning


EXAMPLES = re.findall(r"^```toml\n(.*?)^```", CONFIGURATION.read_text(), re.S | re.M)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_accepted(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftline.toml").write_text(example)
    loaded = Settings()
    for name, value in tomllib.loads(example).items():
        assert name in Settings.model_fields
        assert getattr(loaded, name) != getattr(Settings.model_construct(), name), f"{name} = {value} is the default"


# --- all pages ---------------------------------------------------------------------------------------------------------


def _commands(page: Path) -> Iterator[list[str]]:
    """Every `driftline …` of a page: in code blocks by line, in running text between backquotes."""
    text = page.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.S | re.M)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M))
    for line in lines:
        if line.startswith("driftline ") and not line.startswith("driftline ."):
            yield shlex.split(line.partition("  #")[0].replace("|", " ").replace("…", ""))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    for _, *words in _commands(page):
        command: Any = get_command(cli.app)
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{page.name}: driftline {' '.join(words)}"
            command = command.commands[words.pop(0)]
        known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= known | {"--help"}, f"{page.name}: {words}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        if not target.startswith("http"):
            there = page.parent / target if target else page
            assert there.exists(), target
            assert not heading or heading in _headings(there), f"{target}#{heading}"
    for name in re.findall(r"`((?:tests|docs|sources|interests|engines|activities|workflows|db|migrations)/[\w/.]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


def _headings(page: Path) -> set[str]:
    """The names by which a page's headings are linked to."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_map_names_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", (ROOT / "docs" / "operating.md").read_text()))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - linked == {"operating.md"}


@pytest.mark.parametrize("page", ["reliability.md", "security.md"])
def test_promises_name_tests_that_exist(page: str) -> None:
    """Each row of a table, but of the one of Postgres' roles, names a test as `tests/…/test_x.py::test_y`."""
    rows = [line for line in (ROOT / "docs" / page).read_text().splitlines() if re.match(r"\| (?!what|who \|)[^-]?", line)]
    assert len(rows) > 5
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert re.search(rf"def {test}\(", (ROOT / file).read_text()), f"{file}::{test}"


def test_the_page_of_benchmarks_is_made_of_what_they_measured() -> None:
    assert bench.PAGE.read_text() == bench.page(json.loads(bench.RESULTS.read_text())), "it is made, not written"


def test_missed_goals_are_named() -> None:
    rows: list[dict[str, Any]] = [
        {"metric": "a", "met": True},
        {"metric": "b", "met": None},
        {"metric": "c", "met": False},
        {"metric": "c", "met": False},
    ]
    assert bench.goals(rows) == "1 of 3 goals are met. **Missed:** c.\n\n"
    assert bench.goals(rows[:2]) == "All 1 goals are met.\n\n"
    assert bench.goals(rows[1:2]) == ""


def test_sections_of_the_design_that_are_cited_exist() -> None:
    sections = set(re.findall(r"^#+ ([0-9.]*[0-9])\.? ", (ROOT / "docs" / "design.md").read_text(), re.MULTILINE))
    files = [
        f for kind in ("py", "sql", "md") for f in ROOT.rglob(f"*.{kind}") if not f.relative_to(ROOT).parts[0].startswith(".")
    ]
    cited = {(found, f.name) for f in files for found in re.findall(r"design §([0-9.]*[0-9])", f.read_text())}
    assert len(cited) > 30
    assert {found for found, _ in cited} <= sections


def _docstrings_of(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every public class, function and method below `tree` that says what it is, with its docstring."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            if text := ast.get_docstring(node):
                yield node.name, text
            if isinstance(node, ast.ClassDef):
                yield from _docstrings_of(node)


def test_docstrings_begin_with_what_is_done_or_returned() -> None:
    """What it is of, an example, and what it raises come later."""
    files = sorted((ROOT / "driftline").glob("*.py")) + sorted((ROOT / "driftline").glob("*/**/*.py"))
    docstrings = [
        (f"{file.relative_to(ROOT)}: {name}", text)
        for file in files
        for name, text in _docstrings_of(ast.parse(file.read_text()))
    ]
    assert len(docstrings) > 800
    assert [(where, text) for where, text in docstrings if re.match(r"Of |`|Raises|E\.g\.|As ", text)] == []


def main() -> None:
    before, begin, rest = CONFIGURATION.read_text().partition(BEGIN)
    CONFIGURATION.write_text(before + begin + settings_table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
