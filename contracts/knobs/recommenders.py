"""Knobs of the sequence recommender."""

from typing import Annotated

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import STRICT, Days, PositiveInt, Seed, Windows


@dataclass(frozen=True, config=STRICT)
class Recommender:
    """The sequence recommender, which returns items of the predicted interest (design §3.15)."""

    days: Days = 365
    """Days of log to train on."""
    test_days: Days = 14
    """Days after them, up to the run's nominal time, that judge it and are never trained on."""
    validation_days: Annotated[int, Field(ge=1, le=36_525)] = 14
    """The newest of `days` that nothing is learned from: they choose the epoch, and how popularity counts and fades."""
    dimensions: Annotated[int, Field(ge=2, le=4096)] = 64
    """Numbers of an item's vector."""
    blocks: PositiveInt = 2
    """Transformer blocks."""
    heads: PositiveInt = 2
    """Attention heads; they have to divide `dimensions`."""
    length: Annotated[int, Field(ge=2, le=4096)] = 50
    """Newest items of a history that count."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of activations and items that a step leaves out."""
    negatives: PositiveInt = 512
    """Items that each step draws to compare with, as many from each interest."""
    batch_size: PositiveInt = 64
    """Sequences in a step."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-3
    """Peak rate of Adam; it rises over the first steps and falls to zero over `epochs`."""
    epochs: PositiveInt = 12
    """Passes over the log at most. Of all, the one with the best NDCG@10 on the validation days is kept."""
    patience: PositiveInt = 3
    """Epochs in a row without a better NDCG@10 after which it ends."""
    checkpoint_every: PositiveInt = 200
    """Steps between checkpoints. It changes no weight."""
    seed: Seed = 0
    """Seed of the first weights, the order and what is drawn."""

    @model_validator(mode="after")
    def _fits(self) -> "Recommender":
        if self.dimensions % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.dimensions} dimensions")
        _ = self.windows
        return self

    @property
    def windows(self) -> Windows:
        return Windows(self.days, self.test_days, self.validation_days)
