"""Bulk inference over every ordered pair: `python -m engines.generate JOB.json`. A finished block is never computed again."""

from engines import child

if __name__ == "__main__":
    child.arm()

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from peft import PeftModel

from contracts import GenerateJob
from engines import weights
from engines.engine import Answer, Block, Engine
from engines.files import atomic_file, sha256
from engines.trie_engine import TrieEngine
from interests.prompts import completion

MAPPING = pa.schema(
    [
        pa.field("c1", pa.int32(), nullable=False),
        pa.field("c2", pa.int32(), nullable=False),
        pa.field("c_next", pa.int32(), nullable=False),
        pa.field("exact", pa.bool_(), nullable=False),
        pa.field("free", pa.string()),
    ]
)
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
ENGINES = {"trie": TrieEngine}
BEAT = 1.0  # seconds between two progress lines


def generate(job: GenerateJob) -> None:
    """Writes the mapping of the job's prompts.

    Raises:
        ValueError: the prompts are not one per ordered pair, or the descriptions do not fit the model's tokenizer.
        child.Stopped: on SIGTERM; finished blocks are kept.
    """
    out, prompts = Path(job.out), Path(job.prompts)
    if out.exists():
        return
    torch.set_num_threads(child.threads())
    labels, shared, blocks = _read(prompts)
    work = _work_folder(job)
    missing = [block for block in blocks if not _file(work, block).exists()]
    if missing:
        pairs = sum(len(block.c2) for block in blocks)
        child.report("mapping", 0, pairs, "loading")
        _answer(missing, _engine(job, shared, labels), work, pairs)
    mapping = pa.concat_tables([pq.read_table(_file(work, block), schema=MAPPING) for block in blocks])
    _check(mapping, len(labels))
    with atomic_file(out) as aside:
        pq.write_table(mapping, aside)
    shutil.rmtree(work)


def _answer(missing: list[Block], engine: Engine, work: Path, pairs: int) -> None:
    """Answers blocks and writes each as soon as it is done."""
    done = resumed = pairs - sum(len(block.c2) for block in missing)
    began = said = time.monotonic()
    child.report("mapping", done, pairs)
    for block in missing:
        answers = []
        for answer in engine.answer(block):
            if child.stopping():
                raise child.Stopped
            answers.append(answer)
            done += 1
            if time.monotonic() - said > BEAT or done == pairs:
                said = time.monotonic()
                child.report("mapping", done, pairs, f"{(done - resumed) / (said - began):.1f} pairs/s")
        with atomic_file(_file(work, block)) as aside:
            pq.write_table(_table(block.c1, answers), aside)


def _engine(job: GenerateJob, shared: str, labels: list[str]) -> Engine:
    model, tokenizer = weights.load_causal_lm(job.base_model)
    if job.adapter is not None:
        model = PeftModel.from_pretrained(model, job.adapter).merge_and_unload()
    return ENGINES[job.generation.engine](model, tokenizer, shared, labels, job.generation.batch_size)


def _read(prompts: Path) -> tuple[list[str], str, list[Block]]:
    """What to write for each cluster, the segment that all prompts share, and the blocks in ascending c1."""
    labels = pq.read_table(prompts / "labels.parquet").sort_by("cluster")
    table = pq.read_table(prompts / "prompts.parquet", columns=["c1", "c2", "shared", "first", "rest"])
    table = table.sort_by([("c1", "ascending"), ("c2", "ascending")])
    clusters = labels.num_rows
    every_pair = [(c1, c2) for c1 in range(clusters) for c2 in range(clusters) if c1 != c2]
    if list(zip(table["c1"].to_pylist(), table["c2"].to_pylist(), strict=True)) != every_pair or clusters < 3:
        raise ValueError(f"{prompts} does not hold one prompt for every ordered pair of at least 3 clusters: render it again")
    shared = table["shared"].unique().to_pylist()
    if len(shared) != 1:
        raise ValueError(f"the prompts in {prompts} do not all begin with the same segment: render them with one template")
    return [completion(text) for text in labels["description"].to_pylist()], shared[0], list(_blocks(table, clusters))


def _blocks(table: pa.Table, clusters: int) -> Iterator[Block]:
    for c1 in range(clusters):
        rows = table.slice(c1 * (clusters - 1), clusters - 1)
        first = rows["first"].unique().to_pylist()
        if len(first) != 1:
            raise ValueError(f"the prompts of c1 = {c1} differ in what they say about it: render them with one template")
        yield Block(c1, first[0], tuple(rows["c2"].to_pylist()), tuple(rows["rest"].to_pylist()))


def _work_folder(job: GenerateJob) -> Path:
    """A folder of its own for these prompts and this model, so that blocks of another run are never mixed in."""
    prompts = Path(job.prompts)
    made_from = {
        "prompts": sha256(prompts / "prompts.parquet", prompts / "labels.parquet"),
        "base_model": job.base_model,
        "adapter": job.adapter and sha256(*(Path(job.adapter) / name for name in ADAPTER)),
    }
    manifest = json.dumps(made_from, indent=1, sort_keys=True)
    folder = Path(job.work) / f"blocks-{hashlib.sha256(manifest.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "manifest.json") as aside:
        aside.write_text(manifest)
    return folder


def _file(work: Path, block: Block) -> Path:
    return work / f"{block.c1:06d}.parquet"


def _table(c1: int, answers: list[Answer]) -> pa.Table:
    answers = sorted(answers, key=lambda answer: answer.c2)
    columns = {
        "c1": [c1] * len(answers),
        "c2": [answer.c2 for answer in answers],
        "c_next": [answer.c_next for answer in answers],
        "exact": [answer.exact for answer in answers],
        "free": [answer.free for answer in answers],
    }
    return pa.table(columns, schema=MAPPING)


def _check(mapping: pa.Table, clusters: int) -> None:
    """The product's two promises; a breach is a fault of ours, not of the input."""
    c1, c2, c_next = (mapping[name].to_pylist() for name in ("c1", "c2", "c_next"))
    if list(zip(c1, c2, strict=True)) != [(a, b) for a in range(clusters) for b in range(clusters) if a != b]:
        raise RuntimeError("the mapping does not hold every ordered pair once")
    if any(answer in pair for *pair, answer in zip(c1, c2, c_next, strict=True)):
        raise RuntimeError("the mapping answers a pair with one of its own members")


if __name__ == "__main__":
    child.main(GenerateJob, generate)
