"""What is done to a home's processes, at random: they are killed, frozen and starved."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from driftline import embedded
from tests.end_to_end.stack import Stack


@dataclass
class Storm:
    """
    Attributes:
        done: what was done, and when (s).
    """

    stack: Stack
    chance: random.Random
    began: float = field(default_factory=time.monotonic)
    done: list[str] = field(default_factory=list)

    def strike(self) -> None:
        """One blow, and then whatever is down is started again, as an init system would."""
        blows: list[tuple[int, Callable[[], str]]] = [
            (4, lambda: self.kill("worker")),
            (3, self.kill_children),
            (2, lambda: self.kill("postgres")),
            (2, lambda: self.kill("temporal")),
            (1, lambda: self.kill("worker", "postgres", "temporal")),
            (2, lambda: self.freeze("worker", self.chance.uniform(1, 6))),
            (1, lambda: self.freeze("postgres", self.chance.uniform(1, 4))),
            (1, lambda: self.starve("worker", self.chance.uniform(2, 5))),
        ]
        blow = self.chance.choices([blow for _, blow in blows], [weight for weight, _ in blows])[0]
        self.done.append(f"{time.monotonic() - self.began:6.1f} s  {blow()}")
        for _ in range(5):
            with suppress(AssertionError):  # after a kill its port or memory may be taken for a moment
                self.stack("up")
                return
        self.stack("up")

    def kill(self, *parts: str) -> str:
        for process in self._processes(*parts):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return f"killed {', '.join(parts)}"

    def kill_children(self) -> str:
        children = [child for process in self._processes("worker") for child in process.children(recursive=True)]
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return f"killed {len(children)} children"

    def freeze(self, part: str, seconds: float) -> str:
        stopped = self._processes(part)
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(seconds)
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        return f"froze {part} for {seconds:.1f} s"

    def starve(self, part: str, seconds: float) -> str:
        """It gets a tenth of its time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.freeze(part, 0.18)
            time.sleep(0.02)
        return f"starved {part} for {seconds:.1f} s"

    def _processes(self, *parts: str) -> list[psutil.Process]:
        """Each part's first process, and for the servers those below it."""
        state, found = embedded.status(self.stack.home), []
        for part in parts:
            known = getattr(state, part)
            with suppress(psutil.NoSuchProcess):
                if known is not None:
                    process = psutil.Process(known.pid)
                    below = process.children(recursive=True) if part == "temporal" else []
                    found += [process, *below]
        return found
