"""Balanced k-means: rows into parts of about equal weight (design §3.3).

Every part has a centre and a price, and a row goes where squared distance plus price is least. A part above its bounds raises its
price, one below them lowers it, until the weights fit; then the centres move to the means of their rows, and so on. (The prices
are the dual of the transport problem between rows and parts: who leaves a full part are the rows that lose least by it.)

Centres and prices are found on a sample, in which a row's chance is its weight. Then all rows are assigned and priced, once.
Rows are not divided, so that prices alone do not always meet the bounds: `interests.rebalancing` moves the last rows one by one.
All products are of vectors on a grid, so that they have the same bits on every processor (`interests.grid`).

The numbers below were chosen on three catalogues (ADR 0012) and are not fine: each halved or doubled moves the inertia by 0.8 %
at most (`python -m bench.sensitivity`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from driftline.interests.grid import on_grid
from driftline.interests.parallel import Chunks
from driftline.interests.rebalancing import Bounds, RowNumbers, loads, settle

Some = RowNumbers | slice
Parts = NDArray[np.int32]
Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]

SAMPLED, SAMPLE = 96, 16_384
"""Centres are fitted on a sample of so many rows per part, and of so many in all at least."""
SPREAD = 0.1
"""What a row counts for a centre beside its weight, in mean weights: a text without traffic has a topic, too."""
NEAREST = 16
"""Parts that a row may choose from."""
ROUNDS = 12
"""Times that the centres move."""
PRICINGS = 30
"""Times that the prices change before the centres move."""
STEP, LONGEST_STEP = 0.02, 0.1
"""A price's first and largest change, in mean squared distances from the centre."""
FASTER, SLOWER = 1.3, 0.5
"""What the change is multiplied by while it goes on in one direction, and when it has gone too far."""
RESTARTS, TRIED = 8, 2**21
"""Other first centres that are tried, as long as rows times parts, over all of them, are fewer than the second."""


@dataclass(frozen=True)
class _Near:
    """The parts that each row may choose from, and its squared distance from their centres less its own square: [n, m]."""

    part: Parts
    distance: Vectors


def partition(vectors: Callable[[Some], Vectors], weight: Floats, parts: int, bounds: Bounds, seed: int, chunks: Chunks) -> Parts:
    """The part of every row, int32 [n]. What the bounds promise is said at `settle`.

    Args:
        vectors: gives float32 [m, d] of some rows, on the grid. They are asked for again and again, and never copied as a whole.
        weight: float64 [n].
    """
    mass = weight + SPREAD * weight.mean()
    rows, chance = _sample(mass, max(SAMPLE, SAMPLED * parts))
    sample = _Sample(vectors(rows), weight[rows] / chance, mass[rows] / chance)
    rng = np.random.default_rng(seed)
    tries = min(RESTARTS, max(1, TRIED // (len(rows) * parts)))
    _, centres, prices = min((_train(sample, parts, bounds, rng, chunks) for _ in range(tries)), key=lambda found: found[0])
    near = _near(vectors, len(weight), centres, prices, chunks)
    part, _ = _price(near, weight, prices, bounds, chunks)
    return settle(vectors, weight, part, centres, bounds)


@dataclass(frozen=True)
class _Sample:
    vectors: Vectors
    weight: Floats
    mass: Floats
    """What a row counts for a centre."""


def _sample(mass: Floats, size: int) -> tuple[RowNumbers, Floats]:
    """Samples at most `size` rows, evenly over the mass in the rows' order, and the chance that each had; the heaviest are
    certain."""
    chance = np.minimum(mass * (size / mass.sum()), 1.0) if size < len(mass) else np.ones(len(mass))
    rows = np.flatnonzero(np.diff(np.floor(np.cumsum(chance) + 0.5), prepend=0.0))
    return rows, chance[rows]


def _train(
    sample: _Sample, parts: int, bounds: Bounds, rng: np.random.Generator, chunks: Chunks
) -> tuple[float, Vectors, Vectors]:
    """The sample's inertia up to a constant, the sum of squared norms; centres [parts, d]; prices [parts]."""
    centres, prices = _seeds(sample, parts, rng), np.zeros(parts, dtype=np.float32)
    part = np.full(len(sample.weight), -1, dtype=np.int32)
    for _ in range(ROUNDS):
        near = _near(sample.vectors.__getitem__, len(part), centres, prices, chunks)
        before = part
        part, prices = _price(near, sample.weight, prices, bounds, chunks)
        if (part == before).all():
            break
        total = loads(part, sample.mass, parts)
        members = csr_array((sample.mass.astype(np.float32), (part, np.arange(len(part)))), shape=(parts, len(part)))
        means = (members @ sample.vectors) / np.maximum(total, 1e-12)[:, None]
        centres = on_grid(np.where(total[:, None] > 0, means, centres).astype(np.float32))
    return -float((total * np.einsum("kd,kd->k", centres, centres)).sum()), centres, prices


def _seeds(sample: _Sample, parts: int, rng: np.random.Generator) -> Vectors:
    """First centres as in k-means++, in growing batches: a row's chance is its mass times its distance² from those before."""
    vectors, mass = sample.vectors, sample.mass
    square = np.einsum("nd,nd->n", vectors, vectors)
    distance = np.full(len(vectors), np.inf, dtype=np.float32)
    centres = new = vectors[rng.choice(len(vectors), 1, p=mass / mass.sum())]
    while len(centres) < parts:
        distance = np.minimum(distance, square + _distances(vectors, new).min(axis=1))
        chance = mass * np.maximum(distance, 1e-6)
        batch = min(1 + len(centres) // 8, parts - len(centres))
        new = vectors[rng.choice(len(vectors), batch, replace=False, p=chance / chance.sum())]
        centres = np.concatenate([centres, new])
    return centres


def _distances(vectors: Vectors, centres: Vectors) -> Vectors:
    """Squared, less the vectors' own squares: [n, k]."""
    found: Vectors = vectors @ (-2 * centres.T)
    found += np.einsum("kd,kd->k", centres, centres)
    return found


def _near(vectors: Callable[[slice], Vectors], n: int, centres: Vectors, prices: Vectors, chunks: Chunks) -> _Near:
    m = min(NEAREST, len(centres))

    def near(chunk: slice) -> tuple[Parts, Vectors]:
        distance = _distances(vectors(chunk), centres)
        part = _least(distance + prices, m)
        return part.astype(np.int32), np.take_along_axis(distance, part, axis=1)

    found = chunks.map(near, n)
    return _Near(np.concatenate([part for part, _ in found]), np.concatenate([distance for _, distance in found]))


def _least(cost: Vectors, m: int) -> RowNumbers:
    """Columns of each row's `m` least, ascending; of equal ones the first, which numpy's search leaves to the processor."""
    found = np.argpartition(cost, m - 1, axis=1)[:, :m]
    bound = np.take_along_axis(cost, found, axis=1).max(axis=1, keepdims=True)
    tied = np.flatnonzero(np.count_nonzero(cost <= bound, axis=1) > m)
    found[tied] = np.argsort(cost[tied], axis=1, kind="stable")[:, :m]
    return np.sort(found, axis=1)


def _price(near: _Near, weight: Floats, prices: Vectors, bounds: Bounds, chunks: Chunks) -> tuple[Parts, Vectors]:
    """The part of every row under the prices that break the bounds least, and these prices."""
    unit = 1 + float(near.distance.min(axis=1).mean())  # the rows' own squares are 1
    step = np.full(len(prices), STEP * unit)
    direction, least = np.zeros(len(prices)), np.inf
    for _ in range(PRICINGS):
        part = _choose(near, prices, chunks)
        load = loads(part, weight, len(prices))
        broken = float(bounds.broken(load).sum())
        if broken < least:
            least, found = broken, (part, prices)
        if broken == 0:
            break
        # A raised price falls again when there is room; a lowered one may stay.
        raised = (prices > 0) | (load > bounds.high)
        outside = np.where(raised, load - bounds.high, np.minimum(load - bounds.low, 0))
        before, direction = direction, np.sign(outside)
        step *= np.choose((direction * before).astype(int) + 1, (SLOWER, 1.0, FASTER))
        step = np.minimum(step, LONGEST_STEP * unit)
        moved = (prices + direction * step).astype(np.float32)
        prices = np.where(moved * prices < 0, np.float32(0), moved)
    return found


def _choose(near: _Near, prices: Vectors, chunks: Chunks) -> Parts:
    def choose(chunk: slice) -> Parts:
        part = near.part[chunk]
        best = (near.distance[chunk] + prices[part]).argmin(axis=1)
        return np.take_along_axis(part, best[:, None], axis=1)[:, 0]

    return np.concatenate(chunks.map(choose, len(near.part)))
