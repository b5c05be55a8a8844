"""Jobs that compute on one GPU take turns: each holds a lock file of the GPU for as long as its process lives."""

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import BinaryIO

from driftline.engines import child

_held: dict[Path, BinaryIO] = {}
POLL, SAY = 0.2, 5.0


def gpus(count: int) -> list[str]:
    """The first `count` GPUs that this process sees, by what CUDA_VISIBLE_DEVICES calls them."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return [visible[number] if number < len(visible) else str(number) for number in range(count)]


def take_turns(stage: str) -> None:
    """Holds the GPU that a job of one process computes on, where there is one."""
    import torch  # not above: who launches several processes needs none

    if torch.cuda.is_available():
        hold(gpus(1), stage)


def hold(names: list[str], stage: str) -> None:
    """Waits until no other job holds any of these GPUs of this machine, and holds them until the process ends.

    Always in the same order, so that no two jobs wait for each other. Waiting is progress: it says so to the worker.

    Raises:
        child.Stopped: on SIGTERM while it waits.
    """
    folder = Path(os.environ.get("DRIFTLINE_HOME", ".driftline")).resolve() / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    began = said = time.monotonic()
    for name in sorted(set(names)):
        # Homes may be shared by machines, whose GPUs have the same numbers.
        path = folder / f"{socket.gethostname()}-gpu-{name.replace('/', '-')}.lock"
        file = _held.get(path) or path.open("wb")
        while not _taken(file):
            if child.stopping():
                raise child.Stopped
            if time.monotonic() - said > SAY:
                said = time.monotonic()
                child.report(stage, 0, 0, f"waits for GPU {name}, {said - began:.0f} s")
            time.sleep(POLL)
        _held[path] = file


def _taken(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
