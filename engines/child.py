"""The child's side of the process protocol: dies with its parent, reads its job, prints progress, stops when asked.

Exit codes: 0 done, 2 bad input (a line of stderr that begins with `REFUSAL` says what to do), 75 stopped on SIGTERM, anything
else a fault.
"""

import dataclasses
import gc
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from driftline.contracts import BadInput, Progress
from driftline.contracts.children import BAD_INPUT, REFUSAL, STOPPED
from driftline.interests.cores import cores
from driftline.system.processes import die_with_parent

SAY = 5.0  # seconds between two words while a model is loaded
RANK = "DRIFTLINE_RANK"
"""The variable by which one of several processes that share a training knows which it is."""
OF_ANOTHER_JOB = re.compile(
    "(RANK|WORLD_SIZE|(LOCAL|GROUP|ROLE|NODE)_(RANK|WORLD_SIZE)|MASTER_(ADDR|PORT)"
    "|(TORCHELASTIC|ACCELERATE|FSDP|DEEPSPEED|PMI|OMPI_COMM_WORLD|MV2_COMM_WORLD|MPI_LOCALN?RANK).*)"
)
"""Variables of what launched the worker (torchrun, Kubeflow, MPI): torch would take this job for a part of that one."""

Job = TypeVar("Job")
_asked_to_stop = False
_began: tuple[float, float] | None = None


class Stopped(Exception):
    """The job noticed `stopping()` and has saved what it had."""


def arm() -> None:
    """Ties this process to its parent, listens to SIGTERM, and keeps out what is meant for others.

    Called before the slow imports; harmless twice.
    """
    die_with_parent()
    parent = os.environ.get("DRIFTLINE_PARENT_PID")
    if parent is not None and os.getppid() != int(parent):  # it died before prctl
        sys.exit(1)
    signal.signal(signal.SIGTERM, _on_sigterm)
    global _began
    _began = _began or (0.0, time.monotonic() - time.process_time())
    # OpenMP's threads spin while they wait for each other, unless told otherwise before torch is loaded. On cores that are shared
    # with other work that took 2.3 times the CPU time and 2.6 times the wall time (2 threads, 2 busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    gc.disable()  # until the modules are loaded, whose objects all stay: it took a fifth of the CPU time
    if RANK not in os.environ:
        for name in filter(OF_ANOTHER_JOB.fullmatch, list(os.environ)):
            del os.environ[name]


def skip_scikit_learn() -> None:
    """Keeps out what transformers imports for assisted decoding alone, in a fifth of the CPU time of a start."""
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]


def stopping() -> bool:
    """True once SIGTERM came: save, then raise `Stopped`."""
    return _asked_to_stop


def began() -> tuple[float, float]:
    """Readings of `time.process_time` and `time.monotonic` when the job began: with its process, or now if that is no child."""
    return _began or (time.process_time(), time.monotonic())


def report(stage: str, done: int, total: int, note: str = "") -> None:
    """Prints one `Progress` as a line of JSON."""
    print(json.dumps(dataclasses.asdict(Progress(stage, done, total, note))), flush=True)


@contextmanager
def loading(stage: str, done: int = 0, total: int = 0) -> Iterator[None]:
    """Reports the CPU time of this process while the block runs: whoever loads gigabytes gets on, whoever waits for a dead disk
    does not."""
    over = threading.Event()

    def say() -> None:
        while True:
            report(stage, done, total, f"loading, {time.process_time():.1f} CPU-s")
            if over.wait(SAY):
                return

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main(job_type: type[Job], run: Callable[[Job], Any]) -> None:
    """Runs the job whose JSON file is the only argument, and exits."""
    arm()
    gc.freeze()
    gc.enable()
    try:
        run(TypeAdapter(job_type).validate_json(Path(sys.argv[1]).read_bytes()))
    except Stopped:
        sys.exit(STOPPED)
    except BadInput as error:
        traceback.print_exc()
        sys.stderr.write(f"\n{REFUSAL}{' '.join(str(error).split())}\n")  # at once: others may write, too
        sys.stderr.flush()
        sys.exit(BAD_INPUT)


def threads() -> int:
    """Threads to compute with: the first number of OMP_NUM_THREADS (the others are of nested loops), else as many as cores."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(given) if given.isdecimal() and int(given) else cores()


def _on_sigterm(signum: int, frame: object) -> None:
    global _asked_to_stop
    _asked_to_stop = True
