"""The token trie over all descriptions: which tokens may come next so that the answer is a novel interest (design §3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from driftline.contracts import BadInput


@dataclass
class Node:
    """The clusters whose tokens start this way are `Trie.order[low:high]`."""

    low: int
    high: int = 0
    children: dict[int, "Node"] = field(default_factory=dict)
    cluster: int | None = None
    """The cluster whose description, end token included, ends here."""


class Trie:
    """Tokenised descriptions, cluster by cluster.

    Args:
        labels: tokens of each cluster's description, end token last; position = cluster id.

    Raises:
        BadInput: a description is too long, or its tokens are a prefix of another's, or equal to them.
    """

    def __init__(self, labels: Sequence[Sequence[int]]) -> None:
        self._place = [0] * len(labels)
        check_labels(labels, [f"cluster {cluster}" for cluster in range(len(labels))])
        self.longest = max(map(len, labels))
        """Tokens of the longest description, its end token included."""
        self.order = sorted(range(len(labels)), key=lambda cluster: list(labels[cluster]))
        self.root = Node(low=0, high=len(labels))
        self.shared = 0
        """Nodes below the root that several descriptions pass."""
        self.deepest = 0
        """Tokens to the deepest of them."""
        for place, cluster in enumerate(self.order):
            self._place[cluster] = place
            node = self.root
            for depth, token in enumerate(labels[cluster], 1):
                node = node.children.setdefault(token, Node(low=place))
                node.high = place + 1
                if node.high - node.low == 2:
                    self.shared += 1
                    self.deepest = max(self.deepest, depth)
            node.cluster = cluster

    def allowed(self, node: Node, c1: int, c2: int) -> list[int]:
        """Tokens after which an answer other than c1 and c2 can still be reached, ascending; empty at an end."""
        first, second = self._place[c1], self._place[c2]
        return [
            token
            for token, child in node.children.items()  # ascending, because the descriptions were inserted in order
            if child.high - child.low > (child.low <= first < child.high) + (child.low <= second < child.high)
        ]

    def forced(self, node: Node, c1: int, c2: int) -> tuple[list[int], Node]:
        """The tokens that follow without a choice, and the node they lead to: a fork or an end."""
        chain = []
        while len(allowed := self.allowed(node, c1, c2)) == 1:
            chain.append(allowed[0])
            node = node.children[allowed[0]]
        return chain, node


LONGEST = 128
"""Tokens of a description. Every prompt holds two or three, and an answer writes one."""


def check_labels(labels: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Checks that the tokenized descriptions differ and can be written.

    Args:
        labels: tokens of each description, end token last.

    Raises:
        BadInput: one has more than `LONGEST` tokens, or its tokens are how another's begin, or the same.
    """
    for label, name in zip(labels, names, strict=True):
        if len(label) - 1 > LONGEST:
            raise BadInput(
                f"to this model's tokenizer the description of {name} has {len(label) - 1} tokens, more than {LONGEST}: import "
                "shorter names, lower clusters.keywords, or take a base model that knows this script"
            )
    ordered = sorted((list(label[:-1]), name) for label, name in zip(labels, names, strict=True))
    for (shorter, one), (longer, other) in pairwise(ordered):
        if longer[: len(shorter)] == shorter:
            raise BadInput(
                f"to this model's tokenizer the description of {one} is how that of {other} begins: "
                "change one of the two descriptions"
            )
