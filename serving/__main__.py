"""The server: `python -m driftline.serving [--host HOST] [--port PORT] [--processes N]`, which `driftline serve` becomes."""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from functools import partial
from typing import Any

from driftline.serving.parent import Parent
from driftline.settings import Settings
from driftline.system.logs import log_as_json

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Of NumPy: a process of the server is one of as many as there are cores."""
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # has to be set before `serving.metrics` is imported


def main() -> int:
    settings = Settings()
    asked = replace(settings.serving, **_asked())
    with tempfile.TemporaryDirectory(prefix="driftline-metrics-") as folder:
        os.environ |= {FOLDER: folder, **dict.fromkeys(THREADS, "1")}
        log_as_json(extra=False)  # uvicorn gives its records the colours of a terminal
        from driftline.serving import metrics, process  # once, for all that are forked

        metrics.forget(os.getpid())  # the parent serves no table
        return Parent(partial(process.serve, asked, process.listen(asked)), asked.processes).run()


def _asked() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m driftline.serving", description=__doc__)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--processes", type=int)
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}


if __name__ == "__main__":
    sys.exit(main())
