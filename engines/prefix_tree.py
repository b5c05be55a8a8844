"""A batch of token sequences as a tree: what several of them begin with is there once, and goes through the model once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from driftline.engines.attention import check_plain, exchanged, handed

ATTENTION = "driftline_prefix_tree"
SHORT = 128
"""Tokens of a row up to which its scores, [heads, row, row] in each layer, may be kept for the way back."""


@dataclass(frozen=True)
class PrefixTree:
    """A node is a distinct prefix. All nodes together are one sequence without padding, parents before their children."""

    tokens: torch.Tensor
    """[nodes]: the last token of each prefix."""
    positions: torch.Tensor
    """[nodes]: where in its sequence that token stands."""
    rows: torch.Tensor
    """[sequences, longest]: the nodes along each sequence, the last one repeated."""
    places: torch.Tensor
    """[nodes]: index of each node's first occurrence in the flattened `rows`."""
    paths: list[list[int]]
    """The nodes along each sequence."""

    @staticmethod
    def of(sequences: Sequence[Sequence[int]], device: torch.device) -> "PrefixTree":
        nodes: dict[tuple[int, int], int] = {}  # (parent, token) → node
        tokens: list[int] = []
        positions: list[int] = []
        places: list[int] = []
        paths: list[list[int]] = []
        longest = max(map(len, sequences))
        for row, sequence in enumerate(sequences):
            path = [-1]
            for position, token in enumerate(sequence):
                node = nodes.setdefault((path[-1], token), len(tokens))
                if node == len(tokens):
                    tokens.append(token)
                    positions.append(position)
                    places.append(row * longest + position)
                path.append(node)
            paths.append(path[1:])
        rows = [path + path[-1:] * (longest - len(path)) for path in paths]
        columns: list[Any] = [tokens, positions, rows, places]
        ids, at, along, found = (torch.tensor(column, device=device) for column in columns)
        return PrefixTree(ids, at, along, found, paths)


def logits(model: PreTrainedModel, tree: PrefixTree, nodes: torch.Tensor) -> torch.Tensor:
    """Logits after each of `nodes`: [nodes, vocabulary], with gradients.

    Everything but attention works token by token, so it sees the nodes. Attention sees whole sequences.

    Raises:
        BadInput: the model's attention cannot be exchanged.
    """
    with exchanged(model, ATTENTION):
        return model(
            input_ids=tree.tokens[None],
            position_ids=tree.positions[None],
            use_cache=False,
            logits_to_keep=nodes,
            prefix_tree=tree,
        ).logits[0]


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    prefix_tree: PrefixTree | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over each row by itself; query, key, value: [1, heads, nodes, width]. What pads a row is last: unseen.

    On a CPU the softmax is float32, whatever the model computes in: torch's fused attention takes several times as long backwards
    in bfloat16. Short rows have plain products, which take less time than it in either precision.
    """
    prefix_tree = handed(prefix_tree)
    rows = prefix_tree.rows
    check_plain(rows.shape[1], **options)
    # index_select and not rows as an index, whose gradient is slower by far
    taken = [heads[0].transpose(0, 1).index_select(0, rows.flatten()) for heads in (query, key, value)]
    taken = [heads.unflatten(0, rows.shape).transpose(1, 2) for heads in taken]  # [rows, heads, longest, width]
    if query.device.type != "cpu":
        mixed, _ = sdpa_attention_forward(module, *taken, None, **options)
    elif rows.shape[1] > SHORT or options.get("dropout"):
        mixed, _ = sdpa_attention_forward(module, *(heads.float() for heads in taken), None, **options)
    else:
        mixed = _plain(taken[0], taken[1], taken[2], options["scaling"])
    return mixed.flatten(0, 1).index_select(0, prefix_tree.places)[None].to(query.dtype), None


def _plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Causal softmax(QKᵀ)V as it is written: [rows, length, heads, width]. Heads that share a key are more queries to it."""
    shared, length = key.shape[1:3]
    group = query.shape[1] // shared
    later = torch.full((length, length), -torch.inf).triu(1).repeat(group, 1)
    query = query.unflatten(1, (shared, group)).flatten(2, 3)  # [rows, key heads, group · length, width]
    scores = torch.add(later, query @ key.transpose(-1, -2), alpha=scaling)
    mixed = scores.softmax(-1).to(value.dtype) @ value
    return mixed.unflatten(2, (group, length)).permute(0, 3, 1, 2, 4).flatten(2, 3)


AttentionInterface.register(ATTENTION, _attend)  # under a name for which transformers makes no mask
