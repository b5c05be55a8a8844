"""A child process that does as its job says: `python -m tests.activities.actor JOB.json`, on the real side of the protocol."""

import atexit
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from driftline.contracts import BadInput
from driftline.engines import child, device


@dataclass(frozen=True)
class Part:
    """`folder`: where the actor leaves traces of what it did."""

    act: str
    folder: str


def play(part: Part) -> None:
    folder = Path(part.folder)
    (folder / "pid").write_text(str(os.getpid()))
    if part.act == "refuse":
        print("noise that is no progress", flush=True)
        atexit.register(lambda: print("a library says goodbye", file=sys.stderr))
        print("half a line", end="", file=sys.stderr, flush=True)
        raise BadInput("the window is empty: choose another")
    if part.act == "misuse":  # what Python itself ends with where its arguments are wrong
        sys.exit(2)
    if part.act == "roar":
        for stream in (sys.stdout, sys.stderr):
            print("o" * 1_000_000, file=stream, flush=True)
    if part.act == "crash":
        print("about to fall", file=sys.stderr, flush=True)
        os._exit(7)
    if part.act == "killed":  # as the kernel does it
        print("about to fall", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if part.act == "hoard":
        resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
        bytearray(1 << 33)
    if part.act == "hang":
        child.report("training", 1, 9)
        while True:
            time.sleep(0.05)
            child.report("training", 1, 9, "alive, but no further")
    if part.act == "load":
        child.SAY = 0.1
        with child.loading("training"):
            over = time.monotonic() + 8
            while time.monotonic() < over:  # it computes a third of the time
                until = time.process_time() + 0.02
                while time.process_time() < until:
                    pass
                time.sleep(0.04)
            (folder / "loaded").touch()
            time.sleep(600)
    if part.act == "turns":
        device.hold(["fake", "other"], "training")
        with (folder.parent / "log").open("a") as log:
            print("in", file=log, flush=True)
            time.sleep(1)
            print("out", file=log, flush=True)
        return
    if part.act == "silent":
        time.sleep(600)
    for step in range(1, 1000 if part.act == "work" else 4):
        child.report("training", step, 3, f"home {os.environ['DRIFTLINE_HOME']}")
        if child.stopping():
            (folder / "checkpoint").write_text(str(step))
            raise child.Stopped
        time.sleep(0.05)


if __name__ == "__main__":
    child.main(Part, play)
