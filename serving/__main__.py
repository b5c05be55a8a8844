"""The server: `python -m driftline.serving [--host HOST] [--port PORT] [--processes N]`, which `driftline serve` becomes.

A parent listens, starts the processes, replaces one that dies or hangs, and on SIGHUP one after the other without a gap.
"""

import argparse
import os
import signal
import tempfile
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from driftline.settings import Settings
from driftline.system.logs import log_as_json
from driftline.system.processes import die_with_parent

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Of NumPy: a process of the server is one of as many as there are cores."""
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # has to be set before `serving.metrics` is imported
HUNG_SECONDS = 60
"""A process that does not answer its parent for so long is replaced. On a machine without CPU to spare it may take a while."""
DRAIN_SECONDS = 3
"""Requests get so long to end after SIGTERM; then waiting ones are cut off, and ask again elsewhere."""


def main() -> None:
    settings = Settings()
    asked = replace(settings.serving, **_asked())
    with tempfile.TemporaryDirectory(prefix="driftline-metrics-") as folder:
        os.environ[FOLDER] = folder
        os.environ |= dict.fromkeys(THREADS, "1")
        log_as_json(extra=False)  # uvicorn gives its records the colours of a terminal
        config = Config(
            "driftline.serving.__main__:application",
            factory=True,
            host=asked.host,
            port=asked.port,
            workers=asked.processes,
            loop="uvloop",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            timeout_worker_healthcheck=HUNG_SECONDS,
        )
        Multiprocess(config, sockets=[config.bind_socket()]).run()


def application() -> ASGIApp:
    """In each of the processes: it ends with its parent."""
    die_with_parent(signal.SIGTERM)
    log_as_json(extra=False)  # uvicorn gives its records the colours of a terminal
    from driftline.serving.app import make  # the parent answers nothing and needs none of it

    return make(Settings())


def _asked() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m driftline.serving", description=__doc__)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--processes", type=int)
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}


if __name__ == "__main__":
    main()
