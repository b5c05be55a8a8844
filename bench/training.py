"""LoRA steps: ours, the plain loop with all logits, and TRL's SFTTrainer, on the same samples in the same batches.

python -m bench.training [--clusters 24] [--steps 8]

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

from bench.rows import Row, row, show
from bench.spent import Spent, least, report, spend
from contracts import Retrieval, Training
from interests.descriptions import describe
from interests.prompts import samples_table
from interests.retrieval import retrieve
from interests.samples import curate
from tests.tiny import make_tiny_llm

NAME = "training"
PACKAGES = ("torch", "transformers", "peft", "trl")
CLUSTERS, MANY = 24, 761
OURS, LOOP, STAGES, MATMUL = "ours", "loop", "stages", "matmul"
TRL, CHECKPOINTED, DEFAULTS = "trl", "trl-checkpointed", "trl-defaults"
PEERS = (
    # its name here and there, its goal
    (DEFAULTS, "TRL, all defaults: bf16, gradient checkpointing", "≥ 3"),
    (CHECKPOINTED, "TRL, defaults but fp32", "≥ 3"),
    (TRL, "TRL, fp32, no gradient checkpointing", "≥ 2.5"),
    (LOOP, "transformers' loss of padded rows", "≥"),
)
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


def rows(small: bool = False) -> list[Row]:
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        if small:
            words = WORDS + " Interest Next interest: Often next: Predict a user's next new interest from the last two."
            return compare(CLUSTERS, 2, 1, str(make_tiny_llm(Path(folder), words=words, vocabulary=512)))
    return compare(CLUSTERS, 8, 2) + _many(3)


def compare(clusters: int, steps: int, rounds: int, base_model: str = "smollm2") -> list[Row]:
    """The plain loop and TRL's defaults take one round, because they take minutes: TRL's defaults one step of four samples."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in our training; it spares the peers' CPU time as well
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        samples = write_samples(clusters, Path(folder))
        few = min(3, steps)
        runs = [Asked(OURS, samples, base_model, steps), Asked(TRL, samples, base_model, few)]
        runs += [Asked(CHECKPOINTED, samples, base_model, few)]
        once = [Asked(LOOP, samples, base_model, steps), Asked(DEFAULTS, samples, base_model, 1, 4)]
        once += [Asked(STAGES, samples, base_model, few), Asked(MATMUL, samples, base_model, few)]
        if importlib.util.find_spec("trl") is None:
            runs, once = ([asked for asked in some if not asked.run.startswith(TRL)] for some in (runs, once))
        spent: dict[str, list[Spent]] = {}
        for number in range(rounds):
            for asked in (*runs, *(once if number == 0 else ())):
                spent.setdefault(asked.run, []).append(_spend(asked))
        found = {asked.run: (asked, least(spent[asked.run])) for asked in (*runs, *once)}
        ours, loop = found[OURS][1], found[LOOP][1]
        compared = [
            line
            for run, peer, goal in PEERS
            if run in found
            for line in _rows(found[OURS], found[run], peer, goal, "" if clusters == CLUSTERS else f", {clusters} interests")
        ]
        apart = row(NAME, "largest difference of a loss", _apart(ours, loop), TOLERANCE, "what may be", "≤ 1")
        return [*compared, apart, *_stages(json.loads(found[STAGES][1].answer), json.loads(found[MATMUL][1].answer))]


def _many(steps: int) -> list[Row]:
    """Where interests are many, samples share less."""
    if importlib.util.find_spec("trl") is None:
        return []
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        samples = write_samples(MANY, Path(folder))
        ours, peer = ((asked, _spend(asked)) for asked in (Asked(run, samples, "smollm2", steps) for run in (OURS, TRL)))
        return _rows(ours, peer, "TRL, fp32, no gradient checkpointing", "≥ 2.5", f", {MANY} interests")[:1]


def _rows(ours: tuple[Asked, Spent], other: tuple[Asked, Spent], peer: str, goal: str, where: str) -> list[Row]:
    """bf16 is another arithmetic: its losses are not compared."""
    (_, spent), (peer_asked, peer_spent) = ours, other
    mine, theirs = (json.loads(one.answer)["tokens"] for one in (spent, peer_spent))
    same = None if peer_asked.run == DEFAULTS else _apart(spent, peer_spent) <= TOLERANCE
    cpu = row(NAME, f"CPU-ms per token{where}", 1e3 * spent.cpu / mine, 1e3 * peer_spent.cpu / theirs, peer, goal, same)
    wall = row(NAME, f"ms per token{where}", 1e3 * spent.wall / mine, 1e3 * peer_spent.wall / theirs, peer, "≥", same)
    return [cpu, wall, row(NAME, f"peak memory in MiB{where}", spent.peak, peer_spent.peak, peer, "≥", same)]


def _apart(ours: Spent, other: Spent) -> float:
    """The largest difference of a loss, over the steps that both did."""
    losses, others = (json.loads(spent.answer)["losses"] for spent in (ours, other))
    return max(abs(float(a - b)) for a, b in zip(losses, others, strict=False))


def _stages(stages: dict[str, float], matmul: dict[str, float]) -> list[Row]:
    counts = {name: stages.pop(name) for name in ("trained", "forwarded", "padded", "gigaflops")}
    total = sum(stages.values())
    found = [row(NAME, f"CPU-seconds of a step: {stage}", cpu, total, "all of ours") for stage, cpu in stages.items()]
    least_cpu = counts["gigaflops"] / matmul["gigaflops"]
    return [
        *found,
        row(
            NAME, "CPU-seconds of a step: products with frozen weights, which nothing can avoid", least_cpu, total, "all of ours"
        ),
        row(NAME, "tokens of a step that go through the model", counts["forwarded"], counts["padded"], "padded rows"),
        row(
            NAME, "gigaflops per CPU-second", counts["gigaflops"] / total, matmul["gigaflops"], "one matrix product after another"
        ),
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

    def __init__(self, asked: Asked) -> None:
        import torch

        from engines import child, train, weights
        from engines.examples import read_examples

        torch.set_num_threads(child.threads())
        self.training, self.steps = asked.training, asked.steps
        base, self.tokenizer = weights.load_causal_lm(asked.base_model)
        self.shared, self.examples = read_examples(Path(asked.samples), self.tokenizer)
        self.model = train.with_lora(base, self.training).train()
        self.tokens = train.tokens_trained(self.shared, self.examples, self.training)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.training.learning_rate, weight_decay=0.0)

    def batch(self, step: int) -> list[Any]:
        from engines.train import batch_of

        return [self.examples[i] for i in batch_of(step, len(self.examples), self.training)]

    def update(self, step: int) -> None:
        import torch

        from engines.train import rate

        for group in self.optimizer.param_groups:
            group["lr"] = self.training.learning_rate * rate(step, self.training)
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
    from engines.examples import label_loss

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


def _timed(setup: Setup) -> dict[str, float]:
    """CPU-seconds of our stages, of the step that took least, and what there was to compute."""
    head, clock = setup.model.get_output_embeddings(), time.process_time
    at: dict[str, float] = {}
    head.register_forward_pre_hook(lambda *_: at.update(head=clock()))
    best: dict[str, float] = {}
    for step in range(setup.steps):
        batch, began = setup.batch(step), clock()
        loss = _ours(setup, batch)
        forwarded = clock()
        loss.backward()
        back = clock()
        setup.update(step)
        stages = {"forward, all but the logits": at["head"] - began, "logits and loss": forwarded - at["head"]}
        stages |= {"backward": back - forwarded, "clipping and optimizer": clock() - back}
        if not best or sum(stages.values()) < sum(list(best.values())[: len(stages)]):
            best = stages | _counts(setup, batch)
    return best


def _counts(setup: Setup, batch: list[Any]) -> dict[str, float]:
    """`gigaflops`: products with frozen weights, forward and backward. Logits are of label tokens only."""
    from engines.prefix_tree import PrefixTree

    whole = [setup.shared + example.prompt + example.label for example in batch]
    forwarded = len(PrefixTree.of([sequence[:-1] for sequence in whole], setup.model.device).tokens)
    labels = sum(len(example.label) for example in batch)
    frozen = sum(module.base_layer.weight.numel() for module in setup.model.modules() if hasattr(module, "base_layer"))
    products = frozen * forwarded + setup.model.get_output_embeddings().weight.numel() * labels
    padded = len(whole) * max(map(len, whole))
    return {"trained": sum(map(len, whole)), "forwarded": forwarded, "padded": padded, "gigaflops": 2 * 2 * products / 1e9}


def _matmul() -> dict[str, float]:
    """A product of the size of the model's most frequent one."""
    import torch

    from engines import child

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
    parser.add_argument("--steps", type=int, default=8)
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
