"""What an interrupted training run leaves behind, tried by really interrupting it."""

import dataclasses
import json
import re
import signal
import subprocess
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from driftline.contracts import BadInput, Precision, Training, TrainJob
from driftline.engines import checkpoints, suits
from driftline.engines.examples import Example, label_loss, read_examples
from driftline.engines.prefix_tree import PrefixTree
from driftline.engines.train import LoraTraining, batch_of, train
from tests.engines.conftest import DESCRIPTIONS, fills_the_disk, kept, start, write_samples, write_validation

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@pytest.fixture
def job(tiny_llm: Path, tmp_path: Path) -> TrainJob:
    training = Training(
        base_model=str(tiny_llm),
        rank=4,
        alpha=8,
        learning_rate=1e-2,
        steps=60,
        batch_size=4,
        checkpoint_every=3,
        validate_every=5,
        precision="float32",
    )
    samples, validation = write_samples(tmp_path / "samples.parquet"), write_validation(tmp_path / "validation")
    return TrainJob(str(samples), training, work=str(tmp_path / "work"), out=str(tmp_path / "out"), validation=str(validation))


Said = dict[str, Any]
Blow = Callable[["subprocess.Popen[str]"], None]


def killed(process: "subprocess.Popen[str]") -> None:
    process.kill()


def stopped(process: "subprocess.Popen[str]") -> None:
    process.terminate()


def interrupted(when: Callable[[Said], bool], blow: Blow, job: TrainJob, folder: Path) -> tuple[int, str]:
    """Strikes once the child has reported something; its exit code and last words."""
    with start("train", job, folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if when(json.loads(line)):
                blow(process)
                break
        _, errors = process.communicate()
    return process.returncode, (errors.splitlines() or [""])[-1]


def validating(step: int) -> Callable[[Said], bool]:
    """In mid-validation, at a step or later."""
    return lambda said: said["done"] >= step and said["note"].startswith("validating") and "ing 0/" not in said["note"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("precision", "blow", "code", "words"),
    [("float32", killed, -signal.SIGKILL, ""), ("bfloat16", fills_the_disk, 1, "OSError: [Errno 27] File too large")],
)
def test_kill_and_stop_and_resume_end_with_the_same_bits(
    job: TrainJob, tmp_path: Path, precision: Precision, blow: Blow, code: int, words: str
) -> None:
    job = dataclasses.replace(job, training=dataclasses.replace(job.training, precision=precision))
    whole = dataclasses.replace(job, work=str(tmp_path / "work-whole"), out=str(tmp_path / "out-whole"))
    train(whole)

    ended, last = interrupted(validating(10), blow, job, tmp_path)
    assert (ended, words in last) == (code, True), last
    saved = sorted(path.name for path in Path(job.work).glob("step-*"))
    assert saved[-1] == "step-00000009"  # the validation after step 10 is void
    assert len(saved) <= checkpoints.KEEP
    assert not Path(job.out).exists()

    assert interrupted(validating(20), stopped, job, tmp_path)[0] == 75
    stopped_after = int(sorted(Path(job.work).glob("step-*"))[-1].name.removeprefix("step-"))
    assert 20 <= stopped_after < 60
    assert not Path(job.out).exists()
    attempts = kept(Path(job.work))

    with start("train", job, tmp_path) as process:
        out, errors = process.communicate()
    assert process.returncode == 0, errors
    steps = [line["done"] for line in map(json.loads, out.splitlines()) if line["note"].startswith("loss")]
    facts, whole_facts = (json.loads((Path(folder) / "train.json").read_text()) for folder in (job.out, whole.out))
    assert steps == list(range(stopped_after + 1, whole_facts["steps"] + 1))  # not a step twice

    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (Path(job.out) / name).read_bytes() == (Path(whole.out) / name).read_bytes()
    assert not list(Path(job.work).iterdir())
    assert facts["computed"]["precision"] == precision
    assert facts["losses"] == whole_facts["losses"]
    assert facts["validation"] == whole_facts["validation"]
    assert facts["losses"][-1] < facts["losses"][0] / 2
    assert facts["tokens"] == whole_facts["tokens"]
    # Steps that a kill made void and the start of three processes were paid for as well.
    assert len(attempts) == 2
    assert facts["cpu_seconds"] > sum(attempt["cpu_seconds"] for attempt in attempts)
    assert facts["wall_seconds"] > max(facts["seconds"], sum(attempt["wall_seconds"] for attempt in attempts))
    assert facts["gpu_seconds"] == 0 or torch.cuda.is_available()


def test_the_best_checkpoint_becomes_the_adapter_and_what_it_was_worth_is_true(job: TrainJob, tiny_llm: Path) -> None:
    """Against plain transformers: the loss of whole prompts one by one, and what `generate` writes freely."""
    train(dataclasses.replace(job, training=dataclasses.replace(job.training, steps=40, validate_every=8)))
    facts = json.loads((Path(job.out) / "train.json").read_text())["validation"]
    assert facts["step"] == [8, 16, 24, 32, 40]
    best = facts["step"].index(facts["best_step"])

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llm), job.out).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    shared, examples = read_examples(Path(job.samples), tokenizer)
    losses = torch.stack([label_loss(model, shared, [example]) * len(example.label) for example in examples])
    assert facts["loss"][best] == pytest.approx(losses.sum().item() / sum(len(example.label) for example in examples), rel=1e-5)

    exact = 0
    for pair, example in zip(permutations(range(6), 2), examples, strict=True):
        prompt = torch.tensor([shared + example.prompt])
        written = model.generate(input_ids=prompt, do_sample=False, max_new_tokens=40)[0, prompt.shape[1] :].tolist()
        others = [text for cluster, text in enumerate(DESCRIPTIONS) if cluster not in pair]
        exact += written[-1] == tokenizer.eos_token_id and tokenizer.decode(written[:-1]) in [" " + text for text in others]
    assert facts["exact_match_rate"][best] == pytest.approx(exact / 30)
    assert exact > 0


def test_a_model_that_our_engine_cannot_ask_is_validated_by_its_loss(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(model: object, longest: int, training: bool = False, inference: bool = False) -> None:
        if inference:
            raise BadInput("it cannot be asked")

    monkeypatch.setattr(suits, "check", check)
    short = dataclasses.replace(job.training, steps=4, validate_every=2, cooldown=0)
    train(dataclasses.replace(job, training=short, engine="vllm"))
    facts = json.loads((Path(job.out) / "train.json").read_text())["validation"]
    assert facts["exact_match_rate"] == [None, None]
    assert facts["best_step"] == facts["step"][facts["loss"].index(min(facts["loss"]))]


def test_training_ends_early_where_nothing_improves(job: TrainJob) -> None:
    still = dataclasses.replace(job.training, learning_rate=1e-9, steps=60, validate_every=2, patience=2, cooldown=0.5)
    train(dataclasses.replace(job, training=still))
    facts = json.loads((Path(job.out) / "train.json").read_text())
    assert facts["steps"] == 12  # the third validation is the second without improvement, and half of the steps cool down
    assert facts["validation"]["best_step"] in facts["validation"]["step"]
    assert len(facts["losses"]) == 12


def test_a_loss_that_is_not_finite_ends_the_training_at_once(job: TrainJob, tiny_llm: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(tmp_path / "nan")
    AutoTokenizer.from_pretrained(tiny_llm).save_pretrained(tmp_path / "nan")
    broken = dataclasses.replace(job, training=dataclasses.replace(job.training, base_model=str(tmp_path / "nan")))
    with pytest.raises(ValueError, match=r"not all finite|loss of step 1 is nan.*lower training\.learning_rate"):
        train(broken)
    wild = dataclasses.replace(job.training, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"loss of step \d is (nan|inf).*lower training\.learning_rate"):
        train(dataclasses.replace(job, training=wild, work=str(tmp_path / "wild")))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_plain_peft_loads_the_adapter(job: TrainJob, tiny_llm: Path, precision: Precision) -> None:
    train(dataclasses.replace(job, training=dataclasses.replace(job.training, steps=3, precision=precision), validation=None))
    base = AutoModelForCausalLM.from_pretrained(tiny_llm)
    tokens = torch.arange(10)[None]
    before = base(tokens).logits
    assert not torch.equal(PeftModel.from_pretrained(base, job.out)(tokens).logits, before)
    weights = load_file(Path(job.out) / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}  # whatever the base model computes in
    linear = r"base_model\.model\.model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.lora_[AB]\.weight"
    assert all(re.fullmatch(linear, name) for name in weights)  # what vLLM reads, too
    assert len(weights) == 2 * 7 * 2
    config = json.loads((Path(job.out) / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"], config["bias"]) == ("LORA", 4, 8, "none")
    assert [config[name] for name in ("use_dora", "use_rslora", "modules_to_save")] == [False, False, None]
    assert {path.name for path in Path(job.out).iterdir()} == {"adapter_config.json", "adapter_model.safetensors", "train.json"}


def test_a_checkpoint_of_another_precision_is_not_gone_on_with(job: TrainJob, capfd: pytest.CaptureFixture[str]) -> None:
    runs = [dataclasses.replace(job.training, precision=precision) for precision in PRECISIONS]
    for training in runs:
        LoraTraining(dataclasses.replace(job, training=training)).keep_checkpoint()
    assert "goes on" not in capfd.readouterr().err
    LoraTraining(dataclasses.replace(job, training=runs[1])).keep_checkpoint()
    assert "goes on" in capfd.readouterr().err


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradient_checkpointing_changes_no_bit(job: TrainJob, tmp_path: Path, precision: Precision) -> None:
    adapters = []
    for again in (False, True):
        training = dataclasses.replace(job.training, steps=4, precision=precision, gradient_checkpointing=again)
        out = tmp_path / f"out-{again}"
        train(dataclasses.replace(job, training=training, validation=None, out=str(out)))
        adapters.append((out / "adapter_model.safetensors").read_bytes())
    assert adapters[0] == adapters[1]


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


def test_a_pad_token_that_is_the_end_token_hides_no_end(tiny_llm: Path, tmp_path: Path) -> None:
    """Elsewhere it does, and such a model never stops: every label ends with the end token, and its loss counts."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    tokenizer.pad_token = tokenizer.eos_token
    shared, examples = read_examples(write_samples(tmp_path / "samples.parquet"), tokenizer)
    assert all(example.label[-1] == tokenizer.eos_token_id for example in examples)
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    whole = label_loss(model, shared, examples[:2]).item()
    assert whole != pytest.approx(label_loss(model, shared, [Example(one.prompt, one.label[:-1]) for one in examples[:2]]).item())


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
