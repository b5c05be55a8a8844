"""What bfloat16 buys on this kind of machine: our own engines in it, beside the same in float32.

python -m bench.precision [--rounds 2]
"""

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from bench.inference import CASES, Case, write_prompts
from bench.machine import auto
from bench.rows import ResultRow, row, show
from bench.spent import Spent, first_of, report, spend
from bench.training import CLUSTERS, OURS, Asked, Setup, write_samples

NAME = "precision"
PACKAGES = ("torch", "transformers", "peft")
NOTE = """
Our engines in bfloat16 and float32, on the prompts of *Inference* and the samples of *Training*; there is a goal only where a
processor multiplies in bfloat16. That model is not fine-tuned, so many answers are nearly ties. Of the demo's candidates:
[adr/0016](adr/0016-every-interest-in-a-prompt.md).
"""
PRECISIONS = ("bfloat16", "float32")
INFERENCE, TRAINING = "inference", "training"
STEPS = 4


def rows(small: bool = False) -> list[ResultRow]:
    return compare([replace(CASES[0], blocks=1, pairs=4)], 1, 1) if small else compare(CASES[:2], STEPS, 2)


def compare(cases: "list[Case] | tuple[Case, ...]", steps: int, rounds: int) -> list[ResultRow]:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    goal, found = "≥ 2.5" if auto() == "bfloat16" else "≥", []
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        for case in cases:
            prompts, pairs = Path(folder, case.name), case.blocks * case.pairs
            write_prompts(prompts, case)
            low, whole = _spend(INFERENCE, str(prompts), steps, rounds)
            answers = [json.loads(spent.answer) for spent in (low, whole)]
            other = sum(a != b for a, b in zip(*answers, strict=True))
            about = f"{case.name}, {pairs} pairs"
            found += [
                row(NAME, f"{about}: CPU-s per checked answer", low.cpu / pairs, whole.cpu / pairs, "float32", goal),
                row(NAME, f"{about}: peak memory in MiB", low.peak, whole.peak, "float32"),
                row(NAME, f"{about}: answers that differ", other, pairs, "all"),
            ]
        low, whole = _spend(TRAINING, write_samples(CLUSTERS, Path(folder)), steps, rounds)
        losses, exact = (json.loads(spent.answer)["losses"] for spent in (low, whole))
        tokens = json.loads(low.answer)["tokens"]
        apart = max(abs(a - b) / b for a, b in zip(losses, exact, strict=True))
    return [
        *found,
        row(NAME, "training: CPU-ms per token", 1e3 * low.cpu / tokens, 1e3 * whole.cpu / tokens, "float32", goal),
        row(NAME, "training: peak memory in MiB", low.peak, whole.peak, "float32"),
        row(NAME, f"training: largest relative difference of a loss in {steps} steps", apart, 1, "the loss"),
    ]


def _spend(run: str, data: str, steps: int, rounds: int) -> tuple[Spent, Spent]:
    """Of both precisions, in turn."""
    spent: dict[str, list[Spent]] = {precision: [] for precision in PRECISIONS}
    for _ in range(rounds):
        for precision, of in spent.items():
            of.append(spend("bench.precision", "--run", run, "--precision", precision, "--data", data, "--steps", str(steps)))
    low, whole = map(first_of, spent.values())
    return low, whole


def _inference(precision: str, folder: str) -> Callable[[], Any]:
    import torch

    from bench.inference_engines import Thorough
    from bench.inference_prompts import BATCH, MODEL, WARM_UP, answer, read
    from driftline.engines import child, weights
    from driftline.engines.precision import cast

    torch.set_num_threads(child.threads())
    model, tokenizer = weights.load_causal_lm(MODEL)
    prompts, labels = read(Path(folder))
    engine = Thorough(cast(model, getattr(torch, precision)), tokenizer, prompts[0]["shared"], labels, BATCH)
    answer(engine, prompts[:WARM_UP])
    return lambda: answer(engine, prompts)


def _training(precision: str, samples: str, steps: int, checkpointed: bool) -> Callable[[], Any]:
    from driftline.engines import prefix_tree, train
    from driftline.engines.attention import exchanged
    from driftline.engines.examples import label_loss

    setup = Setup(Asked(OURS, samples, "smollm2", steps), precision)
    if checkpointed:
        setup.model.gradient_checkpointing_enable({"use_reentrant": False})

    def update(step: int) -> float:
        with train.arithmetic(setup.model, precision):
            loss = label_loss(setup.model, setup.shared, setup.batch(step))
        with exchanged(setup.model, prefix_tree.ATTENTION):  # checkpointed layers are gone through once more
            loss.backward()
        setup.update(step)
        return float(loss.item())

    return lambda: {"losses": [update(step) for step in range(steps)], "tokens": setup.tokens}


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", choices=(INFERENCE, TRAINING), help="in this process, on --data")
    parser.add_argument("--precision", choices=PRECISIONS)
    parser.add_argument("--data")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--checkpointed", action="store_true", help="training with gradient checkpointing")
    given = parser.parse_args()
    if given.run == INFERENCE:
        report(_inference(given.precision, given.data), json.dumps)
    elif given.run == TRAINING:
        report(_training(given.precision, given.data, given.steps, given.checkpointed), json.dumps)
    else:
        show(compare(CASES[:2], given.steps, given.rounds), Console(file=sys.stdout))


if __name__ == "__main__":
    main()
