"""What is done to a home's processes, at random, until it is over: they are killed, frozen and starved. It counts what it hit."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Literal

import psutil

from driftline import embedded
from tests.end_to_end.stack import Stack

Manner = Literal["killed", "frozen", "starved"]
MANNERS: tuple[Manner, ...] = ("killed", "frozen", "starved")
SERVERS = ("worker", "postgres", "temporal")
TARGETS = ("worker", "child", "postgres", "temporal")
BLOWS: list[tuple[Manner, tuple[str, ...]]] = [(manner, (target,)) for manner in MANNERS for target in TARGETS]
BLOWS.append(("killed", SERVERS))
LONGEST = 5.0
"""Seconds that a process is frozen or starved."""
STARTS = 6
LETS_UP = 1.2
START_SECONDS = 4.0
"""How long a start of what was killed takes, until one was seen."""


@dataclass
class Storm:
    """Blows come from a thread of its own, each kind before one comes again.

    Attributes:
        calm: most time between two blows, in the time that the last start took: on a slow machine blows are rarer.
        fruitless: blows since a run has ended. Each makes the next calm longer, so that every storm ends.
        done: what was done, and when (s).
        hits: blows that hit a process, by manner and target. A kill counts if the process is gone, a freeze if it stood still.
    """

    stack: Stack
    chance: random.Random
    calm: float
    began: float = field(default_factory=time.monotonic)
    done: list[str] = field(default_factory=list)
    hits: Counter[tuple[Manner, str]] = field(default_factory=Counter)
    fruitless: int = 0
    _deck: list[tuple[Manner, tuple[str, ...]]] = field(default_factory=list)
    _start_took: float = START_SECONDS
    _over: Event = field(default_factory=Event)
    _blowing: "Future[None] | None" = None

    @contextmanager
    def blowing(self) -> Iterator[None]:
        """Then everything runs again."""
        with ThreadPoolExecutor(1, "storm") as thread:
            self._blowing = thread.submit(self._blow)
            try:
                yield
            finally:
                self._over.set()
            self._blowing.result()

    def still_blows(self) -> None:
        """Raises whatever has ended the storm: servers that did not come up again."""
        if self._blowing is not None and self._blowing.done():
            self._blowing.result()

    def missed(self) -> list[str]:
        """Whatever was never hit in any manner, and manners in which nothing was."""
        met = {word for blow in self.hits for word in blow}
        return [word for word in (*TARGETS, *MANNERS) if word not in met]

    def __str__(self) -> str:
        lines = ["".join([f"{'':8}", *(f"{target:>10}" for target in TARGETS)])]
        lines += ["".join([f"{manner:8}", *(f"{self.hits[manner, target]:10}" for target in TARGETS)]) for manner in MANNERS]
        return "\n".join([f"{len(self.done)} blows, which hit:", *lines])

    def _blow(self) -> None:
        while not self._pause():
            self.strike()
            self._repair()

    def _pause(self) -> bool:
        """Whether it is over. A child lives for seconds: until the first was hit, one cuts the calm short."""
        longest = self.calm * self._start_took * LETS_UP**self.fruitless
        end = time.monotonic() + self.chance.uniform(0, longest)
        while time.monotonic() < end and not self._over.wait(0.05):
            if "child" in self.missed() and self._processes("child"):
                end = min(end, time.monotonic() + self.chance.uniform(0, 1))
        return self._over.is_set()

    def strike(self) -> None:
        """One blow: the next in the deck that has a target now, and first those that hit what nothing has hit so far."""
        possible = [blow for blow in self._shuffled() if all(self._processes(target) for target in blow[1])]
        missed = self.missed()
        new = [blow for blow in possible if blow[0] in missed or any(target in missed for target in blow[1])]
        for manner, targets in (new or possible)[:1]:
            self._deck.remove((manner, targets))
            seconds = self.chance.uniform(0.5, LONGEST)
            hit = self._kill(targets) if manner == "killed" else self._hold(targets, seconds, manner)
            self.hits.update((manner, target) for target in targets if hit[target])
            what = ", ".join(f"{target} ({hit[target]} processes)" for target in targets)
            lasted = "" if manner == "killed" else f" for {seconds:.1f} s"
            self.done.append(f"{time.monotonic() - self.began:6.1f} s  {manner} {what}{lasted}")
            print(self.done[-1], flush=True)
            self.fruitless += 1

    def _shuffled(self) -> list[tuple[Manner, tuple[str, ...]]]:
        """The deck; another beneath it once none but a child's blows are left."""
        if all(targets == ("child",) for _, targets in self._deck):
            more = [blow for blow in BLOWS if blow not in self._deck]
            self.chance.shuffle(more)
            self._deck += more
        return self._deck

    def _kill(self, targets: tuple[str, ...]) -> Counter[str]:
        struck = [(target, process) for target in targets for process in self._processes(target)]
        for _, process in struck:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        end = time.monotonic() + 10
        while any(lives(process) for _, process in struck) and time.monotonic() < end:
            time.sleep(0.01)
        return Counter(target for target, process in struck if not lives(process))

    def _hold(self, targets: tuple[str, ...], seconds: float, manner: Manner) -> Counter[str]:
        """Frozen: it stands still. Starved: it gets a tenth of its time."""
        struck = [(target, process) for target in targets for process in self._processes(target, below=True)]
        stood, turn, end = Counter[str](), seconds if manner == "frozen" else 0.18, time.monotonic() + seconds
        while time.monotonic() < end and not self._over.is_set():
            try:
                for _, process in struck:
                    with suppress(psutil.NoSuchProcess):
                        process.suspend()
                self._over.wait(turn)
                now = Counter(target for target, process in struck if state(process) == psutil.STATUS_STOPPED)
                stood |= now
            finally:
                for _, process in struck:
                    with suppress(psutil.NoSuchProcess):
                        process.resume()
            time.sleep(0.02)
        return stood

    def _repair(self) -> None:
        """Whatever is down is started again, as an init system would."""
        began, starts = time.monotonic(), 0
        while not all(getattr(embedded.status(self.stack.home), server) for server in SERVERS):
            starts += 1
            with suppress(*([AssertionError] if starts < STARTS else [])):  # its port or memory may be taken for a moment
                self.stack("up")
            self._start_took = time.monotonic() - began

    def _processes(self, target: str, below: bool = False) -> list[psutil.Process]:
        """Those that live. Temporal's server is below its doorman; Postgres' own die with the first, and stand still only by
        themselves."""
        known = getattr(embedded.status(self.stack.home), "worker" if target == "child" else target)
        found = []
        with suppress(psutil.NoSuchProcess):
            if known is not None:
                first = psutil.Process(known.pid)
                if target == "child":
                    found = first.children(recursive=True)
                elif target == "temporal" or (target == "postgres" and below):
                    found = [first, *first.children(recursive=True)]
                else:
                    found = [first]
        return [process for process in found if lives(process)]


def state(process: psutil.Process) -> str:
    try:
        return str(process.status()) if process.is_running() else psutil.STATUS_DEAD
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)


def lives(process: psutil.Process) -> bool:
    return state(process) not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
