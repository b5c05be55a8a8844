"""A base model that keeps its linear layers in 4 bits (NF4, as QLoRA does), by bitsandbytes."""

import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from driftline.contracts import BadInput


def load(path: Path | str, dtype: torch.dtype) -> PreTrainedModel:
    """The model at `path`, its linear layers in 4 bits but for the output's, everything else and all products in `dtype`.

    Raises:
        BadInput: bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput("training.quantize = 'nf4' needs bitsandbytes where models train and answer: pip install bitsandbytes")
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, quantization_config=how)
    for part in model.modules():
        # Some processors would put the bits in another order when the model first answers, which fails at odd sizes, and multiply
        # in another way than they train.
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False
    return model


def is_quantized(model: torch.nn.Module) -> bool:
    return any(hasattr(parameter, "quant_state") for parameter in model.parameters())


@torch.no_grad()
def dequantize(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Replaces each layer of 4 bits by one of the weights that these bits stand for: what the adapter was trained beside."""
    from bitsandbytes.functional import dequantize_4bit

    for name, part in list(model.named_modules()):
        if isinstance(part, torch.nn.Linear) and hasattr(part.weight, "quant_state"):
            whole = torch.nn.Linear(part.in_features, part.out_features, part.bias is not None, device="meta")
            weight = dequantize_4bit(part.weight.data, part.weight.quant_state).to(dtype)
            whole.weight = torch.nn.Parameter(weight, requires_grad=False)
            if part.bias is not None:
                whole.bias = torch.nn.Parameter(part.bias.to(dtype), requires_grad=False)
            owner, _, own = name.rpartition(".")
            setattr(model.get_submodule(owner), own, whole)
    for attribute in ("hf_quantizer", "quantization_method", "is_loaded_in_4bit", "is_quantized"):
        vars(model).pop(attribute, None)
    vars(model.config).pop("quantization_config", None)
    return model
