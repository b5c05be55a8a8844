"""The scores beside greedy answers, against plain transformers."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from driftline.contracts import GenerateJob, Generation
from driftline.engines.engine import Answer, Block
from driftline.engines.examples import Example, label_loss
from driftline.engines.generate import generate, vllm_engine
from driftline.engines.prompts import read_prompts
from driftline.engines.tokens import Segments
from driftline.engines.trie_engine import TrieEngine
from tests.engines.conftest import SHARED, first, rest, write_prompts

NAMES = [
    *("milk, fresh", "milk, frozen drinks", "milk chocolate, snacks", "bread, fresh", "bread, frozen", "breaded cheese, soft"),
    *("soft drinks", "soft cheese, fresh", "soft cheese, snacks", "cheese"),
]
LABELS = [" " + name for name in NAMES]
PAIRS = [(c1, c2) for c1 in range(len(NAMES)) for c2 in range(len(NAMES)) if c1 != c2]


@pytest.fixture(scope="module")
def tokenizer(tiny_llm: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_llm)


@pytest.fixture(scope="module", params=[0, 12], ids=["untrained", "trained"])
def model(request: pytest.FixtureRequest, tiny_llm: Path, tokenizer: Any) -> Any:
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    optimizer, segments = torch.optim.AdamW(model.parameters(), lr=1e-2), Segments(tokenizer)
    prompts = {pair: segments.of(first(pair[0], NAMES)) + segments.of(rest(pair[1], NAMES)) for pair in PAIRS}
    batch = [Example(prompts[pair], segments.label(LABELS[sum(pair) % len(NAMES)])) for pair in PAIRS]
    for _ in range(request.param):
        label_loss(model, segments.start(SHARED), batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def answers(model: Any, tokenizer: Any, scores: int, batch_size: int = 4) -> dict[tuple[int, int], Answer]:
    engine = TrieEngine(model, tokenizer, SHARED, LABELS, batch_size, scores=scores)

    def all_answers() -> Iterator[tuple[tuple[int, int], Answer]]:
        for c1 in range(len(NAMES)):
            others = tuple(c2 for c2 in range(len(NAMES)) if c2 != c1)
            for answer in engine.answer(Block(c1, first(c1, NAMES), others, tuple(rest(c2, NAMES) for c2 in others))):
                yield (c1, answer.c2), answer

    return dict(all_answers())


@pytest.fixture(scope="module")
def plain(model: Any, tokenizer: Any) -> dict[tuple[int, int], dict[int, float]]:
    """log p of every novel cluster by transformers alone: the whole prompt and the whole description, once each."""
    segments = Segments(tokenizer)
    found: dict[tuple[int, int], dict[int, float]] = {}
    labels = [segments.of(label) for label in LABELS]
    for c1, c2 in PAIRS:
        prompt = [*segments.start(SHARED), *segments.of(first(c1, NAMES)), *segments.of(rest(c2, NAMES))]
        found[c1, c2] = {}
        for cluster, label in enumerate(labels):
            if cluster in (c1, c2):
                continue
            decides = next(n for n in range(1, len(label) + 1) if sum(other[:n] == label[:n] for other in labels) == 1)
            with torch.no_grad():
                log_p = model(torch.tensor([prompt + label])).logits[0].log_softmax(-1)
            found[c1, c2][cluster] = sum(log_p[len(prompt) - 1 + i, token].item() for i, token in enumerate(label[:decides]))
    return found


def test_all_scores_are_those_of_plain_transformers(model: Any, tokenizer: Any, plain: Any) -> None:
    for pair, answer in answers(model, tokenizer, scores=4).items():
        assert answer.scores is not None
        assert dict(zip(answer.scores.answer, answer.scores.log_p, strict=True)) == pytest.approx(plain[pair], abs=1e-4)
        assert list(answer.scores.log_p) == sorted(answer.scores.log_p, reverse=True)
        assert answer.scores.log_rest == -float("inf")


@pytest.mark.parametrize("k", [1, 2, 3])
def test_beams_find_the_likeliest_and_say_what_is_left(model: Any, tokenizer: Any, plain: Any, k: int) -> None:
    found_best = 0
    for pair, answer in answers(model, tokenizer, scores=k).items():
        assert answer.scores is not None
        asked, found = plain[pair], dict(zip(answer.scores.answer, answer.scores.log_p, strict=True))
        assert 1 <= len(found) <= k
        assert found == pytest.approx({cluster: asked[cluster] for cluster in found}, abs=1e-4)
        left = torch.tensor([log_p for cluster, log_p in asked.items() if cluster not in found]).logsumexp(0).item()
        assert answer.scores.log_rest >= left - 1e-4
        found_best += max(asked, key=lambda cluster: asked[cluster]) in found
    assert found_best >= (0, 0, 0.1, 0.5)[k] * len(PAIRS)  # a likelier prefix may hide the likeliest description


def test_greedy_answers_stay_what_they_are(model: Any, tokenizer: Any) -> None:
    alone, scored = answers(model, tokenizer, scores=0), answers(model, tokenizer, scores=2)
    assert {pair: dataclasses.replace(answer, scores=None) for pair, answer in scored.items()} == alone


def test_batches_change_no_score(model: Any, tokenizer: Any) -> None:
    one, many = answers(model, tokenizer, scores=4, batch_size=1), answers(model, tokenizer, scores=4, batch_size=9)
    for pair, answer in one.items():
        other = many[pair].scores
        assert answer.scores is not None
        assert other is not None
        assert dict(zip(answer.scores.answer, answer.scores.log_p, strict=True)) == pytest.approx(
            dict(zip(other.answer, other.log_p, strict=True)), abs=1e-4
        )


def test_scores_lie_beside_the_mapping_and_are_reused_with_it(tiny_llm: Path, tmp_path: Path) -> None:
    job = GenerateJob(
        prompts=str(write_prompts(tmp_path / "prompts", NAMES)),
        base_model=str(tiny_llm),
        generation=Generation(batch_size=4, precision="float32", scores=4),
        work=str(tmp_path / "work"),
        out=str(tmp_path / "scored"),
    )
    without = dataclasses.replace(job, generation=Generation(batch_size=4, precision="float32"), out=str(tmp_path / "without"))
    generate(job)
    generate(without)
    assert (Path(job.out) / "mapping.parquet").read_bytes() == (Path(without.out) / "mapping.parquet").read_bytes()
    assert not (Path(without.out) / "scores.parquet").exists()
    scores = pq.read_table(Path(job.out) / "scores.parquet")
    assert scores.num_rows == len(PAIRS)
    assert {len(row) for row in scores["answer"].to_pylist()} == {len(NAMES) - 2}

    told = write_prompts(tmp_path / "told", NAMES, {(0, 1): "Often next: soft drinks\n"})
    # What was answered without scores is asked again.
    for known, asked in ((job.out, 1), (without.out, len(PAIRS))):
        later = dataclasses.replace(job, prompts=str(told), known=(known,), out=str(tmp_path / f"later-{asked}"))
        generate(later)
        assert json.loads((Path(later.out) / "cost.json").read_text())["asked"] == asked
    one, other = (pq.read_table(tmp_path / f"later-{asked}" / "scores.parquet") for asked in (1, len(PAIRS)))
    assert one["answer"].equals(other["answer"])
    assert one["log_p"].combine_chunks().flatten().to_pylist() == pytest.approx(
        other["log_p"].combine_chunks().flatten().to_pylist(), abs=1e-4
    )


def test_vllm_is_refused_with_advice(tiny_llm: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='set engine = "trie"'):
        Generation(engine="vllm", scores=4)
    job = GenerateJob(str(write_prompts(tmp_path / "prompts", NAMES)), str(tiny_llm), Generation(scores=4), "", "")
    with pytest.raises(ValueError, match=r'set generation\.engine = "trie"'):
        vllm_engine(job, read_prompts(Path(job.prompts)))
