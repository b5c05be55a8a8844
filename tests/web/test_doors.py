"""The page as a process: whose a connection is, live runs, and that it ends when it is told to."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from driftline.embedded import processes, tokens
from driftline.embedded.state import State
from tests.operations.test_reviews import Shop, shop
from tests.test_doors import as_nobody, needs_root

__all__ = ["shop"]


@contextmanager
def serving(url: str, temporal: str, home: Path) -> Iterator[str]:
    """`python -m driftline.web` over these servers; its address."""
    port = processes.free_port(State(), "web")
    env = {**os.environ, "DRIFTLINE_HOME": str(home), "DRIFTLINE_POSTGRES_URL": url, "DRIFTLINE_TEMPORAL_ADDRESS": temporal}
    command = [sys.executable, "-m", "driftline.web", "--port", str(port)]
    page = subprocess.Popen(command, env=env | processes.python_path(), cwd=home)
    try:
        assert processes.wait_until(lambda: processes.listens(port), 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        page.send_signal(signal.SIGTERM)
        assert page.wait(120) in (0, -signal.SIGTERM)


def ask(address: str, cookie: str = "") -> str:
    request = urllib.request.Request(address, headers={"Cookie": cookie} if cookie else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


class _Here(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def log_in(address: str, home: Path) -> str:
    """A session's cookie."""
    with pytest.raises(urllib.error.HTTPError) as redirect:
        urllib.request.build_opener(_Here).open(f"{address}/login?token={tokens.issue(home)}")
    assert redirect.value.code == 303
    return str(redirect.value.headers["Set-Cookie"]).partition(";")[0]


@needs_root
def test_another_user_of_the_machine_is_turned_away_even_with_the_owners_cookie(
    postgres_url: str, dev_server: WorkflowEnvironment, tmp_path: Path
) -> None:
    with serving(postgres_url, dev_server.client.service_client.config.target_host, tmp_path) as address:
        cookie = log_in(address, tmp_path)
        assert ask(address, cookie).startswith("200")
        stolen = as_nobody(lambda: ask(address, cookie))
        assert "403 this page is of another user" in stolen
        assert "403" in as_nobody(lambda: ask(f"{address}/login"))


async def test_runs_are_alive(shop: Shop) -> None:
    """A list at once, and another one when a run has come."""
    target = shop.context.settings.temporal_address
    async with shop.worker():
        with serving(shop.context.settings.postgres_url, target, shop.folder) as address:
            cookie = await asyncio.to_thread(log_in, address, shop.folder)
            request = urllib.request.Request(f"{address}/runs/events", headers={"Cookie": cookie})
            stream = await asyncio.to_thread(urllib.request.urlopen, request, None, 60)
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            first = await asyncio.to_thread(event, stream)
            handle = await shop.refresh()
            await shop.opened(handle)
            assert handle.id not in first
            until = time.monotonic() + 60
            while "waits for review" not in (seen := await asyncio.to_thread(event, stream)) and time.monotonic() < until:
                pass
            assert handle.id in seen
            stream.close()
            await handle.terminate()


def event(stream: object) -> str:
    """The next event's data."""
    for line in stream:  # type: ignore[attr-defined]
        if line.startswith(b"data: "):
            return str(json.loads(line.removeprefix(b"data: ")))
    raise AssertionError("the stream has ended")
