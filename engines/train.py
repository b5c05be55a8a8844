"""LoRA fine-tuning (paper §2.2): `python -m engines.train JOB.json`. Killed and started again, it ends with the same bits."""

from engines import child, ranks

if __name__ == "__main__":
    child.arm()
    ranks.launch("engines.train")

import dataclasses
import hashlib
import json
import math
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA starts: what makes cuBLAS deterministic

import numpy as np
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from contracts import Training, TrainJob
from engines import checkpoints, suits, weights
from engines.cost import Account
from engines.examples import Example, label_loss, read_examples
from engines.files import atomic_folder, sha256


def train(job: TrainJob) -> None:
    """Trains an adapter on the job's samples.

    Raises:
        BadInput: there is no sample, the base model does not suit, or there are fewer GPUs than processes.
        child.Stopped: on SIGTERM, after a checkpoint.
    """
    training, out, work = job.training, Path(job.out), Path(job.work)
    if out.exists():
        return
    run = _run_hash(job)
    account = Account(work / f"spent-{run[:16]}", alone=ranks.rank() == 0)
    child.report("training", 0, training.steps, "loading")
    begin = {"step": 0, "losses": [], "seconds": 0.0, "threads": child.threads(), "processes": training.processes}
    state = begin | (checkpoints.newest(work, run) or {})
    # Sums depend on how they are split among threads: a resumed run goes on with as many as it began with.
    torch.set_num_threads(state["threads"] if state["processes"] == training.processes else child.threads())
    torch.use_deterministic_algorithms(True, warn_only=True)

    ranks.take_gpu(training.processes)
    base, tokenizer = weights.load_causal_lm(training.base_model)
    shared, examples = read_examples(Path(job.samples), tokenizer)
    longest = len(shared) + max(len(example.prompt) + len(example.label) for example in examples)
    suits.check(base, longest, training=True, inference=job.engine == "trie")
    model = with_lora(base, training)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=0.0)
    if state["step"]:
        begun = f" that {state['processes']} processes began" if state["processes"] != training.processes else ""
        print(f"goes on after step {state['step']}{begun}", file=sys.stderr, flush=True)
        set_peft_model_state_dict(model, state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        torch.cuda.set_rng_state_all(state["cuda_rng"])
    together = Accelerator(cpu=not torch.cuda.is_available())  # here, where all have read what rank 0 may soon replace

    began = time.monotonic() - state["seconds"]
    losses = list(state["losses"])

    def checkpoint(step: int) -> None:
        if not together.is_main_process:
            return
        state = {"step": step, "losses": losses, "seconds": time.monotonic() - began, "threads": torch.get_num_threads()}
        state |= {"processes": together.num_processes}
        state |= {"adapter": get_peft_model_state_dict(model, save_embedding_layers=False)}
        state |= {"optimizer": optimizer.state_dict()}
        state |= {"rng": torch.get_rng_state(), "cuda_rng": torch.cuda.get_rng_state_all()}
        checkpoints.save(work, step, run, state)

    model.train()
    for step in range(state["step"], training.steps):
        if together.reduce(torch.tensor(float(child.stopping()), device=together.device)) > 0:  # all stop at the same step
            checkpoint(step)
            account.close()
            raise child.Stopped
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate * rate(step, training)
        loss = _backward(model, parameters, shared, [examples[i] for i in batch_of(step, len(examples), training)], together)
        torch.nn.utils.clip_grad_norm_(parameters, training.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        child.report("training", step + 1, training.steps, f"loss {losses[-1]:.3f}")
        if (step + 1) % training.checkpoint_every == 0 or step + 1 == training.steps:
            checkpoint(step + 1)
        account.enter()

    account.close()
    together.wait_for_everyone()
    if not together.is_main_process:
        return
    facts = {"steps": training.steps, "losses": losses, "seconds": round(time.monotonic() - began, 1)}
    facts |= {"tokens": tokens_trained(shared, examples, training), "samples": len(examples), "processes": together.num_processes}
    cost = account.total()
    facts |= {name: getattr(cost, name) for name in ("cpu_seconds", "gpu_seconds", "wall_seconds")}
    _save(model, training, facts, out)
    checkpoints.clear(work)
    account.clear()


def batch_of(step: int, samples: int, training: Training) -> list[int]:
    """The samples of a step: epochs in an order that only the seed decides, so that a resumed run needs no memory of it."""
    first = step * training.batch_size
    epochs = range(first // samples, (first + training.batch_size - 1) // samples + 1)
    order = np.concatenate([np.random.default_rng([training.seed, epoch]).permutation(samples) for epoch in epochs])
    offset = first - epochs[0] * samples
    return order[offset : offset + training.batch_size].tolist()


def rate(step: int, training: Training) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine down to zero."""
    warmup = max(1, round(training.warmup * training.steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, training.steps - warmup)))


def _backward(model, parameters: list, shared: list[int], batch: list[Example], together: Accelerator) -> torch.Tensor:
    """The mean loss over the label tokens of the whole batch, its gradients in `parameters`; every process does its share."""
    own = batch[together.process_index :: together.num_processes]
    loss = label_loss(model, shared, own)
    if together.num_processes == 1:
        loss.backward()
        return loss
    loss = loss * (sum(len(example.label) for example in own) / sum(len(example.label) for example in batch))
    loss.backward()
    sums = together.reduce(torch.cat([loss.detach()[None], *(parameter.grad.flatten() for parameter in parameters)]))
    for parameter, total in zip(parameters, sums[1:].split([parameter.numel() for parameter in parameters]), strict=True):
        parameter.grad.copy_(total.view_as(parameter))
    return sums[0]


def with_lora(base, training: Training):
    """The model with an untrained adapter on all its linear layers; the same one for the same seed."""
    torch.manual_seed(training.seed)
    config = LoraConfig(
        r=training.rank,
        lora_alpha=training.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


def _save(model, training: Training, facts: dict[str, object], out: Path) -> None:
    with atomic_folder(out) as aside:
        model.save_pretrained(aside, save_embedding_layers=False)
        (aside / "README.md").unlink(missing_ok=True)
        config = json.loads((aside / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = weights.hub_name(training.base_model)
        config["target_modules"] = sorted(config["target_modules"])  # peft keeps a set: its order changes from run to run
        (aside / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        (aside / "train.json").write_text(json.dumps(facts, indent=1) + "\n")


def _run_hash(job: TrainJob) -> str:
    """Binds checkpoints to the samples and the recipe. How often to checkpoint is no part of it: it changes no weight. Nor is how
    many processes there are: they change weights by rounding only."""
    recipe = {name: value for name, value in dataclasses.asdict(job.training).items() if name != "processes"}
    recipe |= {"checkpoint_every": 0}
    return hashlib.sha256((sha256(Path(job.samples)) + json.dumps(recipe, sort_keys=True)).encode()).hexdigest()


def tokens_trained(shared: list[int], examples: list[Example], training: Training) -> int:
    """Of the prompts and labels of all steps, what they share counted with each."""
    lengths = [len(shared) + len(example.prompt) + len(example.label) for example in examples]
    return sum(lengths[i] for step in range(training.steps) for i in batch_of(step, len(examples), training))


if __name__ == "__main__":
    child.main(TrainJob, train)
