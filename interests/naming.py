"""Names that say something: of the keywords of an interest, those that retrieve its own items (design §3.3).

The LLM reads of an interest nothing but its description. How much a description says is the share of items whose embedding is
nearest, among all descriptions, to that of their own cluster. The words are chosen for it, from the best keywords by TF-IDF, and
may be no longer, in word pieces, than the best keywords themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.interests.grid import on_grid

Vectors = NDArray[np.float32]
"""[n, d], rows of length 1."""
Ints = NDArray[np.int64]

CANDIDATES = 24
"""Keywords of a cluster to choose from, best first."""
RARE = 0.05
"""Share of the cluster's own items that the last of the candidates has to win beside the first: of two that say the same, people
know the frequent one. With 0.05 and these candidates 5 to 13 points more items find their own of 12 to 40 descriptions, on three
catalogues, at no more tokens (`python -m bench.naming`, seed 0)."""
ROUNDS = 4
"""In which every word of every description may be exchanged; most runs end after two or three."""
SAMPLE = 10_000
"""Texts that are looked at; of more, so many are drawn."""


SHOWN = 120
"""Characters of an item's text that a prompt shows."""


def example(text: str) -> str:
    """An item's text as one of several on a line of a prompt: it forges neither a line nor another item."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.replace(";", ",").split())[:SHOWN]


@dataclass(frozen=True)
class Candidates:
    """Keywords of one cluster, best first.

    Attributes:
        words: at most `CANDIDATES`; none for a cluster whose texts have no word.
        vectors: [words, d]: their embeddings.
        pieces: int64 [words]: how many word pieces each is.
        start: how many of them, from the first on, the description has before it is improved: as many pieces as it may have.
    """

    words: Sequence[str]
    vectors: Vectors
    pieces: Ints
    start: int


def choose(
    candidates: Sequence[Candidates],
    embeddings: Vectors,
    cluster: Ints,
    items: Ints,
    count: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[str]]:
    """The words that name every cluster, best first: `count`, or fewer where no more fit.

    Each word of each description in turn is exchanged for the candidate that brings most items home, less those that it takes
    from other clusters. The embedding of a description is taken to be the mean of its words' embeddings. The same embeddings give
    the same names on every processor (`interests.grid`).

    Args:
        embeddings, cluster, items: [texts]: of every distinct text its embedding, its cluster, and how many items have it.
        report: is told how many rounds are done, and of how many at most.
    """
    rows = np.arange(len(cluster))
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), SAMPLE, replace=False))
    search = _Search(candidates, embeddings[rows], cluster[rows], items[rows].astype(np.float64), count)
    for number in range(ROUNDS):
        report(number, ROUNDS)
        if not sum(search.improve(cluster_id) for cluster_id in range(len(candidates))):
            break
    return [[found.words[at] for at in sorted(picked)] for found, picked in zip(candidates, search.picked, strict=True)]


class _Search:
    """Which candidates name each cluster now, and how near every text is to every description."""

    def __init__(
        self, candidates: Sequence[Candidates], embeddings: Vectors, cluster: Ints, items: NDArray[np.float64], count: int
    ) -> None:
        self.candidates, self.embeddings, self.cluster, self.items = candidates, on_grid(embeddings), cluster, items
        self.count = count
        self.picked = [list(range(min(found.start, len(found.words)))) for found in candidates]
        self.budget = [int(found.pieces[: found.start].sum()) for found in candidates]
        self.near = np.full((len(cluster), len(candidates)), -2.0, dtype=np.float32)
        for number in range(len(candidates)):
            self._enter(number)

    def improve(self, number: int) -> bool:
        """Exchange the words of one description, one after the other; whether any was."""
        found, picked = self.candidates[number], self.picked[number]
        mine = self.cluster == number
        if not picked or not mine.any():
            return False
        rival = self._nearest_of_others(number)
        own = self.near[np.arange(len(self.cluster)), self.cluster]
        home = ~mine & (own >= rival)  # texts of other clusters that only this description could take away
        total = self.items[mine].sum() or 1.0
        late = RARE * np.arange(len(found.words)) / len(found.words)
        before = list(picked)
        for slot in range(self.count):
            others = picked[:slot] + picked[slot + 1 :]
            room = self.budget[number] - int(found.pieces[others].sum())
            fits = (found.pieces <= room) & ~np.isin(np.arange(len(found.words)), others)
            if slot < len(picked):
                fits[picked[slot]] = True
            options = np.flatnonzero(fits)
            if not len(options):
                break
            vectors = on_grid(_unit(found.vectors[others].sum(axis=0) + found.vectors[options]))
            near_mine, near_home = self.embeddings[mine] @ vectors.T, self.embeddings[home] @ vectors.T
            won = self.items[mine] @ (near_mine > rival[mine, None])
            lost = self.items[home] @ (near_home > rival[home, None])
            score = (won - lost) / total - late[options] + 1e-3 * near_mine.mean(axis=0)
            picked[slot : slot + 1] = [int(options[np.argmax(np.round(score, 6))])]
        self._enter(number)
        return before != picked

    def _nearest_of_others(self, number: int) -> NDArray[np.float32]:
        sides = [side.max(axis=1) for side in (self.near[:, :number], self.near[:, number + 1 :]) if side.shape[1]]
        nearest: NDArray[np.float32] = np.max(sides, axis=0) if sides else np.full(len(self.cluster), -2.0, dtype=np.float32)
        return nearest

    def _enter(self, number: int) -> None:
        if self.picked[number]:
            vector = on_grid(_unit(self.candidates[number].vectors[self.picked[number]].sum(axis=0)))
            self.near[:, number] = self.embeddings @ vector


@dataclass(frozen=True)
class Named:
    """Share of items nearest to their own cluster's description: shares of its items."""

    nearest_description: float
    """Nearest, of all descriptions, to their own cluster's."""
    nearest_centroid: float
    """Nearest, of all clusters' mean embeddings, to their own: about what a description could reach."""
    chance: float
    missing: tuple[str, ...] = ()


def measure_names(embeddings: Vectors, cluster: Ints, items: Ints, descriptions: Vectors) -> Named:
    """Measures how many items are nearest to their own cluster's description, and to its mean.

    Args:
        embeddings, cluster, items: [texts], as of `choose`.
        descriptions: [|C|, d]: their embeddings.
    """
    centroids = np.zeros_like(descriptions)
    np.add.at(centroids, cluster, embeddings * items[:, None].astype(np.float32))

    def share(places: Vectors) -> float:
        home = [np.argmax(embeddings[at : at + SAMPLE] @ places.T, axis=1) for at in range(0, len(embeddings), SAMPLE)]
        return float(np.average(np.concatenate(home) == cluster, weights=items))

    return Named(share(descriptions), share(_unit(centroids)), 1 / len(descriptions))


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.where(length, length, 1)).astype(np.float32)
    return scaled
