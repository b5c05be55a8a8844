"""What a piece of work costs, in a process of its own: a peer's memory is not ours, and a peak is a process's."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Spent:
    cpu: float
    """Seconds, user and system, of the process and its children."""
    wall: float
    peak: float
    """MiB of resident memory, with the interpreter and its libraries."""
    answer: str
    """Equal where the answers are."""


def spend(module: str, *arguments: str, python: Path | str = sys.executable, **variables: str) -> Spent:
    """Runs `python -m module arguments`, which has to end with `report`.

    Args:
        python: of a peer with packages of its own.
        variables: of the environment, beside what this process has.
    """
    # As the engines' own processes have it (`engines.child.arm`): threads that spin while they wait are nobody's work.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"} | variables
    command = [python, "-m", module, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return Spent(**json.loads(done.stdout.splitlines()[-1]))


def report(work: Callable[[], Result], answer: Callable[[Result], str] = str) -> None:
    """Does the work and writes what it cost to stdout. Imports and making the `answer` of the result cost nothing."""
    cpu, wall = _cpu(), time.perf_counter()
    result = work()
    cpu, wall, peak = _cpu() - cpu, time.perf_counter() - wall, _peak()
    print(json.dumps(asdict(Spent(cpu, wall, peak, answer(result)))))


def least(of: list[Spent]) -> Spent:
    """The best round by each measure. The answer is that of all rounds, or says that they differ."""
    answers = {spent.answer for spent in of}
    return Spent(
        min(spent.cpu for spent in of),
        min(spent.wall for spent in of),
        min(spent.peak for spent in of),
        answers.pop() if len(answers) == 1 else f"differs from round to round: {sorted(answers)}",
    )


def first_of(of: list[Spent]) -> Spent:
    """The best round by each measure, with the answer of the first.

    Threads add up in no fixed order, so that the last digits of a loss may change from round to round.
    """
    return replace(least(of), answer=of[0].answer)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak() -> float:
    # Not ru_maxrss, which a process inherits from the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
