"""What a model computes in."""

from typing import Literal

import torch

from driftline.contracts.knobs import Precision


def precision(asked: Precision) -> Literal["float32", "bfloat16"]:
    """`float32` or `bfloat16`: what was asked for, and for `auto` bfloat16 where this hardware multiplies in it."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able = torch.cpu.get_capabilities()
    return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"
