"""What `bench.inference` has written, and an engine's answers to it; also runs in vLLM's environment."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from driftline.engines.engine import Block, Engine
from driftline.interests.prompts import completion

MODEL = "smollm2"
BATCH = 64
WARM_UP = 2

Prompts = list[dict[str, Any]]


def read(folder: Path) -> tuple[Prompts, list[str]]:
    """The prompts, and what to write for each cluster."""
    labels = pq.read_table(folder / "labels.parquet").sort_by("cluster")["description"].to_pylist()
    return pq.read_table(folder / "prompts.parquet").to_pylist(), [completion(text) for text in labels]


def answer(engine: Engine, prompts: Prompts) -> list[int]:
    """c_next of every prompt, asked block by block."""
    found: dict[tuple[int, int], int] = {}
    for c1 in dict.fromkeys(prompt["c1"] for prompt in prompts):
        rows = [prompt for prompt in prompts if prompt["c1"] == c1]
        block = Block(c1, rows[0]["first"], tuple(row["c2"] for row in rows), tuple(row["rest"] for row in rows))
        found |= {(c1, answer.c2): answer.c_next for answer in engine.answer(block)}
    return [found[prompt["c1"], prompt["c2"]] for prompt in prompts]
