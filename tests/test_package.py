"""The wheel beside a project that has folders `db` and `settings` of its own: one import name, no torch, everything inside."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import sys
import db, settings, report
assert (db.OF, settings.OF, report.OF) == ("theirs", "theirs", "theirs")
from driftline.db.lookup import Snapshot
from driftline.db.connection import migrate
import driftline
migrate(sys.argv[1])
print(driftline.__file__)
print(sorted({"torch", "transformers", "db.schema"} & set(sys.modules)))
"""


def clean() -> dict[str, str]:
    """This process's environment without what leads Python to this checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DRIFTLINE_", "PYTHON"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")  # a build leaves a folder beside it
    shutil.copytree(ROOT / "driftline", source / "driftline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(folder)]
    done = subprocess.run([*pip, str(source)], env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel alone; what it depends on is lent, without what is installed as editable."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(home / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
        "-q",
        str(wheel),
    ]
    subprocess.run(pip, env=clean(), check=True, capture_output=True)
    site = next((home / "lib").glob("python*/site-packages"))
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"])
    return home


def test_the_wheel_brings_one_top_level_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"driftline"}
    assert {"driftline/py.typed", "driftline/sources/triples.sql", "driftline/report/style.css"} <= set(names)
    versions = {f"driftline/migrations/versions/{file.name}" for file in (ROOT / "migrations" / "versions").glob("*.py")}
    assert versions <= set(names)


def test_it_lives_beside_modules_of_the_same_names(environment: Path, postgres_server: str, tmp_path: Path) -> None:
    for name in ("db", "settings", "report"):
        (tmp_path / f"{name}.py").write_text("OF = 'theirs'\n")
    python = [str(environment / "bin" / "python"), "-c", USE, postgres_server.rpartition("/")[0] + "/postgres"]
    done = subprocess.run(python, cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    where, heavy = done.stdout.split("\n")[:2]
    assert Path(where).is_relative_to(environment)
    assert heavy == "[]"


def test_the_command_and_the_worker_are_there(environment: Path, tmp_path: Path) -> None:
    for command in (["driftline", "--help"], ["python", "-m", "driftline.worker", "--help"]):
        program = [str(environment / "bin" / command[0]), *command[1:]]
        done = subprocess.run(program, cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "role" in done.stdout or "Commands" in done.stdout
