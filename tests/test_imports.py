"""Nothing above `engines/` brings torch: a worker for Postgres stays small, and a command starts quickly (design §2)."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from driftline import contracts
from driftline.db.connection import connect
from tests.db import world

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "peft", "vllm", "sentence_transformers", "accelerate", "driftline.engines")
ROOMS = ("activities", "commands", "db", "interests", "operations", "report", "serving", "sources", "workflows")
LOADED = "import sys; print([name for name in {heavy} if name in sys.modules])"


def modules() -> list[str]:
    files = [file for room in ROOMS for file in sorted((ROOT / room).glob("*.py")) if file.stem != "__init__"]
    rooms = [f"driftline.{file.parent.name}.{file.stem}" for file in files]
    return ["driftline.cli", "driftline.worker", "driftline.embedded", *rooms]


def heavy_after(statement: str, heavy: tuple[str, ...] = HEAVY) -> str:
    command = [sys.executable, "-c", f"{statement}; " + LOADED.format(heavy=heavy)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("entry", ["worker", "cli"])
def test_an_entry_point_alone_leaves_the_heavy_libraries_and_those_of_extras_out(entry: str) -> None:
    """A machine that counts by DuckDB needs none of the last two."""
    assert heavy_after(f"import driftline.{entry}", (*HEAVY, "pyspark", "sqlglot")) == "[]"


def test_a_server_of_lookups_starts_with_little() -> None:
    """PyArrow has a thread as soon as it is imported, which a fork would lose."""
    unwanted = (*HEAVY, "duckdb", "temporalio", "matplotlib", "typer", "pandas", "scipy", "alembic", "pyarrow")
    assert heavy_after("import driftline.serving.__main__, driftline.serving.process", unwanted) == "[]"


UNNEEDED = (
    "temporalio",
    "pyarrow",
    "numpy",
    "scipy",
    "duckdb",
    "alembic",
    "google.protobuf",
    "psutil",
    "matplotlib",
    "starlette",
    "driftline.contracts.versions",
)
"""What is large, and what a look-up in Postgres does without: of our own, what runs tell each other begins with versions."""
RUN = """
import contextlib, io, os, sys
sys.argv = ["driftline", *{arguments}]
from driftline import cli
def leave(code):
    os.write(1, repr([code, *(name for name in {heavy} if name in sys.modules)]).encode())
    os.kill(os.getpid(), 9)
os._exit = leave
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
    cli.main()
"""


@pytest.fixture
def published(postgres_url: str) -> dict[str, str]:
    """The environment of a command that finds a published table and a review, and a Temporal that it need not ask."""
    engine = connect(postgres_url)
    with engine.begin() as conn:
        world.add_served_table(conn, "test")
    engine.dispose()
    return os.environ | {"DRIFTLINE_POSTGRES_URL": postgres_url, "DRIFTLINE_TEMPORAL_ADDRESS": "127.0.0.1:1"}


def loaded_by(env: dict[str, str], tmp_path: Path, *arguments: str) -> str:
    """The command's exit code, and the large libraries that it has loaded when it ends."""
    script = RUN.format(arguments=arguments, heavy=UNNEEDED)
    options: dict[str, Any] = {"env": env | {"PYTHONPATH": str(ROOT)}, "cwd": tmp_path, "capture_output": True, "text": True}
    return str(subprocess.run([sys.executable, "-c", script], check=False, **options).stdout)


@pytest.mark.parametrize("command", ["lookup 0 1", "review list", "review list --json", "tables list", "tables history"])
def test_a_command_that_asks_postgres_starts_without_what_others_need(
    published: dict[str, str], tmp_path: Path, command: str
) -> None:
    assert loaded_by(published, tmp_path, *command.split()) == "[0]"


def test_the_evidence_of_a_review_is_shown_without_what_measured_it(published: dict[str, str], tmp_path: Path) -> None:
    assert loaded_by(published, tmp_path, "review", "show", "one") == "[0]"


def test_two_tables_are_compared_with_numpy_alone(published: dict[str, str], tmp_path: Path) -> None:
    for shown in ([], ["--json"]):
        assert loaded_by(published, tmp_path, "tables", "diff", "1", "1", *shown) == "[0, 'numpy']"


def test_status_asks_temporal_and_starts_without_the_rest(published: dict[str, str], tmp_path: Path) -> None:
    assert loaded_by(published, tmp_path, "status") == "[1, 'temporalio', 'google.protobuf']"  # 1: it does not answer


def test_status_of_a_home_where_nothing_runs_starts_without_temporal(tmp_path: Path) -> None:
    assert loaded_by(os.environ | {"DRIFTLINE_HOME": str(tmp_path)}, tmp_path, "status") == "[1]"


def test_contracts_are_found_from_the_bottom_up() -> None:
    """Whoever asks for a name loads the modules before its own: those of knobs before those of messages."""
    folder, names = ROOT / "contracts", [name.replace(".", "/") for name in contracts.MODULES]
    files = {str(file.relative_to(folder).with_suffix("")).removesuffix("/__init__") for file in folder.rglob("*.py")}
    assert files - {"__init__", "children"} == set(names)
    for before, name in enumerate(names):
        file = folder / f"{name}.py"
        text = (file if file.exists() else folder / name / "__init__.py").read_text()
        needed = re.findall(r"^from driftline\.contracts\.(\S+) import", text, re.MULTILINE)
        assert {module.replace(".", "/") for module in needed} <= {*names[:before]}, name


def test_every_module_above_the_engines_leaves_the_heavy_libraries_out() -> None:
    found = modules()
    assert {"driftline.workflows.fine_tune", "driftline.activities.training", "driftline.commands.run"} <= set(found)
    assert heavy_after("import " + ", ".join(found)) == "[]"


def test_the_check_itself_sees_a_heavy_import() -> None:
    assert "driftline.engines" in heavy_after("import driftline.engines.engine")


def test_no_class_shares_its_name_with_another() -> None:
    """One noun, one idea: whoever reads a name knows which room it is from."""
    homes: dict[str, list[str]] = {}
    for room in (*ROOMS, "contracts", "dashboards", "embedded", "engines", "settings", "system", "web"):
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    assert len(homes) > 400
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


KIN = ("huggingface-hub", "joserfc", "markupsafe", "niquests", "protobuf", "pydantic-core")
"""Halves of transformers, Authlib, Jinja2, grafana-client, temporalio and pydantic."""


def test_whatever_is_imported_is_asked_for() -> None:
    """No library is there only because another one brings it: typer brought click once, and does no more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    names = {re.split(r"[\[<>=~! ]", line)[0].lower().replace("_", "-") for line in asked} | {"driftline", *KIN}
    brings = importlib.metadata.packages_distributions()
    for room in (*ROOMS, "contracts", "dashboards", "embedded", "engines", "system", "web", "."):
        for file in (ROOT / room).glob("*.py"):
            for module in imported(ast.parse(file.read_text())):
                distributions = {name.lower().replace("_", "-") for name in brings.get(module, ())}
                assert not distributions or distributions & names, f"{file} imports {module} of {distributions}"


def imported(tree: ast.AST) -> set[str]:
    found = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in found}
