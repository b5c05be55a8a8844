"""A causal LM over rows that begin alike: what they share is attended to once for all of them, and no row is padded.

The tokens of all rows lie one after the other in a single sequence, so that every linear layer works on real tokens only. A token
attends to the prefix and to its own row. Both are softmaxes over a part of the keys; weighted by their log-sum-exps they add up
to the softmax over all, so the prefix's keys and values exist once and are never copied to the rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

from driftline.engines.attention import check_plain, exchanged, handed

Layers = Mapping[int, tuple[torch.Tensor, torch.Tensor]]
"""Keys and values by the number of the layer. Layers without attention have none; values may be narrower than keys."""
NAME = "driftline_shared_prefix"


@dataclass(frozen=True)
class Prefix:
    """The tokens that all rows begin with, computed once: keys and values [key/value heads, length, head size]."""

    length: int = 0
    layers: Layers = field(default_factory=dict)


@dataclass(frozen=True)
class _Step:
    """Where the tokens of one forward pass belong. `row`, `turn`, `place`: int64 [tokens].

    Attributes:
        rows: int64 [busy rows].
        row: position in `rows` of each token.
        turn: its number among the row's tokens of this pass.
        place: its number among all tokens that the row has had.
        hidden: bool [busy rows, 1, turns, places], the places that a turn must not see: those after its own.
    """

    rows: torch.Tensor
    row: torch.Tensor
    turn: torch.Tensor
    place: torch.Tensor
    hidden: torch.Tensor
    masks: dict[int, torch.Tensor] = field(default_factory=dict)

    def mask(self, group: int, dtype: torch.dtype) -> torch.Tensor:
        """Additive attention mask of `group` heads: [busy rows, 1, group · turns, places]."""
        if group not in self.masks:
            self.masks[group] = (
                torch.zeros_like(self.hidden, dtype=dtype).masked_fill_(self.hidden, -torch.inf).repeat(1, 1, group, 1)
            )
        return self.masks[group]


@dataclass
class RowCache:
    """Keys and values of `count` rows after a prefix, with room for `room` tokens of their own each."""

    prefix: Prefix
    count: int
    room: int
    lengths: list[int] = field(init=False)
    """Tokens that each row has had."""
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(init=False, default_factory=dict)
    """Keys and values [rows, key/value heads, room, head size]."""
    step: _Step | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.lengths = [0] * self.count

    def add(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keeps this step's keys and values [key/value heads, tokens, head size] of a layer.

        Returns:
            All that the busy rows have, [busy rows, key/value heads, places, head size].
        """
        step = handed(self.step)
        if layer not in self.layers:
            self.layers[layer] = (self._empty(keys), self._empty(values))
        found = []
        for kept, new in zip(self.layers[layer], (keys, values), strict=True):
            kept[step.rows[step.row], :, step.place] = new.transpose(0, 1)
            busy = kept if len(step.rows) == self.count else kept[step.rows]
            found.append(busy[:, :, : step.hidden.shape[-1]])
        return found[0], found[1]

    def fork(self, slots: Sequence[int], places: int, room: int) -> "RowCache":
        """New rows that begin with the first `places` of some of these."""
        rows = RowCache(self.prefix, len(slots), room)
        for layer, both in self.layers.items():
            rows.layers[layer] = (self._begun(both[0], slots, places, room), self._begun(both[1], slots, places, room))
        return rows

    def _begun(self, kept: torch.Tensor, slots: Sequence[int], places: int, room: int) -> torch.Tensor:
        begun = kept.new_zeros(len(slots), kept.shape[1], room, kept.shape[3])
        begun[:, :, :places] = kept[list(slots), :, :places]
        return begun

    def _empty(self, new: torch.Tensor) -> torch.Tensor:
        heads, _, size = new.shape
        return new.new_zeros(self.count, heads, self.room, size)


@dataclass(frozen=True)
class Fed:
    """A token of a row that branches. `place`: where the row keeps it; `position`: how many of its row come before it."""

    row: int
    token: int
    place: int
    position: int


class SharedPrefixModel:
    """A causal LM of transformers with this attention. Whether it suits is asked before (`suits.check`)."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model.eval()
        self._device = model.device

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        """The prefix with `tokens` after it."""
        if not tokens:
            return prefix
        rows = RowCache(prefix, 1, len(tokens))
        self.forward(rows, [0], [tokens], [1])
        new = {layer: (keys[0], values[0]) for layer, (keys, values) in rows.layers.items()}
        if prefix.length:
            new = {
                layer: tuple(torch.cat(both, dim=1) for both in zip(prefix.layers[layer], kept, strict=True))
                for layer, kept in new.items()
            }
        return Prefix(prefix.length + len(tokens), new)

    @torch.no_grad()
    def forward(self, rows: RowCache, busy: Sequence[int], feed: Sequence[Sequence[int]], scores: Sequence[int]) -> torch.Tensor:
        """Feeds `feed[i]`, which is not empty, to row `busy[i]`.

        Returns:
            Logits [sum of scores, vocabulary]: what each row's last `scores[i]` tokens of this pass predict, row after row.
        """
        lengths, before = [len(tokens) for tokens in feed], [rows.lengths[row] for row in busy]
        row = [i for i, length in enumerate(lengths) for _ in range(length)]
        turn = [turn for length in lengths for turn in range(length)]
        place = [before[i] + t for i, t in zip(row, turn, strict=True)]
        kept = [at for end, n in zip(accumulate(lengths), scores, strict=True) for at in range(end - n, end)]
        places = self._tensor(range(max(place) + 1))
        turns = self._tensor(before)[:, None] + self._tensor(range(max(lengths)))
        hidden = (places > turns[:, :, None])[:, None]
        rows.step = self._step(busy, row, turn, place, hidden)
        logits = self._run(rows, [token for tokens in feed for token in tokens], place, kept)
        for i, length in zip(busy, lengths, strict=True):
            rows.lengths[i] += length
        return logits

    @torch.no_grad()
    def branch(self, rows: RowCache, fed: Sequence[Fed], seen: torch.Tensor) -> torch.Tensor:
        """Feeds tokens of rows that branch: each sees the prefix, and of its row what it continues.

        Args:
            seen: bool [rows, turns, places], the places that a row's first, second, … token of this pass sees.

        Returns:
            Logits [fed, vocabulary]: what each token predicts.
        """
        turns = [0] * rows.count
        turn = []
        for token in fed:
            turn.append(turns[token.row])
            turns[token.row] += 1
        hidden = ~seen[:, None].to(self._device)
        rows.step = self._step(range(rows.count), [token.row for token in fed], turn, [token.place for token in fed], hidden)
        return self._run(rows, [token.token for token in fed], [token.position for token in fed], range(len(fed)))

    def _run(self, rows: RowCache, tokens: Sequence[int], positions: Sequence[int], kept: Sequence[int]) -> torch.Tensor:
        """Logits [kept, vocabulary]. Positions count from the prefix's end."""
        with exchanged(self._model, NAME):
            logits: torch.Tensor = self._model(
                input_ids=self._tensor(tokens)[None],
                position_ids=rows.prefix.length + self._tensor(positions)[None],
                use_cache=False,
                logits_to_keep=self._tensor(kept),
                rows=rows,
            ).logits[0]
        return logits

    def _step(
        self, rows: Sequence[int], row: Sequence[int], turn: Sequence[int], place: Sequence[int], hidden: torch.Tensor
    ) -> _Step:
        return _Step(self._tensor(rows), self._tensor(row), self._tensor(turn), self._tensor(place), hidden)

    def _tensor(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(list(numbers), dtype=torch.long, device=self._device)


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    rows: RowCache | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention from query, key and value [1, heads, tokens, head size] to [1, tokens, heads, head size], as
    transformers asks for it."""
    rows = handed(rows)
    step = handed(rows.step)
    check_plain(rows.prefix.length + step.hidden.shape[-1], **options)
    keys, values = rows.add(module.layer_idx, key[0], value[0])
    shared, turns = keys.shape[1], step.hidden.shape[2]
    # Heads that share a key/value head are more queries to it.
    query = query[0].unflatten(0, (shared, -1))  # [kv heads, group, tokens, size]
    group, size = query.shape[1], query.shape[-1]
    turned = query.new_zeros(len(keys), turns, shared, group, size)
    turned[step.row, step.turn] = query.permute(2, 0, 1, 3)
    turned = turned.permute(0, 2, 3, 1, 4).flatten(2, 3)  # [rows, kv heads, group · turns, size]
    own, weight = attend(turned, keys, values, scaling, step.mask(group, query.dtype))
    own = own.unflatten(2, (group, turns))[step.row, :, :, step.turn]  # [tokens, kv heads, group, size]
    weight = weight.unflatten(2, (group, turns))[step.row, :, :, step.turn]
    if rows.prefix.length:
        shared_keys, shared_values = rows.prefix.layers[module.layer_idx]
        before, theirs = attend(query.flatten(1, 2)[None], shared_keys[None], shared_values[None], scaling)
        before, theirs = (found[0].unflatten(1, (group, -1)).movedim(2, 0) for found in (before, theirs))
        own = torch.lerp(own, before, torch.sigmoid(theirs - weight)[..., None].to(own.dtype))
    return own.flatten(1, 2)[None], None


def attend(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float, mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax attention [rows, heads, queries, size], and the log of its denominator, float32 [rows, heads, queries].

    Scores are float32, whatever the model computes in. `mask` is added to them.
    """
    if query.device.type == "cpu" and query.shape[-1] == values.shape[-1]:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, keys, values, attn_mask=mask, scale=scaling)
    scores = (query @ keys.transpose(-1, -2)).float() * scaling
    if mask is not None:
        scores += mask
    weight = scores.logsumexp(-1)
    return scores.sub_(weight[..., None]).exp_().to(values.dtype) @ values, weight


AttentionInterface.register(NAME, _attention)
