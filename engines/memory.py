"""Asked before a model is loaded: does the job fit into this machine's memory, or that of its GPU?"""

import os
from pathlib import Path

import torch
from huggingface_hub import snapshot_download

from driftline.contracts import BadInput
from driftline.contracts.children import CHECK_MEMORY
from driftline.interests import memory
from driftline.interests.memory import GIB, Need, Shapes

ANYWAY = "or set children.check_memory = false to try it"


def shapes(model: Path | str) -> Shapes | None:
    """Tensor shapes of a model in a folder, or of a hub's model that is here already; None where its files do not say."""
    try:
        return memory.shapes(Path(model) if Path(model).is_dir() else Path(snapshot_download(str(model), local_files_only=True)))
    except (OSError, ValueError):  # not here yet, or no safetensors
        return None


def loads_in(model: Shapes | None, precision: str, quantize: str = "none") -> torch.dtype:
    """float32, from which a cast rounds once, unless the model is stored in what it works in, which takes half the room."""
    same = quantize != "none" or (model is not None and model.bfloat16)
    return torch.bfloat16 if precision == "bfloat16" and same else torch.float32


def check(need: Need, advice: str, there: tuple[int, int] | None = None) -> None:
    """Refuses a job that needs more memory than there is.

    Args:
        advice: settings that make the job smaller.
        there: bytes that there are, and that are free by now; None: of the GPU, or where there is none of the machine.

    Raises:
        BadInput: it can never fit.
        RuntimeError: it does not fit beside what else is running, but may later.
    """
    if os.environ.get(CHECK_MEMORY) == "false":
        return
    total, free = there or _total_and_free()
    if need.total > total:
        raise BadInput(f"the job needs {need}, and there are {total / GIB:.1f} GiB: {advice}, {ANYWAY}")
    if need.total > free:
        raise RuntimeError(f"the job needs {need}, and only {free / GIB:.1f} of {total / GIB:.1f} GiB are free now")


def _total_and_free() -> tuple[int, int]:
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return total, free
    return memory.total_and_free()
