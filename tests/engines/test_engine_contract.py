"""What every engine of bulk inference promises, held against `transformers`' own generate, pair by pair.

`make test-vllm` runs this file where vLLM is installed.
"""

import dataclasses
import gc
import importlib.util
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel

from driftline.contracts import GenerateJob, Generation, Sampling, Training, TrainJob
from driftline.engines import weights
from driftline.engines.engine import Answer, Block, Engine
from driftline.engines.generate import ENGINES, generate
from driftline.engines.precision import cast
from driftline.engines.prompts import Prompts, read_prompts
from driftline.engines.tokens import Segments
from driftline.engines.train import train
from tests.engines.conftest import (
    DESCRIPTIONS,
    MANY,
    SHARED,
    finished,
    first,
    rest,
    start,
    wait_for_blocks,
    write_prompts,
)
from tests.tiny import make_tiny_llm

LABELS = [" " + text for text in DESCRIPTIONS]
PAIRS = [(c1, c2) for c1 in range(6) for c2 in range(6) if c1 != c2]
ADAPTERS: dict[str, Callable[[int, int], int]] = {
    "sums": lambda c1, c2: (c1 + c2) % 6,
    "products": lambda c1, c2: (c1 * c2 + 1) % 6,
}
"""What the adapters are trained to write; sometimes it is c1 or c2, and so never an answer."""

FLOAT32 = Generation(batch_size=4, precision="float32")

Name = Literal["trie", "vllm"]
Answers = dict[tuple[int, int], Answer]


@pytest.fixture(scope="module", params=["trie", "vllm"])
def engine(request: pytest.FixtureRequest) -> Name:
    if request.param == "vllm" and importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed here: make test-vllm")
    name: Name = request.param
    return name


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> GenerateJob:
    """Heads of 32 numbers are the smallest that vLLM's attention can do."""
    folder = tmp_path_factory.mktemp("contract")
    return GenerateJob(
        prompts=str(write_prompts(folder / "prompts", DESCRIPTIONS)),
        base_model=str(make_tiny_llm(folder / "llm", head=32)),
        generation=FLOAT32,
        work=str(folder / "work"),
        out=str(folder / "out"),
    )


@pytest.fixture(scope="module")
def adapters(job: GenerateJob) -> dict[str, str]:
    """Folders of two adapters, from writing some of the answers by themselves to most."""
    made = {}
    for name, successor in ADAPTERS.items():
        folder = Path(job.out).with_name(name)
        columns = {
            "shared": [SHARED] * len(PAIRS),
            "first": [first(c1) for c1, _ in PAIRS],
            "rest": [rest(c2) for _, c2 in PAIRS],
            "label": [LABELS[successor(*pair)] for pair in PAIRS],
        }
        samples = folder.with_suffix(".parquet")
        pq.write_table(pa.table(columns), samples)
        training = Training(base_model=job.base_model, rank=8, alpha=16, learning_rate=2e-2, steps=40, batch_size=8)
        train(TrainJob(samples=str(samples), training=training, work=str(folder / "work"), out=str(folder / "adapter")))
        made[name] = str(folder / "adapter")
    return made


@pytest.fixture(scope="module", params=[None, *ADAPTERS])
def asked(request: pytest.FixtureRequest, job: GenerateJob, adapters: dict[str, str]) -> GenerateJob:
    return dataclasses.replace(job, adapter=adapters.get(request.param))


@pytest.fixture(scope="module")
def found(engine: Name, asked: GenerateJob) -> Answers:
    return answers(engine, asked)


def answers(engine: Name, job: GenerateJob, blocks: list[Block] | None = None) -> Answers:
    """The answers to all pairs, or to those of `blocks`; every one came once."""
    prompts = read_prompts(Path(job.prompts))
    blocks = blocks or [Block(c1, first(c1), others(c1), tuple(map(rest, others(c1)))) for c1 in range(6)]
    made = ENGINES[engine](job, prompts)
    came = [((block.c1, answer.c2), answer) for block in blocks for answer in made.answer(block)]
    del made
    gc.collect()  # the next one needs its memory
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    assert sorted(pair for pair, _ in came) == sorted((block.c1, c2) for block in blocks for c2 in block.c2)
    return dict(came)


def others(c1: int) -> tuple[int, ...]:
    return tuple(c2 for c2 in range(6) if c2 != c1)


def test_answers_are_those_of_generate(found: Answers, asked: GenerateJob) -> None:
    model, tokenizer = weights.load_causal_lm(asked.base_model)
    if asked.adapter is not None:
        model = PeftModel.from_pretrained(model, asked.adapter)
    segments = Segments(tokenizer)
    labels = [segments.label(label) for label in LABELS]
    assert found.keys() == set(PAIRS)
    for (c1, c2), answer in found.items():
        prompt = segments.start(SHARED) + segments.of(first(c1)) + segments.of(rest(c2))
        novel = [label for cluster, label in enumerate(labels) if cluster not in (c1, c2)]

        def allowed(_: int, tokens: Any, novel: list[list[int]] = novel, start: int = len(prompt)) -> list[int]:
            written = tokens[start:].tolist()
            return [label[len(written)] for label in novel if label[: len(written)] == written]

        assert answer.c_next not in (c1, c2)
        assert generated(model, prompt, prefix_allowed_tokens_fn=allowed) == labels[answer.c_next]

        free = generated(model, prompt)
        assert answer.exact == (free == labels[answer.c_next])
        if not answer.exact:
            until = next(i for i, (a, b) in enumerate(zip(free, labels[answer.c_next], strict=False)) if a != b)
            assert answer.free == tokenizer.decode(free[: until + 1])


def test_in_bfloat16_answers_are_those_of_float32_but_for_its_rounding(engine: Name, asked: GenerateJob) -> None:
    """A token that differs had a logit as near to the best as bfloat16 moves the model's own logits, by itself."""
    precision: Literal["bfloat16"] = "bfloat16"
    found = answers(engine, dataclasses.replace(asked, generation=dataclasses.replace(FLOAT32, precision=precision)))
    model, tokenizer = weights.load_causal_lm(asked.base_model)
    if asked.adapter is not None:
        model = PeftModel.from_pretrained(model, asked.adapter).merge_and_unload()
    segments = Segments(tokenizer)
    labels = [segments.label(label) for label in LABELS]
    written = {pair: labels[answer.c_next] for pair, answer in found.items()}
    texts = {
        (c1, c2): segments.start(SHARED) + segments.of(first(c1)) + segments.of(rest(c2)) + written[c1, c2] for c1, c2 in PAIRS
    }
    exact = {pair: logits_of(model, texts[pair], len(written[pair])) for pair in PAIRS}
    cast(model, torch.bfloat16)
    rounding = max(float((logits_of(model, texts[pair], len(written[pair])) - exact[pair]).abs().max()) for pair in PAIRS)

    alone = total = 0
    for pair, answer in found.items():
        near = [(row >= row.max() - 2 * rounding).nonzero().flatten().tolist() for row in exact[pair]]
        label, novel = written[pair], [label for cluster, label in enumerate(labels) if cluster not in pair]
        for i, logits in enumerate(exact[pair]):
            allowed = [other[i] for other in novel if other[:i] == label[:i]]
            assert logits[label[i]] >= logits[allowed].max() - 2 * rounding
        agreed = next((i for i, token in enumerate(label) if token not in near[i]), len(label))
        if answer.exact:
            assert agreed == len(label)
        else:
            assert answer.free in {
                tokenizer.decode([*label[:i], token]) for i in range(len(label)) if i <= agreed for token in near[i]
            }
        alone, total = alone + sum(len(tokens) == 1 for tokens in near), total + len(near)
    assert alone > total / 3  # else any answer would do


def logits_of(model: Any, text: list[int], count: int) -> torch.Tensor:
    """What the model predicts for the last `count` tokens: float32 [count, vocabulary]."""
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([text], device=model.device)).logits[0, -count - 1 : -1].float().cpu()
    return logits


def generated(model: Any, prompt: list[int], **options: Any) -> list[int]:
    tokens = torch.tensor([prompt], device=model.device)
    mask = torch.ones_like(tokens)
    written = model.generate(input_ids=tokens, attention_mask=mask, do_sample=False, max_new_tokens=40, **options)
    answer: list[int] = written[0, len(prompt) :].tolist()
    return answer


def test_the_flag_separates(found: Answers, asked: GenerateJob) -> None:
    exact = sum(answer.exact for answer in found.values())
    assert 0 < exact < len(PAIRS) if asked.adapter else exact == 0


def test_adapters_are_told_apart(engine: Name, job: GenerateJob, adapters: dict[str, str]) -> None:
    """One after the other in one process, on the same prompts."""
    one, other, again = (
        answers(engine, dataclasses.replace(job, adapter=adapters[name])) for name in ("sums", "products", "sums")
    )
    assert one == again
    assert sum(one[pair].c_next != other[pair].c_next for pair in PAIRS) > len(PAIRS) / 3


def test_a_block_may_ask_some_pairs_only(engine: Name, asked: GenerateJob, found: Answers) -> None:
    some = [Block(3, first(3), (5, 0), (rest(5), rest(0))), Block(4, first(4), (2,), (rest(2),))]
    assert answers(engine, asked, some) == {pair: found[pair] for pair in ((3, 5), (3, 0), (4, 2))}


def test_batches_change_nothing(engine: Name, asked: GenerateJob, found: Answers) -> None:
    assert answers(engine, dataclasses.replace(asked, generation=dataclasses.replace(FLOAT32, batch_size=64))) == found


def test_draws_depend_on_the_seed_alone(engine: Name, job: GenerateJob) -> None:
    once, again, other = (
        answers(
            engine,
            dataclasses.replace(job, sampling=Sampling(2.0, seed), generation=dataclasses.replace(FLOAT32, batch_size=size)),
        )
        for seed, size in ((5, 4), (5, 64), (6, 4))
    )
    assert once == again
    assert once == answers("trie", dataclasses.replace(job, sampling=Sampling(2.0, 5)))
    assert {pair: answer.c_next for pair, answer in once.items()} != {pair: answer.c_next for pair, answer in other.items()}
    assert all(answer.c_next not in pair for pair, answer in once.items())


def test_a_child_writes_the_mapping_and_says_nothing_but_progress(
    engine: Name, job: GenerateJob, adapters: dict[str, str], tmp_path: Path
) -> None:
    generation, adapter = dataclasses.replace(FLOAT32, engine=engine), adapters["sums"]
    job = dataclasses.replace(job, adapter=adapter, generation=generation, work=str(tmp_path / "work"), out=str(tmp_path / "out"))
    with start("generate", job, tmp_path) as process:
        said, log = process.communicate()
    assert process.returncode == 0, log
    assert [json.loads(line)["done"] for line in said.splitlines()][-1] == len(PAIRS)
    rows = pq.read_table(tmp_path / "out" / "mapping.parquet").to_pylist()
    assert {(row["c1"], row["c2"]): Answer(row["c2"], row["c_next"], row["free"]) for row in rows} == answers(engine, job)


@pytest.mark.long
def test_an_engine_that_is_killed_leaves_its_finished_blocks_and_no_process(
    engine: Name, job: GenerateJob, adapters: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is the child itself: no process of vLLM's could die, or stay, alone."""
    asked = dataclasses.replace(
        job,
        prompts=str(write_prompts(tmp_path / "prompts", MANY)),
        adapter=adapters["sums"],
        generation=dataclasses.replace(FLOAT32, engine=engine, batch_size=1),
        work=str(tmp_path / "work"),
        out=str(tmp_path / "out"),
    )
    with start("generate", asked, tmp_path) as process:
        wait_for_blocks(process, asked, 3)
        beside = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        _, errors = process.communicate()
    assert (process.returncode, beside) == (-signal.SIGKILL, []), errors
    killed = finished(asked)
    assert 3 <= len(killed) < len(MANY)
    assert not Path(asked.out).exists()

    answered, make = [], ENGINES[engine]

    def watched(job: GenerateJob, prompts: Prompts) -> Engine:
        made = make(job, prompts)
        answer = made.answer
        made.answer = lambda block: answered.append(block.c1) or answer(block)  # type: ignore[func-returns-value, method-assign]
        return made

    monkeypatch.setitem(ENGINES, engine, watched)
    generate(asked)
    assert answered == [c1 for c1 in range(len(MANY)) if f"{c1:06d}.parquet" not in killed]
    whole = dataclasses.replace(asked, work=str(tmp_path / "work-whole"), out=str(tmp_path / "whole"))
    generate(whole)
    mappings = [pq.read_table(Path(each.out) / "mapping.parquet") for each in (asked, whole)]
    assert mappings[0].equals(mappings[1])


def test_a_missing_vllm_is_named_with_the_command_that_installs_it(job: GenerateJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install vllm==0\.32\.0"):
        generate(dataclasses.replace(job, generation=Generation("vllm")))
