"""Forks the server's processes from one that has imported everything, and replaces those that die or hang.

A forked process has its imports at once and shares their memory. Threads, loops and connections begin after the fork.
"""

import gc
import logging
import os
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from mmap import mmap
from time import monotonic

from driftline.system.processes import die_with_parent

HUNG_SECONDS = 60.0
"""A process that gives no sign of life for so long is replaced. On a machine without CPU to spare it may take a while."""
AGAIN_SECONDS = 5.0
"""After a process that ended before it was ready, until the next is tried."""
ENDING_SECONDS = 20.0
LOOK_SECONDS = 1.0
"""Between two looks at the signs of life. A death is told at once."""
END, REPLACE = (signal.SIGTERM, signal.SIGINT), signal.SIGHUP
TOLD = {*END, REPLACE, signal.SIGCHLD}

Serve = Callable[[Callable[[], None]], None]
"""What a process does. It calls what it is given when it is ready, and then every second or so."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class ServerProcess:
    pid: int
    generation: int
    """How many SIGHUPs came before it."""
    sign: mmap
    """Of life: shared with the process, which writes there when it gave the last one."""
    began: float = field(default_factory=monotonic)
    ending: bool = False

    @property
    def seen(self) -> float:
        """When the process gave its last sign; 0 until it is ready."""
        return float(struct.unpack("d", self.sign[:])[0])

    def end(self) -> None:
        self.ending = True
        os.kill(self.pid, signal.SIGTERM)


class Parent:
    """Keeps a number of processes at work until SIGTERM. On SIGHUP it replaces them, one after the other is ready."""

    def __init__(self, serve: Serve, number: int) -> None:
        self._serve, self._number = serve, number
        self._generation, self._not_before = 0, 0.0
        self._processes: list[ServerProcess] = []

    def run(self) -> int:
        """Keeps the processes running. Returns the status to exit with: not 0 if one could not start, and no other serves."""
        signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)  # they wait to be asked for; what is sent to a young child waits, too
        gc.freeze()  # the collector writes on what it looks at, which ends the sharing
        status = 0
        while not status:
            self._keep()
            told = signal.sigtimedwait(TOLD, LOOK_SECONDS)
            if told is not None and told.si_signo in END:
                break
            self._generation += told is not None and told.si_signo == REPLACE
            status = self._bury()
        for one in self._processes:
            one.end()
        end = monotonic() + ENDING_SECONDS
        while self._processes:
            signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
            self._kill(lambda _: monotonic() > end)
            self._bury()
        return status

    def _keep(self) -> None:
        """Kill what hangs, end what has a successor that is ready, start what is missing."""
        self._kill(lambda one: monotonic() - max(one.began, one.seen) > HUNG_SECONDS)
        new = [one for one in self._processes if one.generation == self._generation]
        old = [one for one in self._processes if one.generation < self._generation and not one.ending]
        ready = sum(one.seen > 0 for one in new)
        for one in old[: max(0, len(old) + ready - self._number)]:
            one.end()
        missing = self._number - len(new) if not old else int(ready == len(new) < self._number)
        for _ in range(missing if monotonic() >= self._not_before else 0):
            self._fork()

    def _kill(self, which: Callable[[ServerProcess], bool]) -> None:
        for one in filter(which, self._processes):
            log.error("process %d gives no sign of life and is killed", one.pid)
            os.kill(one.pid, signal.SIGKILL)

    def _bury(self) -> int:
        """Forget the dead. Returns the status of one that could not start, if no other serves."""
        failed = 0
        for one in list(self._processes):
            pid, status = os.waitpid(one.pid, os.WNOHANG)
            if not pid:
                continue
            self._processes.remove(one)
            if one.ending:
                continue
            code = os.waitstatus_to_exitcode(status)
            log.error("process %d ended with status %d", pid, code)
            if not one.seen:
                self._not_before = monotonic() + AGAIN_SECONDS
                failed = max(failed, code)
        return 0 if any(one.seen for one in self._processes) else failed

    def _fork(self) -> None:
        parent, sign = os.getpid(), mmap(-1, struct.calcsize("d"))
        if pid := os.fork():
            self._processes.append(ServerProcess(pid, self._generation, sign))
            return
        status = 1
        try:
            die_with_parent(signal.SIGTERM)
            if os.getppid() == parent:  # else it ended before that was said
                signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD - {REPLACE})
                self._serve(lambda: sign.__setitem__(slice(None), struct.pack("d", monotonic())))
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        except KeyboardInterrupt:
            pass  # from the terminal, which tells everybody
        except BaseException:
            log.exception("process %d cannot go on", os.getpid())
        finally:
            os._exit(status)
