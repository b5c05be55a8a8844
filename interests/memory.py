"""How much memory a job needs, by estimate, and how much there is.

The coefficients were measured on SmolLM2-135M (resident memory, batches of 8 and 32) and rounded up. An estimate is there to
refuse what cannot fit, not to plan to the last byte.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from driftline.interests.cgroups import cgroups

GIB = 1 << 30
LIBRARIES = GIB // 2
"""Of the process itself: torch and its kin."""
ADAPTED = 20
"""Bytes for each of the adapter's numbers: itself, its gradient, two moments of AdamW, the best so far; float32."""
LOGIT = 12
"""Bytes for each logit of a label token: itself, its softmax, its gradient."""
KEPT = {"float32": 10, "bfloat16": 6}
"""Bytes that a token keeps for the way back, for each number that goes into or out of a linear layer."""
SIZE = {"float32": 4, "bfloat16": 2}
QUANTIZED = 0.5 + 4 / 64
"""Bytes of a weight in NF4: 4 bits, and a float32 scale for each block of 64."""


@dataclass(frozen=True)
class Shapes:
    """Tensor shapes of a model, as its files have them."""

    parameters: int
    linear: tuple[tuple[int, int], ...]
    """Outputs and inputs of each matrix that is no embedding."""
    vocabulary: int
    hidden: int
    layers: int
    bfloat16: bool = False
    """Every tensor is stored in it, so that float32 would tell no more."""

    @property
    def in_layers(self) -> int:
        """Parameters of the linear layers."""
        return sum(out * into for out, into in self.linear)

    @property
    def through(self) -> int:
        """Numbers that go into and out of the linear layers, for each token."""
        return sum(out + into for out, into in self.linear)


@dataclass(frozen=True)
class Need:
    """Bytes, at the job's worst moment."""

    weights: int
    work: int

    @property
    def total(self) -> int:
        return LIBRARIES + self.weights + self.work

    def __str__(self) -> str:
        return f"about {self.total / GIB:.1f} GiB ({self.weights / GIB:.1f} of weights, {self.work / GIB:.1f} of its work)"


def shapes(folder: Path) -> Shapes | None:
    """Reads the tensor shapes of a model's safetensors in a folder; None where there are none."""
    found: dict[str, list[int]] = {}
    stored = set()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        header.pop("__metadata__", None)
        found |= {name: tensor["shape"] for name, tensor in header.items()}
        stored |= {tensor["dtype"] for tensor in header.values()}
    matrices = {name: (shape[0], shape[1]) for name, shape in found.items() if len(shape) == 2}
    if not matrices:
        return None
    embeddings = [name for name in matrices if any(part in name for part in ("embed", "wte", "wpe", "lm_head"))]
    vocabulary, hidden = max((matrices[name] for name in embeddings), default=max(matrices.values()))
    numbers = {int(part) for name in found for part in name.split(".") if part.isdecimal()}
    linear = tuple(matrices[name] for name in matrices if name not in embeddings)
    return Shapes(sum(map(prod, found.values())), linear, vocabulary, hidden, max(numbers, default=0) + 1, stored == {"BF16"})


def of_training(
    model: Shapes, precision: str, rank: int, tokens: int, labels: int, checkpointing: bool, quantize: str = "none"
) -> Need:
    """Estimates the memory of a training step.

    Args:
        tokens: that go through the model in a step; `labels` of them have a loss.
        checkpointing: only what goes into a layer is kept, and one layer's inside at a time.
    """
    kept = KEPT[precision] * model.through
    if checkpointing:
        kept = kept // model.layers + SIZE[precision] * model.hidden * model.layers
    work = tokens * kept + labels * model.vocabulary * LOGIT + ADAPTED * rank * model.through
    if quantize != "none":
        return Need(int(QUANTIZED * model.in_layers) + SIZE[precision] * (model.parameters - model.in_layers), work)
    return _beside_loading(model, precision, work)


def of_mapping(model: Shapes, precision: str, batch: int, longest: int) -> Need:
    """Estimates the memory of bulk inference, `batch` rows of `longest` tokens: keys and values of all layers, the inside of one,
    and a row's logits."""
    kept = 2 * model.hidden * model.layers + 2 * model.through // model.layers
    return _beside_loading(model, precision, batch * (longest * kept * SIZE[precision] + model.vocabulary * LOGIT))


def of_embedding(model: Shapes, batch: int, longest: int) -> Need:
    """Estimates the memory of embedding texts. Without a way back one layer's inside is there at a time."""
    return Need(4 * model.parameters, batch * longest * 4 * 2 * model.through // model.layers)


def _beside_loading(model: Shapes, precision: str, work: int) -> Need:
    """The model is loaded and checked in float32, before it is cast and works. One that is stored in what it works in is loaded
    so, and checked by a copy of what is no layer and of its first two layers.
    """
    loading, weights = 4 * model.parameters, SIZE[precision] * model.parameters
    if model.bfloat16 and precision == "bfloat16":
        loading = weights + 4 * (model.parameters - model.in_layers + 2 * model.in_layers // model.layers)
    return Need(loading, 0) if loading > weights + work else Need(weights, work)


def total_and_free(system: Path = Path("/")) -> tuple[int, int]:
    """Bytes of RAM that this process may have at most, and that are free by now, its cgroups' limits considered.

    Args:
        system: where `proc` and `sys` are.
    """
    told = dict(line.split(":") for line in (system / "proc/meminfo").read_text().splitlines())
    total, free = (int(told[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    for limit, used in _limits(system):
        total, free = min(total, limit), min(free, limit - used)
    return total, max(0, free)


def _limits(system: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of this process's cgroup and of each one above it."""
    for group, version in cgroups("memory", system):
        names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        try:
            limit, used = (int((group / name).read_text()) for name in names)
        except (OSError, ValueError):  # no file, or "max"
            continue
        yield limit, used
