"""The course of a training: the learning rate warms up, stays at its peak while validations improve, and cools down to zero.

A cosine has to know its end before it begins. This schedule does not: wherever it cools down, the training was a whole one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from driftline.contracts import Training

LOSS_MARGIN = 0.01
"""A validation loss counts as lower if it is so by this share."""


@dataclass(frozen=True)
class ValidationPoint:
    """A validation, after `step` steps."""

    step: int
    exact_match_rate: float | None
    """Share of the validation pairs that free greedy decoding answers with exactly one novel description; None: not measured."""
    loss: float
    """Mean cross-entropy of the label tokens of the validation samples, nats."""

    @property
    def exact(self) -> float:
        return self.exact_match_rate or 0.0


def cools_down_at(curve: Sequence[ValidationPoint], training: Training) -> int:
    """The step at which the rate begins to fall.

    That is where neither measure had improved for `patience` validations, and at the latest in time to end with `steps`.
    """
    latest = math.floor(training.steps * (1 - training.cooldown))
    improved, exact, loss = 0, -1.0, math.inf
    for number, point in enumerate(curve):
        if point.exact > exact or point.loss < (1 - LOSS_MARGIN) * loss:
            improved = number
        exact, loss = max(exact, point.exact), min(loss, point.loss)
        if number - improved >= training.patience:
            return min(point.step, latest)
    return latest


def ends_at(curve: Sequence[ValidationPoint], training: Training) -> int:
    """The last step."""
    begins = cools_down_at(curve, training)
    if begins == math.floor(training.steps * (1 - training.cooldown)):
        return training.steps
    return min(training.steps, math.ceil(begins / (1 - training.cooldown)))


def rate(step: int, curve: Sequence[ValidationPoint], training: Training) -> float:
    """Share of the peak learning rate at a step, counted from 0."""
    warmup = max(1, round(training.warmup * training.steps))
    begins, ends = cools_down_at(curve, training), ends_at(curve, training)
    falling = (ends - step) / (ends - begins) if step >= begins else 1.0
    return min(falling, (step + 1) / warmup, 1.0)


def best_of(curve: Sequence[ValidationPoint], pairs: int, training: Training) -> ValidationPoint:
    """The checkpoint to keep: its exact-match rate was within one standard error of the highest so far, and no later one that
    was, too, has a lower loss.

    As soon as the learning rate falls, the checkpoints of before are out: at its peak a model may write well and have learnt
    nothing that predicts (ADR 0016). A later checkpoint can replace the best, an earlier one cannot, so that one adapter is kept
    at a time.

    Args:
        curve: at least one validation.
        pairs: that each exact-match rate is the share of.
    """
    begins = cools_down_at(curve, training)
    points = [point for point in curve if point.step > begins] or curve
    best, highest = points[0], 0.0
    for point in points:
        highest = max(highest, point.exact)
        enough = highest - max(1 / pairs, math.sqrt(highest * (1 - highest) / pairs))
        if point.exact >= enough and (point.loss <= best.loss or best.exact < enough):
            best = point
    return best
