"""Next-interest probabilities from counts alone: pair counts shrunk to a back-off, and that to popularity.

    π(c)          = (n(c) + 1) / (n + |C|)                                     popularity as a successor
    p(c | c1)     = (n(c1, ·, c) + s·π(c)) / (n(c1, ·, ·) + s)                 and p(c | c2) likewise
    b(c | c1, c2) ∝ p(c | c1) · p(c | c2) / π(c)      over c ∉ {c1, c2}        the back-off
    p(c | c1, c2) = (n(c1, c2, c) + m·b(c | c1, c2)) / (n(c1, c2, ·) + m)

The back-off is exact if c1 and c2 are independent given what comes next. The two strengths are those under which held-out triples
are likeliest, so that counts of a large log speak for themselves and those of a thin one lean on the back-off. Held out are a
later window and each counted triple in turn; where these cannot tell the strengths from greater ones, they are greater
(`shrunk_strengths`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from driftline.contracts import BadInput
from driftline.interests import triples
from driftline.interests.pairs import Ints, pair_count, pairs, pairs_of
from driftline.interests.triples import Triples

Floats = NDArray[np.float64]

CELLS = 4_000_000
"""Pairs times clusters that are held at once."""
HIGHEST = 1e6
"""Of a strength: all counts but popularity's are nothing beside it."""
_RANGE = (np.log(1e-2), np.log(HIGHEST))
"""In which the logarithms of the strengths are searched."""
FEWEST = 10
"""Ordered pairs: of fewer a standard error says nothing."""
FACTORS = 25
"""By which strengths are tried to be raised, up to the highest; evenly on a scale of logarithms."""


@dataclass(frozen=True)
class Strengths:
    """Dirichlet strengths: how many occurrences a prior weighs as much as."""

    single: float
    """s: popularity beside the successors of one cluster."""
    pair: float
    """m: the back-off beside the successors of the pair."""


@dataclass(frozen=True)
class CountingModel:
    """The counts of a window as log-probabilities, looked up by the pair's number."""

    n_clusters: int
    strengths: Strengths
    log_popularity: Floats
    """log π, [|C|]"""
    log_first: Floats
    """log p(c | c1), [|C|, |C|]: row c1"""
    log_second: Floats
    """log p(c | c2), [|C|, |C|]: row c2"""
    counts: Triples
    """Ordered by pair."""
    start: Ints
    """[pairs + 1]: the counts of pair i are rows start[i] … start[i + 1]."""

    def log_backoff(self, pairs: Ints) -> Floats:
        """log b, [requests, |C|]; −inf for c1 and c2."""
        c1, c2 = pairs_of(pairs, self.n_clusters)
        return log_normalised(self.log_first[c1] + self.log_second[c2] - self.log_popularity, c1, c2)

    def seen(self, pairs: Ints) -> Floats:
        """n(c1, c2, c), [requests, |C|]."""
        found = np.zeros((len(pairs), self.n_clusters))
        length = self.start[pairs + 1] - self.start[pairs]
        row = np.repeat(np.arange(len(pairs)), length)
        at = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length) + self.start[pairs][row]
        found[row, self.counts.c_next[at]] = self.counts.n[at]
        return found

    def log_p(self, pairs: Ints) -> Floats:
        """log p(c | c1, c2), [requests, |C|]; −inf for c1 and c2."""
        return log_posterior(self.seen(pairs), self.log_backoff(pairs), self.strengths.pair)


def counting_model(counts: pa.Table, n_clusters: int, strengths: Strengths) -> CountingModel:
    """The model of a window's counts.

    Args:
        counts: c1, c2, c_next: int32, n: int64.

    Raises:
        BadInput: there is no triple.
    """
    found = triples.read(counts, n_clusters)
    if not len(found.n):
        raise BadInput("no triple in the window, so there is nothing to count: widen the window or check source.positive")
    popularity: Floats = (np.bincount(found.c_next, found.n, n_clusters) + 1) / (found.n.sum() + n_clusters)
    pair = found.pair(n_clusters)
    order = np.lexsort((found.c_next, pair))
    start = np.concatenate([[0], np.cumsum(np.bincount(pair, minlength=pair_count(n_clusters)))])
    ordered = Triples(found.c1[order], found.c2[order], found.c_next[order], found.n[order])
    first, second = (np.log(_given(n, popularity, strengths.single)) for n in _singles(found, n_clusters))
    return CountingModel(n_clusters, strengths, np.log(popularity), first, second, ordered, start)


def fit_strengths(counts: pa.Table, validation: pa.Table | None, n_clusters: int) -> Strengths:
    """The strengths under which held-out triples are likeliest: those of a later window, or each of this one, left out in turn.

    Args:
        counts: c1, c2, c_next: int32, n: int64; of the window that is counted.
        validation: the same of days after it, which nothing else has seen; None: there are none.

    Raises:
        BadInput: one of the windows has no triple.
    """
    return _likeliest([_HeldOut.of(counts, validation, n_clusters)])


def shrunk_strengths(counts: pa.Table, validation: pa.Table | None, n_clusters: int) -> Strengths:
    """The likeliest strengths, raised together as far as held-out triples do not tell (the one-standard-error rule).

    Held out is each triple of the counts in turn, and the later window, if there is one. Both strengths get the largest factor
    under which these lose no more than a standard error of the difference, ordered pairs being its units. Where little is told,
    popularity answers, which needs the fewest triples to be known.

    Args, Raises: as of `fit_strengths`.
    """
    held_out = [_HeldOut.of(counts, window, n_clusters) for window in ([None] if validation is None else [None, validation])]
    found = _likeliest(held_out)
    n = np.concatenate([part.asked.n for part in held_out])
    pair, unit = np.unique(np.concatenate([part.asked.pair(n_clusters) for part in held_out]), return_inverse=True)
    if len(pair) < FEWEST:
        return Strengths(HIGHEST, HIGHEST)

    def losses(strengths: Strengths) -> Floats:
        return np.concatenate([part.losses(strengths) for part in held_out])

    least = losses(found)
    for factor in np.geomspace(HIGHEST / min(found.single, found.pair), 1, FACTORS)[:-1].tolist():
        raised = Strengths(min(found.single * factor, HIGHEST), min(found.pair * factor, HIGHEST))
        more = n * (losses(raised) - least)
        if more.sum() <= standard_error(more, n, unit):
            return raised
    return found


def standard_error(total: Floats, n: Floats, unit: Ints) -> float:
    """The standard error of a sum of totals over n occurrences each, beside the same share of each; the units are independent."""
    away = np.bincount(unit, total - n * total.sum() / n.sum())
    return float(np.sqrt((away**2).sum()))


def log_normalised(scores: Floats, c1: Ints, c2: Ints) -> Floats:
    """Log-softmax of scores [rows, |C|] over all clusters but the row's own c1 and c2, which get −inf."""
    rows = np.arange(len(scores))
    scores[rows, c1] = scores[rows, c2] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return scores


def log_posterior(n: Floats, log_base: Floats, strength: float) -> Floats:
    """log of (n + m·base) / (Σ n + m), the mean of a Dirichlet posterior; shapes [rows, |C|]."""
    with np.errstate(divide="ignore"):
        posterior: Floats = np.log(n + strength * np.exp(log_base)) - np.log(n.sum(axis=1, keepdims=True) + strength)
    return posterior


def answers(log_p: Callable[[Ints], Floats], n_clusters: int) -> pa.Table:
    """The likeliest novel cluster of every pair.

    Args:
        log_p: of a `CountingModel` or a `Blend`: from pairs by number to [requests, |C|].

    Returns:
        c1, c2, c_next: int32, score: float64 (log p of the answer); complete, ordered by pair.
    """
    c_next, score = likeliest(log_p, np.arange(pair_count(n_clusters)), n_clusters)
    c1, c2 = pairs(n_clusters)
    ids = {"c1": c1, "c2": c2, "c_next": c_next}
    columns = {name: pa.array(column.astype(np.int32)) for name, column in ids.items()}
    return pa.table(columns | {"score": pa.array(score)})


def likeliest(log_p: Callable[[Ints], Floats], numbers: Ints, n_clusters: int) -> tuple[Ints, Floats]:
    """The likeliest novel cluster of each pair, given by number, and its log p; `CELLS` pairs times clusters at a time."""
    c_next, score = np.zeros(len(numbers), np.int64), np.zeros(len(numbers))
    for begin in range(0, len(numbers), step := max(1, CELLS // n_clusters)):
        found = log_p(numbers[begin : begin + step])
        c_next[begin : begin + step], score[begin : begin + step] = found.argmax(axis=1), found.max(axis=1)
    return c_next, score


def counted(counts: pa.Table, n_clusters: int, validation: pa.Table | None = None) -> pa.Table:
    """Baseline mapping: the counting model's answers, with the strengths that held-out triples choose.

    Args:
        counts: c1, c2, c_next: int32, n: int64; of the window that is counted.
        validation: the same of later days; None: strengths by leaving out each triple in turn.

    Returns:
        As `answers`.

    Raises:
        BadInput: there is no triple.
    """
    strengths = shrunk_strengths(counts, validation, n_clusters)
    return answers(counting_model(counts, n_clusters, strengths).log_p, n_clusters)


def blocks(n_clusters: int) -> list[Ints]:
    """The numbers of all ordered pairs, `CELLS` pairs times clusters at a time."""
    n_pairs, step = pair_count(n_clusters), max(1, CELLS // n_clusters)
    return [np.arange(begin, min(begin + step, n_pairs)) for begin in range(0, n_pairs, step)]


@dataclass(frozen=True)
class _HeldOut:
    """Triples that are asked of counts which they are not among: of a later window, or each of the counted ones in turn.

    Attributes:
        model: of the counts; its strengths mean nothing.
        asked: the triples.
        n, total: of each of them n(c1, c2, c) and n(c1, c2, ·) of the counts.
        in_turn: they are the counted ones.
    """

    model: CountingModel
    asked: Triples
    n: Floats
    total: Floats
    in_turn: bool

    @staticmethod
    def of(counts: pa.Table, validation: pa.Table | None, n_clusters: int) -> "_HeldOut":
        model = counting_model(counts, n_clusters, Strengths(1.0, 1.0))
        asked = triples.read(counts if validation is None else validation, n_clusters)
        if not len(asked.n):
            raise BadInput("no triple in the validation window, so nothing can be fitted: lengthen it")
        n, total = _seen(model, asked)
        if validation is None:
            n, total = n - 1, total - 1
        return _HeldOut(model, asked, n, total, validation is None)

    @cached_property
    def singles(self) -> tuple[Floats, Floats]:
        return _singles(self.model.counts, self.model.n_clusters)

    def backoff(self, single: float) -> Floats:
        """b of each triple. Only the singles' probabilities are of s: the rest is made once."""
        popularity = np.exp(self.model.log_popularity)
        first, second = (np.log(_given(n, popularity, single)) for n in self.singles)
        model = replace(self.model, strengths=Strengths(single, 1.0), log_first=first, log_second=second)
        log_b = _backoff_of(model, self.asked)
        if self.in_turn:
            log_b += _left_out(model, self.asked, self.singles)
        b: Floats = np.exp(log_b)
        return b

    def losses(self, strengths: Strengths) -> Floats:
        """−log p of one occurrence of each triple."""
        found: Floats = np.log(self.total + strengths.pair)
        found -= np.log(self.n + strengths.pair * self.backoff(strengths.single))
        return found


def _likeliest(held_out: Sequence[_HeldOut]) -> Strengths:
    totals = [np.unique(part.total, return_inverse=True) for part in held_out]
    weights = [np.bincount(place, part.asked.n) for part, (_, place) in zip(held_out, totals, strict=True)]

    def fitted(log_single: float) -> tuple[float, float]:
        """The loss at the best m, and its logarithm."""
        b = [part.backoff(float(np.exp(log_single))) for part in held_out]

        def loss(log_m: float) -> float:
            m = np.exp(log_m)
            norms = [(weight * np.log(total + m)).sum() for weight, (total, _) in zip(weights, totals, strict=True)]
            chances = [(part.asked.n * np.log(part.n + m * base)).sum() for part, base in zip(held_out, b, strict=True)]
            return float(sum(norms) - sum(chances))

        found = minimize_scalar(loss, bounds=_RANGE, method="bounded")
        return float(found.fun), float(found.x)

    single = float(minimize_scalar(lambda log_s: fitted(log_s)[0], bounds=_RANGE, method="bounded", options={"xatol": 0.05}).x)
    return Strengths(float(np.exp(single)), float(np.exp(fitted(single)[1])))


def _singles(found: Triples, n_clusters: int) -> tuple[Floats, Floats]:
    """n(c1, ·, c) and n(·, c2, c), [|C|, |C|] each."""
    size = n_clusters**2
    n = (np.bincount(cluster * n_clusters + found.c_next, found.n, size) for cluster in (found.c1, found.c2))
    first, second = (each.reshape(n_clusters, n_clusters).astype(np.float64) for each in n)
    return first, second


def _given(n: Floats, popularity: Floats, strength: float) -> Floats:
    """p(c | cluster), [|C|, |C|]."""
    given: Floats = (n + strength * popularity) / (n.sum(axis=1, keepdims=True) + strength)
    return given


def _seen(model: CountingModel, later: Triples) -> tuple[Floats, Floats]:
    """Looks up, for each later triple, n(c1, c2, c) and n(c1, c2, ·) of the model's window."""
    size = model.n_clusters
    pair, counted = later.pair(size), model.counts.pair(size)
    key, asked = counted * size + model.counts.c_next, pair * size + later.c_next
    place = np.minimum(np.searchsorted(key, asked), len(key) - 1)
    n = np.where(key[place] == asked, model.counts.n[place], 0).astype(np.float64)
    return n, np.bincount(counted, model.counts.n, size * (size - 1))[pair].astype(np.float64)


def _backoff_of(model: CountingModel, later: Triples) -> Floats:
    """Computes log b of each later triple. No pair's whole row is made."""
    first = np.exp(model.log_first - model.log_popularity)
    second = np.exp(model.log_second)
    # Σ over all c, less the terms of c1 and c2.
    whole = first @ second.T
    lost = np.diag(first)[:, None] * second.T + first * np.diag(second)[None, :]
    norm = np.log(np.maximum(whole - lost, np.finfo(np.float64).tiny))
    log_b: Floats = model.log_first[later.c1, later.c_next] + model.log_second[later.c2, later.c_next]
    log_b -= model.log_popularity[later.c_next] + norm[later.c1, later.c2]
    return log_b


def _left_out(model: CountingModel, found: Triples, singles: tuple[Floats, Floats]) -> Floats:
    """What the log back-off of each triple loses, but for its norm, when one of its occurrences is not counted."""
    s, popularity = model.strengths.single, np.exp(model.log_popularity)
    lost = np.zeros(len(found.n))
    for cluster, log_given, n in zip((found.c1, found.c2), (model.log_first, model.log_second), singles, strict=True):
        # A cell that nothing was counted in is asked by no triple.
        less = np.log(np.maximum(n - 1, 0) + s * popularity) - np.log(np.maximum(n.sum(axis=1, keepdims=True) - 1, 0) + s)
        lost += (less - log_given)[cluster, found.c_next]
    return lost
