"""What a model computes in."""

from typing import Literal

import torch
from transformers import PreTrainedModel

from driftline.contracts.knobs import Precision
from driftline.engines.quantized import is_quantized


def precision(asked: Precision) -> Literal["float32", "bfloat16"]:
    """Resolves a precision: `auto` is bfloat16 where this hardware multiplies in it, else float32."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able = torch.cpu.get_capabilities()
    return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"


def cast(model: PreTrainedModel, to: torch.dtype) -> PreTrainedModel:
    """Rounds a model's weights, and no more than transformers does when it loads them: what a family computes for itself, as the
    angles of its rotary embedding, and what it asks for, as a router's bias, stay as they are.
    """
    if is_quantized(model):  # it was loaded in what it works in
        return model
    saved, strict = model.state_dict(), tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())

    def stays(name: str) -> bool:
        return name not in saved or any(part in name for part in strict)

    buffers = [(name, buffer) for name, buffer in model.named_buffers() if stays(name)]
    parameters = [(parameter, parameter.data) for name, parameter in model.named_parameters() if stays(name)]
    model.to(to)  # type: ignore[arg-type, unused-ignore]
    for name, buffer in buffers:
        module, _, own = name.rpartition(".")
        setattr(model.get_submodule(module), own, buffer)
    for parameter, weights in parameters:
        parameter.data = weights
    return model
