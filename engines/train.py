"""LoRA fine-tuning (paper §2.2): `python -m driftline.engines.train JOB.json`.

Killed and started again, it ends with the same bits.
"""

from driftline.engines import child, distributed

if __name__ == "__main__":
    child.arm()
    child.skip_scikit_learn()
    distributed.launch("driftline.engines.train")

import dataclasses
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA starts: what makes cuBLAS deterministic

import numpy as np
import torch
from accelerate import Accelerator
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.helpers import disable_input_dtype_casting
from transformers import PreTrainedModel

from driftline.contracts import BadInput, Training, TrainJob
from driftline.engines import checkpoints, device, machine, memory, prefix_tree, suits, weights
from driftline.engines.attention import exchanged
from driftline.engines.cost import Account
from driftline.engines.examples import Example, label_loss, read_examples
from driftline.engines.precision import cast, precision
from driftline.engines.schedule import ValidationPoint, best_of, ends_at, rate
from driftline.engines.validation import Validation
from driftline.interests.memory import Shapes, of_training
from driftline.system.files import atomic_folder, sha256


def train(job: TrainJob) -> None:
    """Trains an adapter on the job's samples.

    Raises:
        BadInput: there is no sample, the base model does not suit, a loss is not finite, or GPUs are fewer than processes.
        child.Stopped: on SIGTERM, after a checkpoint.
    """
    if Path(job.out).exists():
        return
    run = LoraTraining(job)
    while True:
        run.validate_if_due()
        if run.step == run.last_step:
            break
        run.stop_if_asked()
        run.update()
        if run.step % job.training.checkpoint_every == 0:
            run.keep_checkpoint()
    run.finish()


class LoraTraining:
    """A training between two of its steps: begun, or gone on with from the newest checkpoint.

    Attributes:
        step: optimizer steps done.
        losses: of each step.
        curve: the validations.
        best: adapter of the checkpoint to keep, as `best_of` has it by now.
    """

    def __init__(self, job: TrainJob) -> None:
        self.job, training = job, job.training
        self.work, self.key = Path(job.work), _run_hash(job)
        self.account = Account(self.work / f"spent-{self.key[:16]}", alone=distributed.rank() == 0)
        state = checkpoints.newest(self.work, self.key, tidy=distributed.rank() == 0)
        began = state or {"step": 0, "losses": [], "curve": [], "best": None, "seconds": 0.0}
        began = {"threads": child.threads(), "processes": training.processes} | began
        # Sums depend on how they are split among threads: a resumed run goes on with as many as it began with.
        torch.set_num_threads(began["threads"] if began["processes"] == training.processes else child.threads())
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # it finds faults of others, and takes a tenth of a step
        if training.processes == 1:
            device.take_turns("training")
        distributed.take_gpu(training.processes)
        self.precision = precision(training.precision)
        if training.quantize != "none" and job.engine == "vllm":
            raise BadInput(
                f"vLLM has no model in {training.quantize}: set generation.engine = 'trie', or training.quantize = 'none'"
            )

        with child.loading("training", began["step"], training.steps):
            tokenizer = weights.load_tokenizer(training.base_model)
            self.shared, self.examples = read_examples(Path(job.samples), tokenizer)
            shapes = self._check_memory()
            dtype = memory.loads_in(shapes, self.precision, training.quantize)
            base = weights.load_model(training.base_model, dtype, training.quantize)
            longest = len(self.shared) + max(len(example.prompt) + len(example.label) for example in self.examples)
            suits.check(base, longest, training=True, inference=job.engine == "trie")
            asks = job.engine == "trie" or (job.validation is not None and _can_be_asked(base, longest))
            self.validation = Validation(Path(job.validation), tokenizer, asks) if job.validation else None
            self.model = with_lora(cast(base, getattr(torch, self.precision)), training).train()
        if training.gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=training.learning_rate, weight_decay=0.0)
        self.step, self.losses, self.best = began["step"], began["losses"], began["best"]
        self.curve = [ValidationPoint(*point) for point in began["curve"]]
        if state:
            self._go_on_from(state)
        self.began = time.monotonic() - began["seconds"]
        # A barrier: no rank may still read a checkpoint that rank 0 is about to replace.
        self.together = Accelerator(cpu=not torch.cuda.is_available())

    def _check_memory(self) -> Shapes | None:
        """The model's; before the weights are loaded. The samples of a step may share nothing but what all of them begin with."""
        training = self.job.training
        own = sorted((len(example.prompt) + len(example.label) for example in self.examples), reverse=True)
        labels = sorted((len(example.label) for example in self.examples), reverse=True)
        size = -(-training.batch_size // training.processes)
        model = memory.shapes(weights.base_model_path(training.base_model))
        if model is not None:
            tokens = len(self.shared) + sum(own[:size])
            checkpointing = training.gradient_checkpointing
            labelled, quantize = sum(labels[:size]), training.quantize
            need = of_training(model, self.precision, training.rank, tokens, labelled, checkpointing, quantize)
            memory.check(need, "lower training.batch_size, or set training.gradient_checkpointing = true")
        return model

    def _go_on_from(self, state: dict[str, Any]) -> None:
        processes = state["processes"]
        begun = f" that {processes} processes began" if processes != self.job.training.processes else ""
        print(f"goes on after step {state['step']}{begun}", file=sys.stderr, flush=True)
        set_peft_model_state_dict(self.model, state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        for gpu, rng in zip(range(torch.cuda.device_count()), state["cuda_rng"], strict=False):  # it may be another machine
            torch.cuda.set_rng_state(rng, gpu)

    @property
    def last_step(self) -> int:
        """Number of the last step, as far as is known by now."""
        return ends_at(self.curve, self.job.training) if self.validation else self.job.training.steps

    def validate_if_due(self) -> None:
        """Adds a point to the curve, and keeps the adapter if it is the best by now."""
        due = self.step and (self.step % self.job.training.validate_every == 0 or self.step == self.last_step)
        if self.validation is None or not due or (self.curve and self.curve[-1].step == self.step):
            return
        with arithmetic(self.model, self.precision):
            exact, loss = self.validation.measure(self.model, self.together, self._between)
        self.curve.append(ValidationPoint(self.step, exact, loss))
        if best_of(self.curve, self.validation.pairs, self.job.training) is self.curve[-1]:
            self.best = {name: weight.clone() for name, weight in self._adapter().items()}
        self.keep_checkpoint()
        self._report(f"validation loss {loss:.3f}" + (f", exact match {100 * exact:.1f} %" if exact is not None else ""))

    def update(self) -> None:
        """One step of the optimizer.

        Raises:
            BadInput: the loss or its gradient is not finite.
        """
        training = self.job.training
        for group in self.optimizer.param_groups:
            group["lr"] = training.learning_rate * rate(self.step, self.curve, training)
        batch = [self.examples[i] for i in batch_of(self.step, len(self.examples), training)]
        loss = _backward(self.model, self.precision, self.parameters, self.shared, batch, self.together).item()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, training.max_grad_norm).item()
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise BadInput(
                f"the loss of step {self.step + 1} is {loss} and the norm of its gradient {norm}: lower training.learning_rate, "
                "or choose another training.base_model"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.losses.append(loss)
        self._report(f"loss {loss:.3f}")
        self.account.enter()

    def stop_if_asked(self) -> None:
        """Stops after a checkpoint, by `child.Stopped`, if SIGTERM came to any of the processes."""
        if self.together.reduce(torch.tensor(float(child.stopping()), device=self.together.device)) > 0:
            self.keep_checkpoint()
            self.account.close()
            raise child.Stopped

    def keep_checkpoint(self) -> None:
        if self.together.is_main_process:
            state = {
                "step": self.step,
                "losses": self.losses,
                "curve": [dataclasses.astuple(point) for point in self.curve],
                "best": self.best,
                "seconds": time.monotonic() - self.began,
                "threads": torch.get_num_threads(),
                "processes": self.together.num_processes,
                "adapter": self._adapter(),
                "optimizer": self.optimizer.state_dict(),
                "rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state_all(),
            }
            checkpoints.save(self.work, self.step, self.key, state)

    def finish(self) -> None:
        """Writes the adapter, and what it cost."""
        self.account.close()
        self.together.wait_for_everyone()
        if not self.together.is_main_process:
            return
        facts = {"steps": self.step, "losses": self.losses, "seconds": round(time.monotonic() - self.began, 1)}
        facts |= {"tokens": tokens_trained(self.shared, self.examples, self.job.training, self.step)}
        facts |= {"samples": len(self.examples), "processes": self.together.num_processes}
        if self.validation:
            set_peft_model_state_dict(self.model, self.best)
            facts |= {"validation": self._facts(self.validation.pairs)}
        facts |= {"quantize": self.job.training.quantize} if self.job.training.quantize != "none" else {}
        facts |= {"computed": dataclasses.asdict(machine.computed("peft", self.precision))}
        cost = self.account.total()
        facts |= {name: getattr(cost, name) for name in ("cpu_seconds", "gpu_seconds", "wall_seconds")}
        _save(self.model, self.job.training, facts, Path(self.job.out))
        checkpoints.clear(self.work)
        self.account.clear()

    def _facts(self, pairs: int) -> dict[str, Any]:
        """The curve, column by column, and which of its checkpoints became the adapter."""
        columns = zip(*map(dataclasses.astuple, self.curve), strict=True)
        names = (field.name for field in dataclasses.fields(ValidationPoint))
        return {"best_step": best_of(self.curve, pairs, self.job.training).step, "pairs": pairs} | dict(
            zip(names, map(list, columns), strict=True)
        )

    def _adapter(self) -> dict[str, torch.Tensor]:
        adapter: dict[str, torch.Tensor] = get_peft_model_state_dict(self.model, save_embedding_layers=False)
        return adapter

    def _between(self, note: str) -> None:
        self.stop_if_asked()
        self._report(note)
        self.account.enter()

    def _report(self, note: str) -> None:
        child.report("training", self.step, self.last_step, note)


def batch_of(step: int, samples: int, training: Training) -> list[int]:
    """The samples of a step: epochs in an order that only the seed decides, so that a resumed run needs no memory of it."""
    first = step * training.batch_size
    epochs = range(first // samples, (first + training.batch_size - 1) // samples + 1)
    order = np.concatenate([np.random.default_rng([training.seed, epoch]).permutation(samples) for epoch in epochs])
    offset = first - epochs[0] * samples
    return order[offset : offset + training.batch_size].tolist()


def _can_be_asked(base: PreTrainedModel, longest: int) -> bool:
    """Whether exact match can be measured while training for another engine than our own."""
    try:
        suits.check(base, longest, inference=True)
    except BadInput as error:
        print(f"the validation loss alone decides, for exact match cannot be measured: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _backward(
    model: PeftModel,
    precision: str,
    parameters: list[torch.nn.Parameter],
    shared: list[int],
    batch: list[Example],
    together: Accelerator,
) -> torch.Tensor:
    """The mean loss over the label tokens of the whole batch, its gradients in `parameters`; every process does its share."""
    own = batch[together.process_index :: together.num_processes]
    with arithmetic(model, precision):
        loss = label_loss(model, shared, own)
    if together.num_processes > 1:
        loss = loss * (sum(len(example.label) for example in own) / sum(len(example.label) for example in batch))
    with exchanged(model, prefix_tree.ATTENTION):  # gradient checkpointing goes through the layers once more
        loss.backward()
    if together.num_processes == 1:
        return loss
    sums = together.reduce(torch.cat([loss.detach()[None], *(parameter.grad.flatten() for parameter in parameters)]))
    for parameter, total in zip(parameters, sums[1:].split([parameter.numel() for parameter in parameters]), strict=True):
        parameter.grad.copy_(total.view_as(parameter))
    return sums[0]


def with_lora(base: PreTrainedModel, training: Training) -> PeftModel:
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


@contextmanager
def arithmetic(model: PeftModel, precision: str) -> Iterator[None]:
    """Precision of the matrix products of a model with an adapter; with bfloat16 of the adapter too, which is kept in float32."""
    low = precision == "bfloat16"
    with torch.autocast(model.device.type, torch.bfloat16, enabled=low), disable_input_dtype_casting(model, active=low):
        yield


def _save(model: PeftModel, training: Training, facts: dict[str, object], out: Path) -> None:
    with atomic_folder(out) as aside:
        model.save_pretrained(aside, save_embedding_layers=False)
        (aside / "README.md").unlink(missing_ok=True)
        config = json.loads((aside / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = weights.hub_name(training.base_model)
        config["target_modules"] = sorted(config["target_modules"])  # peft keeps a set: its order changes from run to run
        (aside / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        (aside / "train.json").write_text(json.dumps(facts, indent=1) + "\n")


def _run_hash(job: TrainJob) -> str:
    """Binds checkpoints to samples, validation and recipe. How often to checkpoint is no part of it: it changes no weight. Nor is
    how many processes there are: they change weights by rounding only."""
    recipe = {name: value for name, value in dataclasses.asdict(job.training).items() if name != "processes"}
    if recipe["quantize"] == "none":
        del recipe["quantize"]  # checkpoints of before it was a knob
    recipe |= {"checkpoint_every": 0, "gradient_checkpointing": False, "precision": precision(job.training.precision)}
    files = [Path(job.samples), *sorted(Path(job.validation).iterdir() if job.validation else ())]
    return hashlib.sha256((sha256(*files) + json.dumps(recipe, sort_keys=True)).encode()).hexdigest()


def tokens_trained(shared: list[int], examples: list[Example], training: Training, steps: int) -> int:
    """Tokens of prompts and labels over the first `steps`; a shared prefix counts with each sample."""
    lengths = [len(shared) + len(example.prompt) + len(example.label) for example in examples]
    return sum(lengths[i] for step in range(steps) for i in batch_of(step, len(examples), training))


if __name__ == "__main__":
    child.main(TrainJob, train)
