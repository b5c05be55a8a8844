"""The same steps by TRL's SFTTrainer, on tokens and labels as it makes them from prompts and completions."""

from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from driftline.engines.schedule import rate


def sft(setup: Any, bf16: bool, checkpointing: bool) -> Callable[[], list[float]]:
    """Returns the work: it trains, and returns the losses. `setup`: a `bench.training.Setup`.

    With both it has TRL's defaults for all but the recipe, the order of the samples and its log.
    """
    batches = [setup.batch(step) for step in range(setup.steps)]
    samples = [
        {"input_ids": before + example.label, "labels": [-100] * len(before) + example.label}
        for batch in batches
        for example in batch
        for before in [setup.shared + example.prompt]
    ]
    config = SFTConfig(
        output_dir=TemporaryDirectory(prefix="driftline-bench-").name,
        bf16=bf16,
        gradient_checkpointing=checkpointing,
        per_device_train_batch_size=setup.training.batch_size,
        max_steps=setup.steps,
        max_grad_norm=setup.training.max_grad_norm,
        train_sampling_strategy="sequential",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    rates = torch.optim.lr_scheduler.LambdaLR(setup.optimizer, lambda step: rate(step, (), setup.training))
    trainer = SFTTrainer(
        model=setup.model,
        args=config,
        train_dataset=Dataset.from_list(samples),
        processing_class=setup.tokenizer,
        optimizers=(setup.optimizer, rates),
    )

    def work() -> list[float]:
        trainer.train()
        return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]

    return work
