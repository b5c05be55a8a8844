"""What the trie engine does beyond the contract of all engines (`test_engine_contract.py`)."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chi2
from transformers import AutoModelForCausalLM, AutoTokenizer

from driftline.contracts import Sampling
from driftline.engines.engine import Answer, Block
from driftline.engines.examples import Example, label_loss
from driftline.engines.tokens import Segments
from driftline.engines.trie_engine import TrieEngine
from tests.engines.conftest import DESCRIPTIONS, SHARED, first, rest

LABELS = [" " + text for text in DESCRIPTIONS]
PAIRS = [(c1, c2) for c1 in range(6) for c2 in range(6) if c1 != c2]


@pytest.fixture(scope="module")
def tokenizer(tiny_llm: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_llm)


@pytest.fixture(scope="module", params=[0, 12, 30], ids=["untrained", "half-trained", "trained"])
def model(request: pytest.FixtureRequest, tiny_llm: Path, tokenizer: Any) -> Any:
    """From never exact over sometimes to mostly: trained to write what it likes, c1 and c2 included."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    segments = Segments(tokenizer)
    batch = [Example(segments.of(first(c1)) + segments.of(rest(c2)), segments.label(LABELS[(c1 + c2) % 6])) for c1, c2 in PAIRS]
    for _ in range(request.param):
        label_loss(model, segments.start(SHARED), batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def answers(model: Any, tokenizer: Any, batch_size: int, sampling: Sampling | None = None) -> dict[tuple[int, int], Answer]:
    engine = TrieEngine(model, tokenizer, SHARED, LABELS, batch_size, sampling)
    found = {}
    for c1 in range(6):
        others = tuple(c2 for c2 in range(6) if c2 != c1)
        for answer in engine.answer(Block(c1, first(c1), others, tuple(rest(c2) for c2 in others))):
            found[c1, answer.c2] = answer
    return found


def test_batches_change_nothing(model: Any, tokenizer: Any) -> None:
    assert answers(model, tokenizer, batch_size=1) == answers(model, tokenizer, batch_size=4)


def test_what_a_model_folder_says_of_decoding_is_not_obeyed(tiny_llm: Path, tokenizer: Any, tmp_path: Path) -> None:
    """An instruct model's own sampling would filter away the tokens that are allowed."""
    shutil.copytree(tiny_llm, tmp_path / "llm")
    (tmp_path / "llm/generation_config.json").write_text('{"do_sample": true, "top_k": 1, "repetition_penalty": 1.3}')
    told = AutoModelForCausalLM.from_pretrained(tmp_path / "llm").eval()
    assert told.generation_config.repetition_penalty == 1.3
    plain = AutoModelForCausalLM.from_pretrained(tiny_llm).eval()
    assert answers(told, tokenizer, 4) == answers(plain, tokenizer, 4)


def test_a_model_that_says_no_numbers_answers_novel_interests_and_none_exactly(tiny_llm: Path, tokenizer: Any) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llm).eval()
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    found = answers(model, tokenizer, 4)
    assert len(found) == len(PAIRS)
    assert all(answer.c_next not in pair and 0 <= answer.c_next < 6 for pair, answer in found.items())
    assert not any(answer.exact for answer in found.values())


def clusters(model: Any, tokenizer: Any, batch_size: int, temperature: float, seed: int) -> dict[tuple[int, int], int]:
    found = answers(model, tokenizer, batch_size, Sampling(temperature, seed))
    return {pair: answer.c_next for pair, answer in found.items()}


def test_a_draw_depends_on_the_seed_and_not_on_the_batch(model: Any, tokenizer: Any) -> None:
    once = clusters(model, tokenizer, 64, 2.0, seed=5)
    assert once == clusters(model, tokenizer, 64, 2.0, seed=5)
    assert once == clusters(model, tokenizer, 1, 2.0, seed=5)
    assert once == clusters(model, tokenizer, 4, 2.0, seed=5)
    assert once != clusters(model, tokenizer, 64, 2.0, seed=6)
    assert all(c_next not in pair for pair, c_next in once.items())


def test_a_cold_draw_is_the_greedy_answer(model: Any, tokenizer: Any) -> None:
    greedy = {pair: answer.c_next for pair, answer in answers(model, tokenizer, 64).items()}
    assert clusters(model, tokenizer, 64, 1e-6, seed=5) == greedy
    assert clusters(model, tokenizer, 64, 5.0, seed=5) != greedy


OTHER_DRAWS = [(0, 0.5), (0, 2.0), (12, 2.0), (30, 0.5), (30, 2.0)]


@pytest.mark.parametrize(
    ("model", "temperature"),
    [(12, 0.5), *(pytest.param(*draws, marks=pytest.mark.long) for draws in OTHER_DRAWS)],
    indirect=["model"],
)
def test_draws_follow_the_softmax_over_the_allowed_tokens(model: Any, tokenizer: Any, temperature: float) -> None:
    """The first fork of every pair over many seeds, against probabilities from the whole prompt: Pearson's chi-square."""
    segments = Segments(tokenizer)
    labels = [segments.label(label) for label in LABELS]
    seeds = range(60)
    drawn = [clusters(model, tokenizer, 64, temperature, seed) for seed in seeds]
    observed, expected, free = [], [], 0
    for c1, c2 in PAIRS:
        novel = [label for cluster, label in enumerate(labels) if cluster not in (c1, c2)]
        fork = next(i for i in range(9) if len({label[i] for label in novel}) > 1)
        allowed = sorted({label[fork] for label in novel})
        prompt = segments.start(SHARED) + segments.of(first(c1)) + segments.of(rest(c2)) + novel[0][:fork]
        with torch.inference_mode():
            logits = model(torch.tensor([prompt])).logits[0, -1, allowed]
        expected += (torch.softmax(logits.double() / temperature, 0) * len(seeds)).tolist()
        chosen = [labels[found[c1, c2]][fork] for found in drawn]
        observed += [chosen.count(token) for token in allowed]
        free += len(allowed) - 1
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    assert len(observed) > 60
    assert chi2.sf(statistic, free) > 0.001
    hotter = [0.5 * e + 0.5 * len(seeds) / 3 for e in expected]
    assert sum((o - e) ** 2 / e for o, e in zip(observed, hotter, strict=True)) > 3 * free  # it would have noticed
