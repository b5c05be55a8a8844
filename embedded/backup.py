"""A copy of a home while it runs, and a home made of one.

Temporal's state is taken first, then Postgres, then the artifacts: each names only what the ones after it hold. A run that is
restored asks for its newest steps again, and they find what they have made.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from driftline import embedded
from driftline.embedded import postgres
from driftline.embedded.state import open_private

MANIFEST = "backup.json"
"""Written last: a folder without it is no backup."""
DUMP, TEMPORAL, ARTIFACTS = "postgres.dump", "temporal.db", "artifacts"
SMALL = ("allowed", "driftline.toml")


def backup(home: Path, to: Path) -> dict[str, Any]:
    """Copy a home with its servers running, into a new folder that only its owner reads; what was copied.

    Raises:
        RuntimeError: there is something already, Postgres does not run here, or it cannot be read.
    """
    home, state = home.absolute(), embedded.status(home)
    if to.exists() and any(to.iterdir()):
        raise RuntimeError(f"{to} is not empty: name a new folder")
    if state.postgres is None:
        raise RuntimeError("Postgres does not run here: `driftline up` first, or copy the whole home while it is down")
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (home / TEMPORAL).exists():
        open_private(to / TEMPORAL).close()
        with closing(sqlite3.connect(home / TEMPORAL)) as running, closing(sqlite3.connect(to / TEMPORAL)) as copy:
            running.backup(copy)
    with open_private(to / DUMP):
        _run("pg_dump", state.postgres_url, "--format=custom", "--file", str(to / DUMP))
    if (home / ARTIFACTS).is_dir():
        shutil.copytree(home / ARTIFACTS, to / ARTIFACTS, ignore=shutil.ignore_patterns(".new-*", "damaged"))
    for name in SMALL:
        if (home / name).is_dir():
            shutil.copytree(home / name, to / name)
        elif (home / name).exists():
            shutil.copy2(home / name, to / name)
    made = {"driftline": metadata.version("driftline"), "at": datetime.now(UTC).isoformat(), "roles": _roles(state.postgres_url)}
    with open_private(to / MANIFEST) as file:
        json.dump(made, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    return made | {"bytes": sum(path.stat().st_size for path in to.rglob("*") if path.is_file())}


def restore(source: Path, home: Path) -> dict[str, Any]:
    """Make a new home of a backup; Postgres runs then, and `up` starts the rest. Passwords and ports are new.

    Raises:
        RuntimeError: it is no whole backup, the home is in use, or Postgres refuses it.
    """
    if not (source / MANIFEST).is_file():
        raise RuntimeError(f"{source} is no whole backup: it has no {MANIFEST}")
    made: dict[str, Any] = json.loads((source / MANIFEST).read_text())
    taken = [name for name in ("state.json", "postgres", TEMPORAL, ARTIFACTS) if (home / name).exists()]
    if taken:
        raise RuntimeError(f"{home} is in use (it has {', '.join(taken)}): name another home, or move it away")
    state = embedded.up(home, temporal=False)
    _make_roles(state.postgres_url, made["roles"])
    _run("pg_restore", state.postgres_url, "--no-owner", "--exit-on-error", str(source / DUMP))
    if (source / TEMPORAL).exists():
        shutil.copy2(source / TEMPORAL, home / TEMPORAL)
    for name in (ARTIFACTS, *SMALL):
        if (source / name).is_dir():
            shutil.copytree(source / name, home / name)
        elif (source / name).exists():
            shutil.copy2(source / name, home / name)
    return made


def _run(program: str, url: str, *arguments: str) -> None:
    """One of Postgres' programs, its password not among its arguments, which everybody sees."""
    import psycopg.conninfo

    found = psycopg.conninfo.conninfo_to_dict(url)
    environment = os.environ | {"PGPASSWORD": str(found["password"])}
    where = [f"--{name}={found[key]}" for name, key in (("host", "host"), ("port", "port"), ("username", "user"))]
    command = [str(postgres.programs() / program), *where, f"--dbname={found['dbname']}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")


def _roles(url: str) -> list[str]:
    """Names the roles that rights may be granted to: a restored database names them."""
    import psycopg

    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname")]


def _make_roles(url: str, names: list[str]) -> None:
    """Creates the roles that are missing, without a login: its password is in no backup."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(url) as connection:
        have = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for name in sorted(set(names) - have):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
