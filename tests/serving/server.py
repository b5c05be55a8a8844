"""A real server in processes of its own, and a client that keeps its connection."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection, which stays with one process of the server."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def get(self, path: str, **headers: str) -> Reply:
        return self._ask("GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, value: Any) -> Reply:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self._ask("POST", path, body, {"content-type": "application/json"})

    def next(self, **ask: Any) -> Any:
        reply = self.post("/v1/next", ask)
        assert reply.status == 200, reply
        return reply.json

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        self._connection.request(method, path, body, headers)
        reply = self._connection.getresponse()
        return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())


class Server:
    def __init__(self, process: subprocess.Popen[str], port: int, log: list[str]) -> None:
        self.process, self.port, self.log = process, port, log

    def client(self) -> Client:
        return Client(self.port)

    def once(self, path: str) -> Reply:
        """Over a connection of its own: any of the processes answers."""
        client = self.client()
        try:
            return client.get(path)
        finally:
            client.close()


@contextmanager
def serving(home: Path, url: str = "", *, processes: int = 2, **settings: str) -> Iterator[Server]:
    """`settings`: variables below DRIFTLINE_SERVING__. Ready when the block begins; ended by SIGTERM."""
    env = os.environ | {"DRIFTLINE_HOME": str(home), "DRIFTLINE_POSTGRES_URL": url, "PYTHONPATH": str(ROOT)}
    env |= {f"DRIFTLINE_SERVING__{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "driftline.serving", "--port=0", f"--processes={processes}"]
    process = subprocess.Popen(command, env=env, cwd=home, stderr=subprocess.PIPE, text=True)
    log: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=log.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        assert eventually(lambda: any("running on" in line for line in log) or process.poll() is not None), log
        port = int(re.search(r"running on http://[^:]+:(\d+)", "".join(log)).group(1))  # type: ignore[union-attr]
        server = Server(process, port, log)
        assert eventually(lambda: _answers(server)), log
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join(PATIENCE)


def eventually(true: Callable[[], bool], within: float = PATIENCE) -> bool:
    end = time.monotonic() + within
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _answers(server: Server) -> bool:
    with suppress(ConnectionError):
        return server.once("/healthz").status == 200
    return False
