"""What an interrupted training run leaves behind, tried by really interrupting it."""

import dataclasses
import json
import re
import signal
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from contracts import Training, TrainJob
from engines import checkpoints
from engines.examples import Example, label_loss
from engines.prefix_tree import PrefixTree
from engines.train import batch_of, rate, train
from tests.engines.conftest import start, write_samples


@pytest.fixture
def job(tiny_llm: Path, tmp_path: Path) -> TrainJob:
    training = Training(base_model=str(tiny_llm), rank=4, alpha=8, learning_rate=1e-2, steps=60, batch_size=4, checkpoint_every=3)
    samples = write_samples(tmp_path / "samples.parquet")
    return TrainJob(samples=str(samples), training=training, work=str(tmp_path / "work"), out=str(tmp_path / "out"))


def interrupted_at(step: int, number: signal.Signals, job: TrainJob, folder: Path) -> int:
    """Sends a signal once the child has reported a step; its exit code."""
    with start("train", job, folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["done"] >= step:
                process.send_signal(number)
                break
        process.communicate()
    return process.returncode


def test_kill_and_stop_and_resume_end_with_the_same_bits(job: TrainJob, tmp_path: Path) -> None:
    whole = dataclasses.replace(job, work=str(tmp_path / "work-whole"), out=str(tmp_path / "out-whole"))
    train(whole)

    assert interrupted_at(8, signal.SIGKILL, job, tmp_path) == -signal.SIGKILL
    saved = sorted(Path(job.work).glob("step-*"))
    assert 0 < len(saved) <= checkpoints.KEEP
    assert not Path(job.out).exists()

    assert interrupted_at(20, signal.SIGTERM, job, tmp_path) == 75
    stopped_after = int(sorted(Path(job.work).glob("step-*"))[-1].name.removeprefix("step-"))
    assert 20 <= stopped_after < 60
    assert not Path(job.out).exists()

    with start("train", job, tmp_path) as process:
        out, errors = process.communicate()
    assert process.returncode == 0, errors
    steps = [line["done"] for line in map(json.loads, out.splitlines()) if line["note"].startswith("loss")]
    assert steps == list(range(stopped_after + 1, 61))  # not a step twice

    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (Path(job.out) / name).read_bytes() == (Path(whole.out) / name).read_bytes()
    assert not list(Path(job.work).iterdir())
    facts, whole_facts = (json.loads((Path(folder) / "train.json").read_text()) for folder in (job.out, whole.out))
    assert facts["losses"] == whole_facts["losses"]
    assert facts["losses"][-1] < facts["losses"][0] / 2
    assert facts["tokens"] == whole_facts["tokens"]
    # Steps that a kill made void and the start of three processes were paid for as well.
    assert facts["cpu_seconds"] > whole_facts["cpu_seconds"] + 3
    assert facts["wall_seconds"] > max(facts["seconds"], whole_facts["wall_seconds"] + 3)
    assert facts["gpu_seconds"] == 0 or torch.cuda.is_available()


def test_plain_peft_loads_the_adapter(job: TrainJob, tiny_llm: Path) -> None:
    train(dataclasses.replace(job, training=dataclasses.replace(job.training, steps=3)))
    base = AutoModelForCausalLM.from_pretrained(tiny_llm)
    tokens = torch.arange(10)[None]
    before = base(tokens).logits
    assert not torch.equal(PeftModel.from_pretrained(base, job.out)(tokens).logits, before)
    weights = load_file(Path(job.out) / "adapter_model.safetensors")
    linear = r"base_model\.model\.model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.lora_[AB]\.weight"
    assert all(re.fullmatch(linear, name) for name in weights)  # what vLLM reads, too
    assert len(weights) == 2 * 7 * 2
    config = json.loads((Path(job.out) / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"], config["bias"]) == ("LORA", 4, 8, "none")
    assert [config[name] for name in ("use_dora", "use_rslora", "modules_to_save")] == [False, False, None]
    assert {path.name for path in Path(job.out).iterdir()} == {"adapter_config.json", "adapter_model.safetensors", "train.json"}


def test_no_sample_is_bad_input(job: TrainJob) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(job.samples).slice(0, 0), job.samples)
    with pytest.raises(ValueError, match="no samples"):
        train(job)


def test_damaged_and_foreign_checkpoints_are_passed_over(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        checkpoints.save(tmp_path, step, "run", {"step": step})
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000003", "step-00000004"]
    assert checkpoints.newest(tmp_path, "another run") is None
    (tmp_path / "step-00000005").mkdir()  # nothing in it
    (tmp_path / ".step-00000006.aside").mkdir()  # its writer was killed
    state = tmp_path / "step-00000004" / "state.pt"
    state.write_bytes(state.read_bytes()[:-1])  # cut short
    assert checkpoints.newest(tmp_path, "run") == {"step": 3}
    assert not (tmp_path / ".step-00000006.aside").exists()


def test_the_loss_of_a_batch_is_that_of_its_rows_alone(tiny_llm: Path) -> None:
    """Shared prefix, padding and logits at the label only: against `transformers`' own loss on whole prompts, one by one."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    shared = [7, 8, 9]
    batch = [Example([10, 11], [12, 1]), Example([20, 21, 22, 23], [24, 25, 26, 27, 1]), Example([30], [31, 1])]
    total, count = 0.0, 0
    for example in batch:
        tokens = torch.tensor([shared + example.prompt + example.label])
        labels = tokens.clone()
        labels[:, : -len(example.label)] = -100
        total += model(tokens, labels=labels).loss.item() * len(example.label)
        count += len(example.label)
    assert label_loss(model, shared, batch).item() == pytest.approx(total / count, rel=1e-5)
    unshared = [Example(shared + example.prompt, example.label) for example in batch]
    assert label_loss(model, [], unshared).item() == pytest.approx(total / count, rel=1e-5)


def test_what_samples_begin_with_is_computed_once_and_has_the_gradients_of_all(tiny_llm: Path) -> None:
    """Against padded rows: shared beginnings of several lengths, a sequence that another begins with, one that is there twice."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    shared = [7, 8, 9]
    batch = [
        Example([10, 11, 12], [13, 1]),
        Example([10, 11, 12], [13, 14, 1]),
        Example([10, 11, 20], [13, 1]),
        Example([30], [31, 32, 33, 1]),
        Example([10, 11, 12], [13, 1]),
    ]
    whole = [torch.tensor(shared + example.prompt + example.label) for example in batch]
    labels = [
        torch.cat([torch.full([len(tokens) - len(example.label)], -100), tokens[-len(example.label) :]])
        for tokens, example in zip(whole, batch, strict=True)
    ]
    padded, labels = (torch.nn.utils.rnn.pad_sequence(some, True, fill) for some, fill in ((whole, 0), (labels, -100)))
    seen = torch.nn.utils.rnn.pad_sequence([torch.ones_like(tokens) for tokens in whole], True)
    model(padded, attention_mask=seen, labels=labels).loss.backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)

    label_loss(model, shared, batch).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6)
    tree = PrefixTree.of([tokens[:-1].tolist() for tokens in whole], model.device)
    assert len(tree.tokens) == 3 + 3 + 2 + 2 + 4  # shared; 10 11 12; 13 14; 20 13; 30 31 32 33
    assert model.config._attn_implementation == "sdpa"


def test_a_model_without_exchangeable_attention_is_bad_input(tiny_llm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    monkeypatch.setattr(type(model), "_supports_attention_backend", False)
    with pytest.raises(ValueError, match="cannot be exchanged"):
        label_loss(model, [7], [Example([8], [1])])


def test_the_order_is_one_permutation_after_another() -> None:
    training = Training(batch_size=4, seed=3)
    drawn = [i for step in range(15) for i in batch_of(step, 10, training)]
    assert all(sorted(drawn[epoch * 10 : epoch * 10 + 10]) == list(range(10)) for epoch in range(6))
    assert drawn[:10] != drawn[10:20]
    assert len(batch_of(0, 3, training)) == 4  # fewer samples than a batch: it wraps into the next epoch


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [rate(step, Training(steps=20, warmup=0.1)) for step in range(20)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.02
