"""Trains the sequence recommender: `python -m driftline.engines.sequence.train JOB.json`.

Killed and started again, it ends with the same bits.
"""

from driftline.engines import child

if __name__ == "__main__":
    child.arm()

import dataclasses
import hashlib
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from driftline.contracts import BadInput, TrainEncoderJob
from driftline.engines import checkpoints, device
from driftline.engines.cost import Account
from driftline.engines.sequence.batches import DROPOUT, Batches, Draws
from driftline.engines.sequence.model import TorchEncoder, sampled_loss
from driftline.interests.metrics.ranking import find, gains
from driftline.interests.recommender.encoder import Encoder
from driftline.interests.recommender.histories import read
from driftline.interests.recommender.index import by_cluster
from driftline.interests.recommender.ranking import best
from driftline.interests.recommender.rows import NOTHING
from driftline.system.files import atomic_folder, sha256

STAGE = "training the recommender"
WARM_UP = 0.05
"""Share of the steps over which the learning rate rises."""
AT = 10
VALIDATED = 2000
"""Users at most that an epoch is judged by."""


def train(job: TrainEncoderJob) -> None:
    """Trains an encoder and the vectors of the items.

    Raises:
        BadInput: no user has two items before the validation days, or a loss is not finite.
        child.Stopped: on SIGTERM, after a checkpoint.
    """
    if Path(job.out).exists():
        return
    run = EncoderTraining(job)
    while run.step < run.last_step:
        if child.stopping():
            run.keep_checkpoint()
            run.account.close()
            raise child.Stopped
        run.update()
        if run.step % run.batches.per_epoch == 0:
            run.validate()
        if run.step % job.recommender.checkpoint_every == 0:
            run.keep_checkpoint()
    run.finish()


class EncoderTraining:
    """A training between two of its steps: begun, or gone on with from the newest checkpoint.

    Attributes:
        step: optimizer steps done.
        losses: mean of each epoch done.
        curve: NDCG@10 on the validation days after each epoch.
    """

    def __init__(self, job: TrainEncoderJob) -> None:
        self.job, self.knobs, self.work = job, job.recommender, Path(job.work)
        self.key = _run_hash(job)
        self.account = Account(self.work / f"spent-{self.key[:16]}")
        device.take_turns(STAGE)
        with child.loading(STAGE):
            self._read()
        state = checkpoints.newest(self.work, self.key)
        torch.set_num_threads(state["threads"] if state else child.threads())
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.manual_seed(self.knobs.seed)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = TorchEncoder(self.knobs, self.events).to(self.device).train()
        dense = [parameter for name, parameter in self.model.named_parameters() if name != "items.weight"]
        self.optimizers = [
            torch.optim.AdamW(dense, lr=self.knobs.learning_rate, weight_decay=0.01),
            torch.optim.SparseAdam([self.model.items.weight], lr=self.knobs.learning_rate),
        ]
        self.step, self.total, self.seconds = 0, 0.0, 0.0
        self.losses: list[float] = []
        self.curve: list[float] = []
        self.best: dict[str, torch.Tensor] | None = None
        if state:
            self._go_on_from(state)
        self.began = time.monotonic() - self.seconds

    def _read(self) -> None:
        folder, knobs = Path(self.job.sequences), self.knobs
        items = pq.read_table(folder / "items.parquet")
        histories = read(pq.read_table(folder / "steps.parquet"))
        self.index = by_cluster(items, int(items["cluster"].to_numpy().max(initial=-1)) + 1)
        self.known = histories.between(None, self.job.validation.start)
        self.events = np.bincount(self.known.rows, minlength=items.num_rows)
        if not (np.diff(self.known.starts) > 1).any():
            raise BadInput("no user has two items of the cluster set before the validation days: raise recommender.days")
        self.batches, self.draws = Batches(self.known, knobs), Draws(self.index, self.events, knobs)
        later = histories.between(self.job.validation.start, self.job.validation.end)
        self.cases = find(self.known, later, self.index, most=VALIDATED)

    def _go_on_from(self, state: dict[str, Any]) -> None:
        print(f"goes on after step {state['step']}", file=sys.stderr, flush=True)
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.step, self.losses, self.curve, self.total = state["step"], state["losses"], state["curve"], state["total"]
        self.best, self.seconds = state["best"], state["seconds"]

    @property
    def last_step(self) -> int:
        since_best = len(self.curve) - 1 - int(np.argmax(self.curve)) if self.curve else 0
        epochs = len(self.curve) if since_best >= self.knobs.patience else self.knobs.epochs
        return epochs * self.batches.per_epoch

    def update(self) -> None:
        """One step of the optimizers.

        Raises:
            BadInput: the loss is not finite.
        """
        torch.manual_seed(_seed(self.knobs.seed, DROPOUT, self.step))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.knobs.learning_rate * rate(self.step, self.knobs.epochs * self.batches.per_epoch)
        batch, drawn = self.batches.of(self.step), self.draws.of(self.step)
        nothing = len(self.events)
        inputs = self._tensor(np.where(batch.inputs == NOTHING, nothing, batch.inputs))
        learned = self._tensor(batch.targets != NOTHING)
        if learned.any():
            users, targets = self.model(inputs)[learned], self._tensor(batch.targets)[learned]
            loss = sampled_loss(users, targets, self._tensor(drawn.rows), self._tensor(drawn.log_expected), self.model.items)
            if not math.isfinite(loss.item()):
                raise BadInput(f"the loss of step {self.step + 1} is {loss.item()}: lower recommender.learning_rate")
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
            self.total += loss.item()
        self.step += 1
        child.report(STAGE, self.step, self.last_step, f"loss {self.total / ((self.step - 1) % self.batches.per_epoch + 1):.3f}")
        self.account.enter()

    def _tensor(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        tensor = torch.from_numpy(array).to(self.device)
        return tensor.long() if array.dtype == np.int32 else tensor

    def validate(self) -> None:
        """NDCG@10 within the interests that users turned to in the validation days, by the forward pass that serves."""
        self.losses.append(self.total / self.batches.per_epoch)
        self.total = 0.0
        weights, vectors = self.model.export()
        forward = Encoder(weights, self.knobs.heads)
        users, of = np.unique(self.cases.user, return_inverse=True)
        encoded = forward.encode(self.known.last(users, forward.length), vectors)[of]
        ranked = best(self.index.starts, self.cases.cluster, self.cases.seen, lambda n, rows: encoded[n] @ vectors[rows].T, AT)
        ndcg = float(gains(self.cases, ranked.rows)[0].mean()) if len(self.cases.user) else -self.losses[-1]
        if not self.curve or ndcg > max(self.curve):
            self.best = {name: weight.detach().cpu().clone() for name, weight in self.model.state_dict().items()}
        self.curve.append(ndcg)
        child.report(STAGE, self.step, self.last_step, f"validation NDCG@{AT} {ndcg:.4f}")
        self.account.enter()

    def keep_checkpoint(self) -> None:
        state = {
            "step": self.step,
            "total": self.total,
            "losses": self.losses,
            "curve": self.curve,
            "best": self.best,
            "seconds": time.monotonic() - self.began,
            "threads": torch.get_num_threads(),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        checkpoints.save(self.work, self.step, self.key, state)

    def finish(self) -> None:
        """Writes the weights and what they cost."""
        assert self.best is not None
        self.account.close()
        self.model.load_state_dict(self.best)
        weights, vectors = self.model.export()
        cost = self.account.total()
        facts = {
            "steps": self.step,
            "losses": self.losses,
            "ndcg": self.curve,
            "best_epoch": int(np.argmax(self.curve)) + 1,
            "cases": len(self.cases.user),
            "users": len(self.known),
            "events": len(self.known.rows),
            "device": self.device,
            "torch": torch.__version__,
            "seconds": round(time.monotonic() - self.began, 1),
        } | {name: getattr(cost, name) for name in ("cpu_seconds", "gpu_seconds", "wall_seconds")}
        with atomic_folder(Path(self.job.out)) as aside:
            np.savez(aside / "encoder.npz", heads=np.array(self.knobs.heads), **weights)
            np.save(aside / "vectors.npy", vectors)
            (aside / "train.json").write_text(json.dumps(facts, indent=1) + "\n")
        checkpoints.clear(self.work)
        self.account.clear()


def rate(step: int, steps: int) -> float:
    """The learning rate of a step, as a share of its peak."""
    warm = max(int(steps * WARM_UP), 1)
    return min((step + 1) / warm, (steps - step) / max(steps - warm, 1))


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _run_hash(job: TrainEncoderJob) -> str:
    """Binds checkpoints to sequences, days and recipe."""
    recipe: dict[str, Any] = dataclasses.asdict(job.recommender) | {"checkpoint_every": 0}
    about = [sha256(*sorted(Path(job.sequences).glob("*.parquet"))), job.validation.start, job.validation.end, recipe]
    return hashlib.sha256(json.dumps(about, default=str, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    child.main(TrainEncoderJob, train)
