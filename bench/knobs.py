"""What two knobs of the engines cost: a second thread, and gradient checkpointing.

python -m bench.knobs [--rounds 2]
"""

import json
from argparse import ArgumentParser
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench.inference import CASES, Case, write_prompts
from bench.machine import auto
from bench.precision import INFERENCE, STEPS, TRAINING
from bench.rows import ResultRow, row, show
from bench.spent import Spent, first_of, spend
from bench.training import CLUSTERS, write_samples

NAME = "knobs"
PACKAGES = ("torch", "transformers", "peft")
NOTE = """
Our engines in the precision that `auto` takes here, on the prompts and samples of *Precision*: `OMP_NUM_THREADS=2` (ours)
beside 1, and `training.gradient_checkpointing` (ours) beside keeping all, with one thread.
"""


def rows(small: bool = False) -> list[ResultRow]:
    return compare(replace(CASES[0], blocks=1, pairs=4), 1, 1) if small else compare(CASES[0], STEPS, 2)


def compare(case: Case, steps: int, rounds: int) -> list[ResultRow]:
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        write_prompts(prompts := Path(folder, case.name), case)
        samples = write_samples(CLUSTERS, Path(folder))
        answering = ("--run", INFERENCE, "--data", str(prompts))
        training = ("--run", TRAINING, "--data", samples, "--steps", str(steps))
        pairs = case.blocks * case.pairs
        two, one = _in_turn(rounds, Run(answering, threads=2), Run(answering))
        same, about = json.loads(two.answer) == json.loads(one.answer), f"{case.name}, {pairs} pairs"
        found = [
            row(NAME, f"{about}: seconds per checked answer", two.wall / pairs, one.wall / pairs, "one thread", same_answer=same),
            row(NAME, f"{about}: CPU-s per checked answer", two.cpu / pairs, one.cpu / pairs, "one thread"),
        ]
        two, one = _in_turn(rounds, Run(training, threads=2), Run(training))
        tokens = json.loads(one.answer)["tokens"]
        found += [
            row(NAME, "training: ms per token", 1e3 * two.wall / tokens, 1e3 * one.wall / tokens, "one thread"),
            row(NAME, "training: CPU-ms per token", 1e3 * two.cpu / tokens, 1e3 * one.cpu / tokens, "one thread"),
        ]
        again, kept = _in_turn(rounds, Run((*training, "--checkpointed")), Run(training))
        about, same = "training, checkpointed", json.loads(again.answer)["losses"] == json.loads(kept.answer)["losses"]
        return [
            *found,
            row(NAME, f"{about}: CPU-ms per token", 1e3 * again.cpu / tokens, 1e3 * kept.cpu / tokens, "all kept", "", same),
            row(NAME, f"{about}: peak memory in MiB", again.peak, kept.peak, "all kept"),
        ]


@dataclass(frozen=True)
class Run:
    arguments: tuple[str, ...]
    threads: int = 1

    def spend(self) -> Spent:
        return spend("bench.precision", "--precision", auto(), *self.arguments, OMP_NUM_THREADS=str(self.threads))


def _in_turn(rounds: int, ours: Run, peer: Run) -> tuple[Spent, Spent]:
    """The least of both."""
    spent = [(ours.spend(), peer.spend()) for _ in range(rounds)]
    first, second = (first_of(list(of)) for of in zip(*spent, strict=True))
    return first, second


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    show(compare(CASES[0], STEPS, parser.parse_args().rounds), Console())


if __name__ == "__main__":
    main()
