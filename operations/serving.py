"""One look-up by HTTP, as a site makes it, for whoever wants to see that it works."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

from driftline.embedded.processes import python_path
from driftline.operations.context import Context

START_SECONDS = 60.0


def ask(context: Context, question: dict[str, Any]) -> dict[str, Any]:
    """The answer of a server (docs/serving.md) that is started for this one request.

    Raises:
        RuntimeError: it does not start, nothing is published, or it refuses the request.
    """
    with _server(context) as address:
        request = urllib.request.Request(f"{address}/v1/next", json.dumps(question).encode())
        try:
            with urllib.request.urlopen(request, timeout=START_SECONDS) as reply:
                answer: dict[str, Any] = json.load(reply)
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["error"]) from None
    return answer


@contextmanager
def _server(context: Context) -> Iterator[str]:
    """Starts a server of look-ups and yields its address; it ends with the block."""
    settings = context.addressed
    env = os.environ | python_path() | {"DRIFTLINE_HOME": str(settings.home.absolute())}
    env |= {"DRIFTLINE_POSTGRES_URL": settings.postgres_url}
    command = [sys.executable, "-P", "-m", "driftline.serving", "--host=127.0.0.1", "--port=0", "--processes=1"]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    late = Timer(START_SECONDS, process.kill)
    late.start()
    try:
        assert process.stderr is not None
        lines = (re.search(r"running on (http://[\w.:]+)", line) for line in process.stderr)
        found = next((line for line in lines if line), None)
        if found is None:
            raise RuntimeError("`driftline serve` does not start here: run it to see why")
        while not _listens(found[1]):
            if process.poll() is not None:
                raise RuntimeError("`driftline serve` ended: run it to see why")
            time.sleep(0.05)
        late.cancel()
        yield found[1]
    finally:
        late.cancel()
        process.terminate()
        process.communicate()


def _listens(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=START_SECONDS):
            return True
    except OSError:
        return False
