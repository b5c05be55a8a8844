"""`driftline prune` by the command line: what it would delete, and then deletes."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment
from typer.testing import CliRunner

from driftline import cli
from driftline.activities.resources import artifacts_of


async def prune(*arguments: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, ["prune", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


async def test_nothing_goes_before_somebody_says_yes(
    dev_server: WorkflowEnvironment, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("DRIFTLINE_TEMPORAL_ADDRESS", dev_server.client.service_client.config.target_host)
    monkeypatch.setenv("DRIFTLINE_HOME", str(tmp_path / "home"))
    artifacts = artifacts_of(tmp_path / "home", "")
    with artifacts.folder() as folder:
        (folder / "content").write_text("2 KiB" * 410)
        place = artifacts.find(artifacts.store("prompts", folder)[0])
    os.utime(place, (time.time() - 100 * 86_400,) * 2)

    said = await prune()
    assert "may be deleted" in said
    assert "2.0 KiB" in said
    assert "nothing was deleted" in said
    assert place.exists()
    assert json.loads(await prune("--days", "200", "--json"))["files"] == []

    done = json.loads(await prune("--yes", "--json"))
    assert done["deleted"]
    assert [file["uri"] for file in done["files"]] == [place.absolute().as_uri()]
    assert not place.exists()
    assert "may be deleted" not in await prune()
