"""What a worker serves, and what it refuses."""

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import create_engine

from driftline import worker
from driftline.activities.resources import Resources

ROOT = Path(__file__).parents[1]


def defined() -> set[str]:
    """The names of all activities in `activities/`."""
    found = set()
    for file in (ROOT / "activities").glob("*.py"):
        for _, kind in inspect.getmembers(importlib.import_module(f"driftline.activities.{file.stem}"), inspect.isclass):
            methods = inspect.getmembers(kind, inspect.isfunction)
            found |= {name for name, method in methods if hasattr(method, "__temporal_activity_definition")}
    return found


def test_every_activity_is_served_on_exactly_one_queue(tmp_path: Path) -> None:
    roles = worker.roles(Resources(create_engine("postgresql+psycopg://"), tmp_path))
    served = [activity.__name__ for role in roles.values() for activity in role.activities]
    assert sorted(served) == sorted(defined())
    assert len({role.queue for role in roles.values()}) == len(roles) == len(worker.ROLES)
    assert set(roles) == set(worker.ROLES)


def test_what_fills_a_machine_has_one_slot(tmp_path: Path) -> None:
    roles = worker.roles(Resources(create_engine("postgresql+psycopg://"), tmp_path))
    assert (roles["train"].slots, roles["generate"].slots) == (1, 1)


def start(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    command = [sys.executable, str(ROOT / "worker.py"), *arguments]
    return subprocess.run(command, env=kept | env, capture_output=True, text=True, timeout=600, check=False)


def test_an_unknown_role_is_wrong_usage() -> None:
    done = start("--role", "nonsense")
    assert done.returncode == 2
    assert all(role in done.stderr for role in ("all", *worker.ROLES))


def test_a_schema_that_is_too_old_is_refused(postgres_server: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE never_migrated")
    url = urlsplit(postgres_server)._replace(path="/never_migrated").geturl()
    done = start(DRIFTLINE_HOME=str(tmp_path), DRIFTLINE_POSTGRES_URL=url, DRIFTLINE_TEMPORAL_ADDRESS="127.0.0.1:1")
    assert done.returncode not in (0, 2)
    assert "`driftline up` or `alembic upgrade head`" in done.stderr


def test_a_log_line_is_one_json_object_with_the_ids_it_was_given() -> None:
    code = "from driftline import worker; worker.log_as_json(); worker.log.info('stage', stage='training'); "
    code += "import logging; logging.getLogger('temporalio').warning('a\\nb', extra={'workflow_id': 'w'})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = map(json.loads, done.stderr.splitlines())
    assert (first["event"], first["stage"], first["level"], first["logger"]) == ("stage", "training", "info", "worker")
    assert (second["event"], second["workflow_id"], second["level"]) == ("a\nb", "w", "warning")
    assert all(line["timestamp"].endswith("Z") for line in (first, second))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_free_port_can_be_bound(host: str) -> None:
    import socket

    with socket.create_server((host, worker.free_port(host))):
        pass


@pytest.mark.parametrize("role", ["train", "generate", "all"])
def test_a_role_that_computes_says_which_extra_it_needs(role: str) -> None:
    code = "import sys; from driftline import worker; sys.modules['torch'] = None; "
    code += f"sys.argv = ['worker.py', '--role', '{role}']; worker.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"role {role} needs torch: `pip install 'driftline[engines]'`" in done.stderr
