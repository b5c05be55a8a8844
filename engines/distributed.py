"""Several processes that share one training, one per GPU: started with torchrun's variables, and ended together (docs/adr/0014).

The launcher only starts the ranks, forwards SIGTERM, and turns their exit codes into its own.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pydantic import TypeAdapter

from driftline.contracts import BadInput, TrainJob
from driftline.contracts.children import STOPPED
from driftline.engines import child, device

POLL = 0.05


def launch(module: str) -> None:
    """Runs `python -m module JOB.json` as `training.processes` ranks and exits as they do; returns in a rank, or for one process.

    A rank that fails takes the others with it. Rank 0 alone writes to stdout.
    """
    if child.RANK in os.environ:
        return
    processes = TypeAdapter(TrainJob).validate_json(Path(sys.argv[1]).read_bytes()).training.processes
    if processes > 1:
        try:
            device.hold(device.gpus(processes), "training")
        except child.Stopped:
            sys.exit(STOPPED)
        sys.exit(_exit_code(_start(module, processes)))


def rank() -> int:
    """Which of the processes this is; 0 where there is one."""
    return int(os.environ.get(child.RANK, "0"))


def take_gpu(processes: int) -> None:
    """Makes the rank's own GPU the current one, where there are any.

    Raises:
        BadInput: there are not enough.
    """
    import torch  # not above: who launches the others needs none

    gpus = torch.cuda.device_count()
    if gpus and processes > gpus:
        raise BadInput(f"training.processes is {processes}, but this machine has {gpus} GPUs: lower it")
    if gpus:
        torch.cuda.set_device(rank())


def _start(module: str, processes: int) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(max(1, child.threads() // processes)),
        "DRIFTLINE_PARENT_PID": str(os.getpid()),
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", module, *sys.argv[1:]],
            env=os.environ | shared | {child.RANK: str(rank), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=None if rank == 0 else subprocess.DEVNULL,
            close_fds=False,  # the lock of the job's folder is held as long as a rank lives
        )
        for rank in range(processes)
    ]


def _exit_code(ranks: list[subprocess.Popen[bytes]]) -> int:
    """Waits for all ranks and merges their exit codes. They stop at the same step, but rank 0 then has a checkpoint to write."""
    told = False
    while None in (codes := [rank.poll() for rank in ranks]):
        if child.stopping() and not told:
            told = True
            for rank in ranks:
                rank.terminate()
        if any(code not in (None, 0, STOPPED) for code in codes):
            for rank in ranks:
                rank.kill()
        time.sleep(POLL)
    # A rank that had only begun to start ends by SIGTERM itself. The others, which wait for it in vain, are killed.
    if told and set(codes) <= {STOPPED, -signal.SIGTERM, -signal.SIGKILL}:
        return STOPPED
    return next((code if code > 0 else 1 for code in codes if code and code != -signal.SIGKILL), int(any(codes)))
