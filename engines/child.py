"""The child's side of the process protocol: dies with its parent, reads its job, prints progress, stops when asked.

Exit codes: 0 done, 2 bad input (the last line of stderr says what to do), 75 stopped on SIGTERM, anything else a fault.
"""

import ctypes
import dataclasses
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from contracts import Progress

BAD_INPUT = 2
STOPPED = 75  # EX_TEMPFAIL: run the same job again and it goes on from where it stopped
PR_SET_PDEATHSIG = 1

Job = TypeVar("Job")
_asked_to_stop = False
_began: tuple[float, float] | None = None


class Stopped(Exception):
    """The job noticed `stopping()` and has saved what it had."""


def arm() -> None:
    """Ties this process to its parent, listens to SIGTERM, shares its cores. Called before the slow imports; harmless twice."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = os.environ.get("DRIFTLINE_PARENT_PID")
    if parent is not None and os.getppid() != int(parent):  # it died before prctl
        sys.exit(1)
    signal.signal(signal.SIGTERM, _on_sigterm)
    global _began
    _began = _began or (0.0, time.monotonic() - time.process_time())
    # OpenMP's threads spin while they wait for each other, unless told otherwise before torch is loaded. On cores that are shared
    # with other work that took 2.3 times the CPU time and 2.6 times the wall time (2 threads, 2 busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def stopping() -> bool:
    """Whether SIGTERM came: save, then raise `Stopped`."""
    return _asked_to_stop


def began() -> tuple[float, float]:
    """Readings of `time.process_time` and `time.monotonic` when the job began: with its process, or now if that is no child."""
    return _began or (time.process_time(), time.monotonic())


def report(stage: str, done: int, total: int, note: str = "") -> None:
    """Prints one `Progress` as a line of JSON."""
    print(json.dumps(dataclasses.asdict(Progress(stage, done, total, note))), flush=True)


def main(job_type: type[Job], run: Callable[[Job], Any]) -> None:
    """Runs the job whose JSON file is the only argument, and exits."""
    arm()
    try:
        run(TypeAdapter(job_type).validate_json(Path(sys.argv[1]).read_bytes()))
    except Stopped:
        sys.exit(STOPPED)
    except ValueError as error:
        traceback.print_exc()
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        sys.exit(BAD_INPUT)


def threads() -> int:
    """Cores this process may use: OMP_NUM_THREADS, else its CPU affinity cut by the cgroup's quota (containers)."""
    if asked := os.environ.get("OMP_NUM_THREADS"):
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def _on_sigterm(signum: int, frame: object) -> None:
    global _asked_to_stop
    _asked_to_stop = True
