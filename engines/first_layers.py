"""A float32 copy of a large model's first layers, which are made as all others are."""

from copy import deepcopy
from typing import Any

import torch
from torch.nn import ModuleList
from transformers import PreTrainedModel

from driftline.contracts import BadInput
from driftline.engines.quantized import dequantize, is_quantized

PLAIN = (bool, str, float, int, type(None))


def first_layers(model: PreTrainedModel) -> PreTrainedModel:
    """Copies the model in float32 without its later layers: two at least are left, and one of every kind.

    Raises:
        BadInput: none of its parts is the list of its layers.
    """
    count = model.config.get_text_config().num_hidden_layers
    lists = [name for name, part in model.named_modules() if isinstance(part, ModuleList) and len(part) == count]
    if not lists:
        raise BadInput(f"{type(model).__name__} has no list of {count} layers: choose another training.base_model")
    owner, _, name = lists[0].rpartition(".")
    holder: Any = model.get_submodule(owner)
    layers: Any = getattr(holder, name)
    kinds = _kinds(layers)
    enough = max(2, *(kinds.index(kind) + 1 for kind in kinds))
    setattr(holder, name, layers[:enough])
    try:
        copied = deepcopy(model)
    finally:
        setattr(holder, name, layers)
    return (dequantize(copied, torch.float32) if is_quantized(copied) else copied).float()


def _kinds(layers: ModuleList) -> list[object]:
    """What each layer is made of: its parts and their settings, but for its own number."""
    settings = [{(path, key): value for path, part in layer.named_modules() for key, value in _plain(part)} for layer in layers]
    numbers = {key for key in settings[0] if all(of.get(key) == number for number, of in enumerate(settings))}
    parts = [[(path, type(part)) for path, part in layer.named_modules()] for layer in layers]
    return [(own, {key: of[key] for key in of if key not in numbers}) for own, of in zip(parts, settings, strict=True)]


def _plain(part: torch.nn.Module) -> list[tuple[str, object]]:
    return [(key, value) for key, value in vars(part).items() if isinstance(value, PLAIN)]
