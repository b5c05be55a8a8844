"""Another attention for a causal LM of transformers, for one forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from transformers import PreTrainedModel

from driftline.contracts import BadInput

Batch = TypeVar("Batch")


@contextmanager
def exchanged(model: PreTrainedModel, name: str) -> Iterator[None]:
    """The model with the attention that is registered under `name`; it has its own back afterwards.

    Raises:
        BadInput: its attention cannot be exchanged.
    """
    if not getattr(model, "_supports_attention_backend", False):
        raise BadInput("its attention cannot be exchanged")
    config = model.config
    own, config._attn_implementation = config._attn_implementation, name
    try:
        yield
    finally:
        config._attn_implementation = own


def handed(rows: Batch | None) -> Batch:
    """Unpacks the batch that the model hands on to its attention. Raises BadInput: it hands on none."""
    if rows is None:
        raise BadInput("it does not hand on to its attention which rows its tokens belong to")
    return rows


def check_plain(
    seen: int, sliding_window: int | None = None, softcap: float | None = None, s_aux: object = None, **_: Any
) -> None:
    """Refuses what a softmax over all of `seen` tokens is not. The options are those that transformers gives to an attention.

    Raises:
        BadInput: the model caps scores or has sinks, or it does not see all of the tokens.
    """
    if softcap is not None or s_aux is not None:
        raise BadInput("it caps the scores of its attention, or has sinks")
    if sliding_window and seen > sliding_window:
        raise BadInput(f"it sees {sliding_window} tokens and the longest prompt has {seen}")
