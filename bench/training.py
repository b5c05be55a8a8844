"""LoRA steps: ours, the plain loop with all logits, and TRL's SFTTrainer, on the same samples in the same batches.

python -m bench.training [--clusters 24] [--steps 4]

Every one starts from the same adapter and has the same optimizer and learning rates, so all losses have to agree step by step.
Tokens are those of prompts and labels, padding and sharing left out: the same for everyone. Setting up costs nothing here.
"""

import importlib.util
import json
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.rows import ResultRow, row, show
from bench.spent import Spent, first_of, report, spend
from driftline.contracts import Retrieval, Training
from driftline.interests.descriptions import describe
from driftline.interests.prompts import samples_table
from driftline.interests.retrieval import retrieve
from driftline.interests.samples import curate
from tests.tiny import make_tiny_llm

NAME = "training"
PACKAGES = ("torch", "transformers", "peft", "trl")
NOTE = """
SmolLM2-135M, LoRA of rank 16 on all linear layers, batches of 16: ten pairs for each of 24 interests, one in five with a
retrieved line. TRL's SFTTrainer has the same samples, order, optimizer and learning rates. Its default, bf16, is imitated on
many processors; its loss is not compared.
"""
CLUSTERS, MANY = 24, 761
OURS, LOOP, STAGES, MATMUL = "ours", "loop", "stages", "matmul"
TRL, CHECKPOINTED, DEFAULTS = "trl", "trl-checkpointed", "trl-defaults"
PEERS = {
    # its name, its goal
    DEFAULTS: ("TRL, all defaults: bf16, gradient checkpointing", "≥ 3"),
    CHECKPOINTED: ("TRL, defaults but fp32", "≥ 3"),
    TRL: ("TRL, fp32, no gradient checkpointing", "≥ 2.5"),
    LOOP: ("transformers' loss of padded rows", "≥"),
}
STEPS = 4
TOLERANCE = 1e-3
WORDS = """
baby bacon bakery bars beans beef beverages biscuits bread breakfast broth butter cakes candy canned cereal cheese
chicken chips chocolate cleaners coffee condiments cookies crackers cream dairy deli desserts detergents dinners dips
dog dough eggs entrees fish flour fluid foods fresh frozen fruit grapes greens ground ham hispanic household ice
isotonic juices ketchup lamb lunchmeat makeup margarine meat milk mixes mushrooms natural nuts oils onions organic
packaged pasta pastry peanut pizza pork potatoes processed products puddings rice rolls salad sauces sausages seafood
seasonal shredded snacks soap soft soup spices spreads steak sugar sweet syrup tea tomatoes tortilla tropical turkey
vegetables vitamins water wine yogurt
"""


@dataclass(frozen=True)
class Asked:
    """What one process does, on which samples: `steps` of `batch_size`."""

    run: str
    samples: str
    base_model: str
    steps: int
    batch_size: int = 16

    @property
    def training(self) -> Training:
        return Training(base_model=self.base_model, steps=self.steps, batch_size=self.batch_size)


def rows(small: bool = False) -> list[ResultRow]:
    if not small:
        return compare(CLUSTERS, STEPS, 1) + _many(3)
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        words = WORDS + " Interest Next interest: Often next: Predict a user's next new interest from the last two."
        return compare(CLUSTERS, 1, 1, str(make_tiny_llm(Path(folder), words=words, vocabulary=512)))


def compare(clusters: int, steps: int, rounds: int, base_model: str = "smollm2") -> list[ResultRow]:
    """As many steps of ours as of each peer. What takes minutes takes one round: the plain loop, more steps because its losses
    are the measure; TRL's defaults, one step of four samples, because bf16 is slow where the processor lacks it."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in our training; it spares the peers' CPU time as well
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        asked = partial(Asked, samples=write_samples(clusters, Path(folder)), base_model=base_model)
        pairs = [(asked(OURS, steps=steps), asked(run, steps=steps)) for run in (CHECKPOINTED, TRL)]
        pairs += [(asked(OURS, steps=2 * steps + 2), asked(LOOP, steps=2 * steps + 2))]
        pairs += [(asked(OURS, steps=1, batch_size=4), asked(DEFAULTS, steps=1, batch_size=4))]
        if importlib.util.find_spec("trl") is None:
            pairs = [(ours, peer) for ours, peer in pairs if peer.run == LOOP]
        spent: dict[Asked, list[Spent]] = {}
        for number in range(rounds):
            for one in dict.fromkeys(one for pair in pairs for one in pair):
                if number == 0 or one.steps == steps:
                    spent.setdefault(one, []).append(_spend(one))
        stages, matmul = (json.loads(_spend(asked(run, steps=steps)).answer) for run in (STAGES, MATMUL))
        found = {one: first_of(of) for one, of in spent.items()}
    compared = [line for ours, peer in pairs for line in _rows(found[ours], peer.run, found[peer])]
    ours, loop = next(pair for pair in pairs if pair[1].run == LOOP)
    apart = row(NAME, "largest difference of a loss", _apart(found[ours], found[loop]), TOLERANCE, "what may be", "≤ 1")
    return [*compared, apart, *_stages(stages["cpu"], stages["counts"], matmul["gigaflops"])]


def _many(steps: int) -> list[ResultRow]:
    """Where interests are many, samples share less."""
    if importlib.util.find_spec("trl") is None:
        return []
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        samples = write_samples(MANY, Path(folder))
        ours, peer = (_spend(Asked(run, samples, "smollm2", steps)) for run in (OURS, TRL))
        return _rows(ours, TRL, peer, f", {MANY} interests")[:1]


def _rows(ours: Spent, run: str, peer: Spent, where: str = "") -> list[ResultRow]:
    """bf16 is another arithmetic: its losses are not compared."""
    name, goal = PEERS[run]
    tokens = json.loads(ours.answer)["tokens"]
    same = None if run == DEFAULTS else _apart(ours, peer) <= TOLERANCE
    cpu = row(NAME, f"CPU-ms per token{where}", 1e3 * ours.cpu / tokens, 1e3 * peer.cpu / tokens, name, goal, same)
    wall = row(NAME, f"ms per token{where}", 1e3 * ours.wall / tokens, 1e3 * peer.wall / tokens, name, "≥", same)
    return [cpu, wall, row(NAME, f"peak memory in MiB{where}", ours.peak, peer.peak, name, "≥", same)]


def _apart(ours: Spent, other: Spent) -> float:
    """The largest difference of a loss, over the steps that both did."""
    losses, others = (json.loads(spent.answer)["losses"] for spent in (ours, other))
    return max(abs(float(a - b)) for a, b in zip(losses, others, strict=False))


def _stages(cpu: dict[str, float], counts: dict[str, float], speed: float) -> list[ResultRow]:
    """`speed`: gigaflops per CPU-second of plain products."""
    total = sum(cpu.values())
    parts = cpu | {"products with frozen weights, which nothing can avoid": counts["gigaflops"] / speed}
    return [
        *(row(NAME, f"CPU-seconds of a step: {part}", share, total, "all of ours") for part, share in parts.items()),
        row(NAME, "tokens of a step that go through the model", counts["forwarded"], counts["padded"], "padded rows"),
        row(NAME, "gigaflops per CPU-second", counts["gigaflops"] / total, speed, "one matrix product after another"),
    ]


# --- the samples -------------------------------------------------------------------------------------------------------


def write_samples(clusters: int, folder: Path) -> str:
    """`samples.parquet` of random triples: ten pairs a label, one sample in five told what is often next, as by default."""
    random = np.random.default_rng(clusters)
    descriptions = describe([random.choice(WORDS.split(), 5, replace=False).tolist() for _ in range(clusters)], 3)
    triples = random.integers(0, clusters, (60 * clusters, 3))
    triples = np.unique(triples[(triples[:, 0] != triples[:, 1]) & (triples[:, [0, 1]] != triples[:, [2]]).all(1)], axis=0)
    counts = {name: pa.array(ids, pa.int32()) for name, ids in zip(("c1", "c2", "c_next"), triples.T, strict=True)}
    counted = pa.table(counts | {"n": pa.array(random.integers(1, 100, len(triples)), pa.int64())})
    table = samples_table(descriptions, curate(counted, 10), retrieve(counted, None, Retrieval(), clusters), 0.2)
    pq.write_table(table, folder / "samples.parquet")
    return str(folder / "samples.parquet")


# --- one process -------------------------------------------------------------------------------------------------------


def _spend(asked: Asked) -> Spent:
    words = {"--samples": asked.samples, "--base-model": asked.base_model}
    numbers = {"--steps": str(asked.steps), "--batch-size": str(asked.batch_size)}
    return spend("bench.training", "--run", asked.run, *(word for pair in (words | numbers).items() for word in pair))


class Setup:
    """Base model with its untrained adapter, samples as tokens, how many the steps train on, optimizer."""

    def __init__(self, asked: Asked, precision: str = "float32") -> None:
        import torch

        from driftline.engines import child, train, weights
        from driftline.engines.examples import read_examples
        from driftline.engines.precision import cast

        torch.set_num_threads(child.threads())
        torch.use_deterministic_algorithms(asked.run in (OURS, STAGES), warn_only=True)  # as our training has it
        torch.utils.deterministic.fill_uninitialized_memory = False
        self.training, self.steps = asked.training, asked.steps
        base, self.tokenizer = weights.load_causal_lm(asked.base_model)
        self.shared, self.examples = read_examples(Path(asked.samples), self.tokenizer)
        self.model = train.with_lora(cast(base, getattr(torch, precision)), self.training).train()
        self.tokens = train.tokens_trained(self.shared, self.examples, self.training, self.steps)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.training.learning_rate, weight_decay=0.0)

    def batch(self, step: int) -> list[Any]:
        from driftline.engines.train import batch_of

        return [self.examples[i] for i in batch_of(step, len(self.examples), self.training)]

    def update(self, step: int) -> None:
        import torch

        from driftline.engines.schedule import rate

        for group in self.optimizer.param_groups:
            group["lr"] = self.training.learning_rate * rate(step, (), self.training)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.training.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _work(asked: Asked) -> Callable[[], Any]:
    if asked.run == MATMUL:
        return _matmul
    setup = Setup(asked)
    if asked.run == STAGES:
        return lambda: _timed(setup)
    if asked.run in (OURS, LOOP):
        train: Callable[[], list[float]] = partial(_losses, setup, _ours if asked.run == OURS else _padded)
    else:
        from bench.training_trl import sft

        train = sft(setup, *{TRL: (False, False), CHECKPOINTED: (False, True), DEFAULTS: (True, True)}[asked.run])
    return lambda: {"losses": train(), "tokens": setup.tokens}


def _losses(setup: Setup, loss_of: Callable[[Setup, list[Any]], Any]) -> list[float]:
    losses = []
    for step in range(setup.steps):
        loss = loss_of(setup, setup.batch(step))
        loss.backward()
        setup.update(step)
        losses.append(loss.item())
    return losses


def _ours(setup: Setup, batch: list[Any]) -> Any:
    from driftline.engines.examples import label_loss

    return label_loss(setup.model, setup.shared, batch)


def _padded(setup: Setup, batch: list[Any]) -> Any:
    """As any tutorial has it."""
    import torch

    whole = [torch.tensor(setup.shared + example.prompt + example.label) for example in batch]
    labels = [sequence.clone() for sequence in whole]
    for sequence, example in zip(labels, batch, strict=True):
        sequence[: -len(example.label)] = -100
    pad = torch.nn.utils.rnn.pad_sequence
    seen = pad([torch.ones_like(sequence) for sequence in whole], batch_first=True)
    padded = {"input_ids": pad(whole, batch_first=True), "labels": pad(labels, batch_first=True, padding_value=-100)}
    return setup.model(**padded, attention_mask=seen, use_cache=False).loss


def _timed(setup: Setup) -> dict[str, dict[str, float]]:
    """CPU-seconds of our stages, of the step that took least, and what there was to compute."""
    head, clock = setup.model.get_output_embeddings(), time.process_time
    at: dict[str, float] = {}
    head.register_forward_pre_hook(lambda *_: at.update(head=clock()))
    found = []
    for step in range(setup.steps):
        batch, began = setup.batch(step), clock()
        loss = _ours(setup, batch)
        forwarded = clock()
        loss.backward()
        back = clock()
        setup.update(step)
        cpu = {"forward, all but the logits": at["head"] - began, "logits and loss": forwarded - at["head"]}
        cpu |= {"backward": back - forwarded, "clipping and optimizer": clock() - back}
        found.append({"cpu": cpu, "counts": _counts(setup, batch)})
    return min(found, key=lambda one: sum(one["cpu"].values()))


def _counts(setup: Setup, batch: list[Any]) -> dict[str, float]:
    """`gigaflops`: products with frozen weights, forward and backward. Logits are of label tokens only."""
    from driftline.engines.prefix_tree import PrefixTree

    whole = [setup.shared + example.prompt + example.label for example in batch]
    forwarded = len(PrefixTree.of([sequence[:-1] for sequence in whole], setup.model.device).tokens)
    labels = sum(len(example.label) for example in batch)
    frozen = sum(module.base_layer.weight.numel() for module in setup.model.modules() if hasattr(module, "base_layer"))
    products = frozen * forwarded + setup.model.get_output_embeddings().weight.numel() * labels
    padded = len(whole) * max(map(len, whole))
    return {"forwarded": forwarded, "padded": padded, "gigaflops": 2 * 2 * products / 1e9}


def _matmul() -> dict[str, float]:
    """A product of the size of the model's most frequent one."""
    import torch

    from driftline.engines import child

    torch.set_num_threads(child.threads())
    tokens, weights, out = torch.randn(448, 576), torch.randn(576, 1536), torch.empty(448, 1536)
    best = 0.0
    for _ in range(20):
        began = time.process_time()
        for _ in range(50):
            torch.mm(tokens, weights, out=out)
        best = max(best, 50 * 2 * 448 * 576 * 1536 / 1e9 / (time.process_time() - began))
    return {"gigaflops": best}


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=CLUSTERS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", help="one of them, in this process, on --samples")
    parser.add_argument("--samples")
    parser.add_argument("--base-model", default="smollm2")
    parser.add_argument("--batch-size", type=int, default=16)
    given = parser.parse_args()
    if given.run:
        report(_work(Asked(given.run, given.samples, given.base_model, given.steps, given.batch_size)), json.dumps)
    else:
        show(compare(given.clusters, given.steps, given.rounds), Console(file=sys.stdout))


if __name__ == "__main__":
    main()
