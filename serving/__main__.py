"""The server: `python -m driftline.serving [--host HOST] [--port PORT] [--processes N]`, which `driftline serve` becomes.

A parent listens, starts the processes, replaces one that dies or hangs, and on SIGHUP one after the other without a gap.
"""

import argparse
import ctypes
import logging
import os
import signal
import sys
import tempfile
from dataclasses import replace
from typing import Any

import structlog
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from driftline.settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # has to be set before `serving.metrics` is imported
PR_SET_PDEATHSIG = 1
HUNG_SECONDS = 60
"""A process that does not answer its parent for so long is replaced. On a machine without CPU to spare it may take a while."""
DRAIN_SECONDS = 3
"""Requests get so long to end after SIGTERM; then waiting ones are cut off, and ask again elsewhere."""


def main() -> None:
    settings = Settings()
    asked = replace(settings.serving, **_asked())
    with tempfile.TemporaryDirectory(prefix="driftline-metrics-") as folder:
        os.environ[FOLDER] = folder
        log_as_json()
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
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    log_as_json()
    from driftline.serving.app import make  # the parent answers nothing and needs none of it

    return make(Settings())


def log_as_json() -> None:
    """One JSON object a line, on stderr, as a worker logs."""
    before: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    as_json: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(default=str),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=as_json))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _asked() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m driftline.serving", description=__doc__)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--processes", type=int)
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}


if __name__ == "__main__":
    main()
