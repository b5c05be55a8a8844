"""Nothing above `engines/` brings torch: a worker for Postgres stays small, and a command starts quickly (design §2)."""

import subprocess
import sys
from pathlib import Path

import pytest

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
def test_an_entry_point_alone_leaves_the_heavy_libraries_out(entry: str) -> None:
    assert heavy_after(f"import driftline.{entry}") == "[]"


@pytest.mark.parametrize("entry", ["worker", "cli"])
def test_an_entry_point_leaves_the_libraries_of_extras_out(entry: str) -> None:
    """A machine that counts by DuckDB need not have them."""
    assert heavy_after(f"import driftline.{entry}", ("pyspark", "sqlglot")) == "[]"


def test_a_server_of_lookups_starts_with_little() -> None:
    """Each of its processes has what is imported here in its memory."""
    unwanted = (*HEAVY, "duckdb", "temporalio", "matplotlib", "typer", "pandas", "scipy", "alembic")
    assert heavy_after("import driftline.serving.__main__, driftline.serving.app", unwanted) == "[]"


def test_every_module_above_the_engines_leaves_the_heavy_libraries_out() -> None:
    found = modules()
    assert {"driftline.workflows.fine_tune", "driftline.activities.training", "driftline.commands.run"} <= set(found)
    assert heavy_after("import " + ", ".join(found)) == "[]"


def test_the_check_itself_sees_a_heavy_import() -> None:
    assert "driftline.engines" in heavy_after("import driftline.engines.files")
