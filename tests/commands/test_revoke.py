"""A table that was revoked: every command that shows its channel says so, on a real Postgres and a real Temporal."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment
from typer.testing import CliRunner

from driftline import cli
from driftline.db import channels, connection
from tests.db import world


async def driftline(*arguments: str, code: int = 0) -> str:
    """What `driftline …` says on standard output and errors, or the message that it ends with."""
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, list(arguments), env={"COLUMNS": "400"})
    assert result.exit_code == code, (arguments, result.output, result.exception)
    raised = result.exception if not isinstance(result.exception, SystemExit) else ""
    return " ".join(f"{result.output} {raised or ''}".split())


async def asked(*arguments: str) -> Any:
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, [*arguments, "--json"])
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return json.loads(result.stdout)


async def test_a_revoke_is_said_wherever_the_table_is_seen(
    dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("DRIFTLINE_TEMPORAL_ADDRESS", dev_server.client.service_client.config.target_host)
    engine = connection.connect(postgres_url)
    with engine.begin() as conn:
        first, second = world.add_good_table(conn), world.add_good_table(conn, day=1)
        for table in (first, second):
            channels.publish(conn, table, "default", "driftline")
    engine.dispose()
    warning = f"channel default serves table {second}, which is not approved (revoke by ana"
    back = f"`driftline tables rollback --channel default --to {first}`"
    said = await driftline("review", "revoke", str(second), "--as", "ana", "--reason", "the log was wrong")
    assert f"table {second} is revoked by ana" in said
    for command in (
        *(("status",), ("tables", "list"), ("tables", "show", str(second)), ("lookup", "0", "1")),
        ("report", str(second), "--stored"),
    ):
        said = await driftline(*command)
        assert warning in said, command
        assert back in said, command
    assert warning not in await driftline("tables", "show", str(first))
    (seen,) = (await asked("status"))["not_approved"]
    assert (seen["channel"], seen["version"], seen["rollback_to"]) == ("default", second, first)
    assert not (await asked("lookup", "0", "1"))["approved"]
    assert [v["known_by"] for v in (await asked("tables", "show", str(second)))["verdicts"]] == ["claimed"]
    assert [row["approved"] for row in await asked("tables", "list")] == [True, False]
    assert "revoke by ana" in await driftline("tables", "publish", str(second), "--channel", "other", code=1)
    assert "nothing to revoke" in await driftline("review", "revoke", str(second), "--as", "ben", code=1)
    assert "one line" in await driftline("review", "revoke", str(first), "--as", "ben\x07", code=1)
    assert "no transition table 99" in await driftline("review", "revoke", "99", code=1)
    await driftline("tables", "rollback", "--to", str(first))
    assert "not approved" not in await driftline("status")
