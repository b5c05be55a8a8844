"""What bfloat16 costs the real SmolLM2 of 30 layers, beside its float32 logits: ours no more than the model's own attention."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from driftline.contracts import BadInput, Precision, Training, TrainJob
from driftline.engines import suits, weights
from driftline.engines.precision import cast
from driftline.engines.suits import Probe
from driftline.engines.tokens import Segments
from driftline.engines.train import train
from tests.engines.conftest import DESCRIPTIONS, SHARED, first, rest, write_samples

pytestmark = pytest.mark.long

NOISE = 1.25
"""Two roundings of one model, its two attentions, differ by up to that factor in their mean square error."""


def load() -> Any:
    try:
        return weights.load_causal_lm("smollm2")
    except BadInput as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def probes() -> tuple[object, list[Probe], list[torch.Tensor]]:
    """The model, texts, and their logits in float32: real prompts of one block with their answers, and words without a sense."""
    model, tokenizer = load()
    segments = Segments(tokenizer)
    rows = [segments.of(rest(c2)) + segments.label(" " + DESCRIPTIONS[c2 - 1])[:-1] for c2 in range(1, 5)]
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(20, 49_000, (60,), generator=generator).tolist()
    probes = [Probe(segments.start(SHARED) + segments.of(first(0)), rows), Probe(words[:20], [words[20:35], words[35:]])]
    with torch.inference_mode():
        exact = [suits._by_itself(model.eval(), probe) for probe in probes]
    return cast(model, torch.bfloat16), probes, exact


def test_our_attentions_round_no_worse_than_the_model_s_own(probes: tuple[object, list[Probe], list[torch.Tensor]]) -> None:
    model, texts, exact = probes

    def error(logits: suits.Logits) -> float:
        """Root of the mean square, over the logits' deviation."""
        with torch.no_grad():
            squares = [
                (logits(model, probe) - whole).square().mean() / whole.var() for probe, whole in zip(texts, exact, strict=True)
            ]
        return float(torch.stack(squares).mean().sqrt())

    own = []
    for attention in ("sdpa", "eager"):
        model.set_attn_implementation(attention)  # type: ignore[attr-defined]
        own.append(error(suits._by_itself))
    model.set_attn_implementation("sdpa")  # type: ignore[attr-defined]
    assert 0 < max(own) < 0.1
    assert error(suits._by_rows) < NOISE * max(own)
    assert error(suits._by_tree) < NOISE * max(own)


def test_training_in_bfloat16_learns_what_float32_learns(tmp_path: Path) -> None:
    """A few steps of the real model, on any processor."""
    load()
    samples = write_samples(tmp_path / "samples.parquet")
    losses = {}
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        training = Training(base_model="smollm2", steps=4, batch_size=4, learning_rate=1e-3, precision=precision)
        job = TrainJob(str(samples), training, work=str(tmp_path / f"work-{precision}"), out=str(tmp_path / precision))
        train(job)
        losses[precision] = json.loads((tmp_path / precision / "train.json").read_text())["losses"]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"][0] == pytest.approx(losses["float32"][0], rel=0.01)
    learnt = {precision: of[0] - sum(of[1:]) / 3 for precision, of in losses.items()}
    assert learnt["bfloat16"] > 0.8 * learnt["float32"] > 0
