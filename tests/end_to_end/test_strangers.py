"""Whoever reaches Temporal is still not the worker's user: no SQL, no file and no URL but those that the owner has named."""

import json
import subprocess
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import make_url

from driftline import embedded
from driftline.embedded import temporal
from tests.end_to_end.stack import LOG_PASSWORD, Stack

WINDOWS = {"days": 20, "test_days": 20}


def start(stack: Stack, name: str, workflow: str, request: Any) -> str:
    """Start a run past the command line, and wait; how it ended."""
    address = embedded.status(stack.home).temporal_address
    command = [temporal.binary(), "workflow", "execute", "--address", address, "--type", workflow, "--workflow-id", name]
    command += ["--task-queue", "driftline-workflows", "--input", json.dumps(request), "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    return done.stdout + done.stderr


def test_a_run_that_brings_its_own_log_is_refused(stack: Stack, cluster_set: Any, tmp_path: Path) -> None:
    file = tmp_path / "written by a stranger"
    setup = f"COPY (SELECT content FROM read_text('{stack.home}/state.json')) TO '{file}'"
    honest = {"events": str(stack.folder / "events.csv"), "items": str(stack.folder / "items.csv"), "positive": "quantity > 0"}
    for number, source in enumerate([honest | {"setup": setup}, honest | {"positive": "getenv('HOME') = ''"}]):
        for workflow, more in (
            ("FineTune", {"windows": WINDOWS, "nominal": "2024-04-01T00:00:00Z"}),
            ("RagRefresh", {"windows": WINDOWS, "nominal": "2024-04-01T00:00:00Z", "cluster_set": cluster_set["version"]}),
            ("BuildClusters", {}),
            ("AssignItems", {}),
        ):
            said = start(stack, f"stranger-{workflow}-{number}", workflow, {"source": source, **more})
            assert "refused" in said or "no approved model" in said, said
    assert not file.exists()


def test_so_is_one_that_brings_a_model_or_a_database_to_count_in(stack: Stack, cluster_set: Any, tmp_path: Path) -> None:
    honest = {"events": str(stack.folder / "events.csv"), "items": str(stack.folder / "items.csv"), "positive": "quantity > 0"}
    run = {"source": honest, "windows": {"days": 70, "test_days": 20}, "nominal": "2024-04-01T00:00:00Z"}
    said = start(stack, "stranger-engine", "FineTune", run | {"counting": {"engine": "sql:postgresql+psycopg://evil.example/x"}})
    assert "this counting.engine is refused" in said, said
    said = start(
        stack, "stranger-model", "FineTune", run | {"training": {"base_model": str(tmp_path)}, "samples": {"pairs_per_label": 4}}
    )
    assert "this model is refused" in said, said
    said = start(
        stack, "stranger-embeddings", "BuildClusters", {"source": honest, "clusters": {"embedding_model": str(tmp_path)}}
    )
    assert "this model is refused" in said, said


def test_no_password_is_anywhere_after_a_run_that_failed(stack: Stack, cluster_set: Any) -> None:
    """Postgres' own, those of its owner, workers and readers; and the log's, which `source.setup` and `counting.engine` name."""
    state = embedded.status(stack.home)
    passwords = [str(make_url(url).password) for url in (state.postgres_url, state.worker_url, state.reader_url)]
    assert len({*passwords, "None"}) == 4
    said = stack("run", "fine-tune", "--wait", "--at", "2024-03-30", "--set", "source.positive=nonsense > 0", code=1)
    assert "failed" in said
    broken = "source.setup=SELECT '${LOG_PASSWORD}' FROM nowhere"
    said += stack("run", "fine-tune", "--wait", "--at", "2024-03-26", "--set", broken, code=1)
    assert "nowhere" in said
    said += stack("ingest", "--set", broken, code=1)
    with psycopg.connect(state.postgres_url, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE log LOGIN PASSWORD '{LOG_PASSWORD}'".encode())
    engine = f"counting.engine=sql:postgresql+psycopg://log:${{LOG_PASSWORD}}@127.0.0.1:{state.ports['postgres']}/driftline"
    counted = ("--set", engine, "--set", "source.events=SELECT * FROM nowhere")
    said += stack("run", "fine-tune", "--wait", "--at", "2024-03-22", *counted, code=1)
    assert "permission denied for schema public" in said, "it came in by that password, and no further"
    said += stack("status") + stack("status", "--json") + stack("tables", "list") + stack("run", "fine-tune", "--at", "x", code=2)
    address = embedded.status(stack.home).temporal_address
    for day in (22, 26, 30):
        show = [temporal.binary(), "workflow", "show", "--output", "json", "--workflow-id", f"fine-tune-2024-03-{day}"]
        said += subprocess.run([*show, "--address", address], capture_output=True, text=True, check=True).stdout
    for process in psutil.process_iter(["cmdline"]):
        said += " ".join(process.info["cmdline"] or [])
    assert "WORKFLOW_EXECUTION_FAILED" in said
    assert not [password for password in (*passwords, LOG_PASSWORD) if password in said]
    keepers = {stack.home / "state.json", stack.home / "pgpass"}
    files = {path: path.read_bytes() for path in stack.home.rglob("*") if path.is_file()}
    for password in passwords:
        assert {path for path, content in files.items() if password.encode() in content} == keepers
    assert not [path for path, content in files.items() if LOG_PASSWORD.encode() in content]


def test_the_worker_is_no_owner_of_postgres(stack: Stack, cluster_set: Any) -> None:
    with psycopg.connect(embedded.status(stack.home).postgres_url) as conn:
        others = "SELECT DISTINCT usename FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        assert conn.execute(others).fetchall() == [("worker",)]
