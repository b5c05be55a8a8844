"""A causal transformer with its norms before each part, whose output is compared with the vectors of items."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from driftline.contracts import Recommender
from driftline.interests.recommender.encoder import EPSILON


class TransformerBlock(nn.Module):
    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm, self.feed_norm = nn.LayerNorm(d, EPSILON), nn.LayerNorm(d, EPSILON)
        self.mixed, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        n, length, d = x.shape
        parts = self.mixed(self.query_norm(x)).view(n, length, 3, self.heads, d // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = (query @ key.transpose(-1, -2) / math.sqrt(d // self.heads)).masked_fill(~seen, -1e9)
        found = (scores.softmax(-1) @ value).transpose(1, 2).reshape(n, length, d)
        x = x + self.dropout(self.out(found))
        return x + self.dropout(self.down(F.relu(self.up(self.feed_norm(x)))))


class TorchEncoder(nn.Module):
    """The sequence recommender in torch: causal self-attention over the vectors of a user's items.

    Attributes:
        items: [n + 1, d + 1]: the vectors, whose last coordinate is the item's own popularity; the last row is of no item.
    """

    def __init__(self, knobs: Recommender, events: NDArray[np.int64]) -> None:
        super().__init__()
        d = knobs.dimensions
        self.length = knobs.length
        self.items = nn.Embedding(len(events) + 1, d + 1, sparse=True)
        self.positions = nn.Parameter(torch.empty(knobs.length, d))
        self.blocks = nn.ModuleList(TransformerBlock(d, knobs.heads, knobs.dropout) for _ in range(knobs.blocks))
        self.norm = nn.LayerNorm(d, EPSILON)
        self.dropout = nn.Dropout(knobs.dropout)
        nn.init.normal_(self.items.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.02)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith("weight") and parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        with torch.no_grad():  # it begins as popularity, and learns how a history differs from that
            self.items.weight[:-1, -1] = torch.from_numpy(np.log(np.maximum(events, 0.5) / max(events.sum(), 1))).float()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """User vectors at each place, [n, L, d]. `rows`: [n, L] item rows, the last one where there is none."""
        there = rows != self.items.num_embeddings - 1
        x = self.items(rows)[..., :-1] * math.sqrt(self.positions.shape[1]) + self.positions[-rows.shape[1] :]
        x = self.dropout(x) * there[..., None]
        seen = there[:, None, None, :] & torch.ones(rows.shape[1], rows.shape[1], dtype=torch.bool, device=rows.device).tril()
        for block in self.blocks:
            x = block(x, seen)
        return self.norm(x)

    def export(self) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
        """The weights as `interests.recommender.encoder` reads them, and the items' vectors."""
        weights = {"positions": self.positions, "norm": torch.stack([self.norm.weight, self.norm.bias])}
        for i, block in enumerate(self.blocks):
            for name in ("query_norm", "feed_norm"):
                norm = getattr(block, name)
                weights[f"{i}.{name}"] = torch.stack([norm.weight, norm.bias])
            for name in ("mixed", "out", "up", "down"):
                linear = getattr(block, name)
                weights[f"{i}.{name}"], weights[f"{i}.{name}_bias"] = linear.weight.T, linear.bias
        arrays = {name: np.ascontiguousarray(weight.detach().cpu().numpy()) for name, weight in weights.items()}
        return arrays, self.items.weight[:-1].detach().cpu().numpy().copy()


def sampled_loss(
    users: torch.Tensor, targets: torch.Tensor, drawn: torch.Tensor, log_expected: torch.Tensor, items: nn.Embedding
) -> torch.Tensor:
    """Cross-entropy against a sample, each logit less the log of how often it is expected there: in the mean, that of all items.

        loss = −s(target) + log(exp s(target) + Σ_j exp(s_j − log E_j))   over drawn items j other than the target

    Args:
        users: [m, d]; targets: [m]; drawn, log_expected: [k].
    """
    right, others = items(targets), items(drawn)
    score = (users * right[:, :-1]).sum(-1) + right[:, -1]
    scores = users @ others[:, :-1].T + others[:, -1] - log_expected
    scores = scores.masked_fill(targets[:, None] == drawn[None, :], -1e9)
    return (torch.logsumexp(torch.cat([score[:, None], scores], dim=1), dim=1) - score).mean()
