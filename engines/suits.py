"""Checks that a model suits: its own logits against those of this project's two attentions, before training, inference or a cast.

Training (`prefix_tree`) and inference (`shared_prefix`) both put many rows into one sequence, in which only attention knows where
a row begins and ends. A model that mixes tokens elsewhere, or counts positions by itself, would be wrong without a word.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from driftline.contracts import BadInput
from driftline.engines import prefix_tree
from driftline.engines.first_layers import first_layers
from driftline.engines.prefix_tree import PrefixTree
from driftline.engines.shared_prefix import Prefix, RowCache, SharedPrefixModel

BOUND = 1e-3
"""Of the logits' standard deviation. In float32 the sums of a model of 30 layers differ by a hundredth of that."""
CANNOT_RUN = "{} cannot be run: {}. Choose another training.base_model."
CANNOT_TRAIN = "{} cannot be trained by Driftline: {}. Choose another training.base_model."
CANNOT_ANSWER = (
    "{} cannot be asked by Driftline's own engine: {}. Set generation.engine = 'vllm', or choose another training.base_model."
)


@dataclass(frozen=True)
class Probe:
    """Rows of tokens that begin with the same ones. What is compared are the logits after each row's own tokens."""

    prefix: list[int]
    rows: list[list[int]]

    @property
    def longest(self) -> int:
        return len(self.prefix) + max(map(len, self.rows))


Logits = Callable[[PreTrainedModel, Probe], torch.Tensor]
"""Float32 [all rows' own tokens, vocabulary], row after row."""


@torch.no_grad()
def check(model: PreTrainedModel, longest: int, *, training: bool = False, inference: bool = False) -> None:
    """Compares the model's logits under the attention of training, of inference, or of both, with its own.

    Args:
        model: float32 alone can tell another structure from another rounding. Of a model in another precision a copy of its
            first layers is asked, one of every kind among them.
        longest: tokens of the longest row that the job has: a sliding window may be shorter.

    Raises:
        BadInput: they differ, or are no numbers, or the model fails in any way.
    """
    uses = [(_by_tree, CANNOT_TRAIN)] * training + [(_by_rows, CANNOT_ANSWER)] * inference
    mode = model.training
    model.eval()
    try:
        _check_numbers(model)
        for _, refusal in uses:
            _check_rotation(model, longest, refusal)
        asked = model if model.dtype == torch.float32 else first_layers(model)
        for probe in _probes(model, longest):
            own = _attempt(_by_itself, asked, probe, CANNOT_RUN)
            for logits, refusal in uses:
                ours = _attempt(logits, asked, probe, refusal)
                if not (ours - own).abs().max() <= BOUND * own.std():  # NaN is in no order
                    reason = f"it gives other logits than by itself to rows of up to {probe.longest} tokens"
                    raise BadInput(refusal.format(type(model).__name__, reason))
    finally:
        model.train(mode)


def _check_numbers(model: PreTrainedModel) -> None:
    for name, parameter in model.named_parameters():
        numbers = parameter.quant_state.absmax if hasattr(parameter, "quant_state") else parameter
        if not torch.stack(torch.aminmax(numbers)).isfinite().all():
            raise BadInput(f"the weights {name} are not all finite numbers: get the base model again, or train the adapter again")


def _check_rotation(model: PreTrainedModel, longest: int, refusal: str) -> None:
    """Some models turn the keys of a longer text by other angles, and go on with these: no two of their texts share a prefix
    then, and what they say depends on what they were asked before, so that no probe shows it.
    """
    config = model.config.get_text_config()
    told = getattr(config, "rope_parameters", None) or {}
    for rope in [told, *(value for value in told.values() if isinstance(value, dict))]:
        kind, seen = rope.get("rope_type") or "", rope.get("original_max_position_embeddings") or config.max_position_embeddings
        if ("dynamic" in kind or kind == "longrope") and longest > seen:
            reason = f"its rotary embedding ({kind}) changes beyond {seen} tokens and the longest prompt has {longest}"
            raise BadInput(refusal.format(type(model).__name__, reason))


def _attempt(logits: Logits, model: PreTrainedModel, probe: Probe, refusal: str) -> torch.Tensor:
    try:
        return logits(model, probe)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise  # of the machine, not of the model
    except Exception as error:  # whatever an unknown model may do
        reason = str(error) if isinstance(error, BadInput) else repr(error)
        raise BadInput(refusal.format(type(model).__name__, " ".join(reason.split()))) from error


def _probes(model: PreTrainedModel, longest: int) -> list[Probe]:
    """Short rows that part early, part late, or begin another; and one as long as the job's longest."""
    config = model.config.get_text_config()
    special = {config.pad_token_id, config.bos_token_id} | set(torch.tensor(config.eos_token_id or 0).flatten().tolist())
    ordinary = torch.tensor([token for token in range(config.vocab_size) if token not in special])
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> list[int]:
        return ordinary[torch.randint(len(ordinary), (count,), generator=generator)].tolist()

    first = draw(9)
    probes = [Probe(draw(7), [first, first[:3] + draw(6), first[:2], draw(1), draw(14)])]
    if longest > 21:
        probes.append(Probe(draw(longest - 5), [draw(5)]))
    return probes


def _by_itself(model: PreTrainedModel, probe: Probe) -> torch.Tensor:
    found = []
    for row in probe.rows:
        tokens = torch.tensor([probe.prefix + row], device=model.device)
        found.append(model(input_ids=tokens, use_cache=False, logits_to_keep=len(row)).logits[0, -len(row) :])
    return torch.cat(found).float()


def _by_tree(model: PreTrainedModel, probe: Probe) -> torch.Tensor:
    tree = PrefixTree.of([probe.prefix + row for row in probe.rows], model.device)
    nodes = [node for path in tree.paths for node in path[len(probe.prefix) :]]
    return prefix_tree.logits(model, tree, torch.tensor(nodes, device=model.device)).float()


def _by_rows(model: PreTrainedModel, probe: Probe) -> torch.Tensor:
    """Logits by the steps of bulk inference: a prefix in two parts, rows in two parts, the second not of all rows."""
    asked, half = SharedPrefixModel(model), len(probe.prefix) // 2
    prefix = asked.extend(asked.extend(Prefix(), probe.prefix[:half]), probe.prefix[half:])
    rows = RowCache(prefix, len(probe.rows), max(map(len, probe.rows)))
    found: list[list[torch.Tensor]] = [[] for _ in probe.rows]
    starts = [(len(row) + 1) // 2 for row in probe.rows]
    steps: list[Sequence[list[int]]] = [
        [row[:start] for row, start in zip(probe.rows, starts, strict=True)],
        [row[start:] for row, start in zip(probe.rows, starts, strict=True)],
    ]
    for step in steps:
        busy = [i for i, tokens in enumerate(step) if tokens]
        feed = [step[i] for i in busy]
        lengths = [len(tokens) for tokens in feed]
        for i, logits in zip(busy, asked.forward(rows, busy, feed, lengths).split(lengths), strict=True):
            found[i].append(logits)
    return torch.cat([part for parts in found for part in parts]).float()
