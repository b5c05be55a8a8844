"""The blend: counts where they know, the LLM where they do not.

    q(c) ∝ exp(α·(log p_LLM(c) − its mean over the pairs) + β·log π(c) + γ·log b(c))      over c ∉ {c1, c2}
    p(c) = (n(c1, c2, c) + m·q(c)) / (n(c1, c2, ·) + m)

A Dirichlet posterior of the pair's own counts whose base measure is log-linear in the LLM, popularity π and back-off b
(`interests.counting_model`). Samples are curated to be uniform over labels, so the LLM has lost popularity; its mean is taken out
and β puts it back (logit adjustment). α says whether the LLM knows what counting does not: 0 if not. The likeliest α of a window
is not that of the next, so the end of its interval nearest 0 answers (`shrunk_fit`). Where that is 0, or hits no more often than
counting, the LLM has no say and the counting model answers; where the LLM alone hits more often still, beyond noise, it answers
alone (docs/adr/0025).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import minimize

from driftline.contracts import BadInput
from driftline.interests import triples
from driftline.interests.counting_model import CELLS, CountingModel, blocks, log_posterior, standard_error
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.pairs import Ints
from driftline.interests.scores import Scores

Floats = NDArray[np.float64]

START = np.array([0.0, 0.0, 1.0])
"""α, β, γ of the counting model: where the fit begins, and what little evidence is drawn to."""
Z = 1.959963984540054
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Weights:
    """The four numbers of a blend with 95 % intervals; n = ordered pairs of the validation window."""

    llm_used: float
    """α that answers: 0 where counts do."""
    llm_alone: bool
    """The LLM answers without the rest."""
    llm: Estimate
    """α as it is likeliest."""
    popularity: Estimate
    """β"""
    backoff: Estimate
    """γ"""
    strength: Estimate
    """m: how many occurrences of a pair weigh as much as the base measure."""


@dataclass(frozen=True)
class _Sample:
    """Pairs of the validation window: what is summed there.

    Attributes:
        pairs: by number.
        features: [3, pairs, |C|]: LLM, popularity, back-off; 0 for c1 and c2.
        novel: bool [pairs, |C|]: neither c1 nor c2.
        n: [pairs, |C|] counts of the training window.
        later: [pairs, |C|] counts of the validation window.
    """

    pairs: Ints
    features: Floats
    novel: NDArray[np.bool_]
    n: Floats
    later: Floats


def fit(model: CountingModel, scores: Scores, validation: pa.Table) -> Weights:
    """The weights under which the validation window is likeliest, with a standard normal prior around the counting model.

    Pairs are the units: intervals are those of a sandwich estimate, its meat summed by pair. Of more pairs than `CELLS` allows, a
    share is taken by hash, so that the same windows always give the same weights.

    Args:
        model: counts of the training window; the LLM has learnt from no later day either.
        validation: c1, c2, c_next: int32, n: int64; days after it.

    Raises:
        BadInput: no triple in the validation window.
    """
    alpha, *others = _estimates(_sample(model, scores, validation), model)
    return Weights((alpha.value or 0.0) if alpha.differs else 0.0, False, alpha, *others)


def shrunk_fit(model: CountingModel, scores: Scores, validation: pa.Table) -> Weights:
    """The likeliest weights, but α only as far from 0 as the validation window makes sure of, and the others as they suit that.

    Then hits in the validation window decide who answers: counts, unless the blend hits more often; and instead of a blend that
    does, the LLM alone, if it hits more often than that beyond noise.

    Args, Raises: as of `fit`.
    """
    sample = _sample(model, scores, validation)
    alpha, *others = _estimates(sample, model)
    used, alone = _nearest_to_zero(alpha), False
    if used:
        _, *others = _estimates(sample, model, used)
        beta, gamma, m = (estimate.value or 0.0 for estimate in others)
        blended = _hits(_log_p(np.array([used, beta, gamma]), m, sample), sample)
        if blended.sum() <= _hits(_log_p(START, model.strengths.pair, sample), sample).sum():
            used = 0.0
        else:
            won = _hits(scores.dense(sample.pairs), sample) - blended
            alone = bool(won.sum() > Z * standard_error(won, sample.later.sum(axis=1), np.arange(len(won))))
    return Weights(used, alone, alpha, *others)


def _log_p(theta: Floats, strength: float, sample: _Sample) -> Floats:
    return log_posterior(sample.n, _log_base(theta, sample.features, sample.novel), strength)


def _hits(log_p: Floats, sample: _Sample) -> Floats:
    """How many of each pair's later occurrences the likeliest answer is."""
    hits: Floats = sample.later[np.arange(len(log_p)), log_p.argmax(axis=1)]
    return hits


def _nearest_to_zero(estimate: Estimate) -> float:
    """The end of the interval that is nearest 0; 0 where the interval holds it, or says nothing."""
    if not estimate.differs or estimate.low is None or estimate.high is None:
        return 0.0
    return estimate.low if estimate.low > 0 else estimate.high


def _estimates(sample: _Sample, model: CountingModel, alpha: float | None = None) -> list[Estimate]:
    """The likeliest α, β, γ and m with their intervals, or those that are likeliest beside a given α."""
    begin = np.append(START, np.log(model.strengths.pair))
    bounds = [(-10.0, 10.0)] * 3 + [(np.log(1e-2), np.log(1e6))]
    free = np.array([alpha is None, True, True, True])
    if alpha is not None:
        begin[0], bounds[0] = alpha, (alpha, alpha)
    theta = minimize(_objective, begin, (sample,), jac=True, method="L-BFGS-B", bounds=bounds).x
    error = np.zeros(len(theta))
    error[free] = np.sqrt(np.diag(_covariance(theta, sample, free)).clip(0))
    low, high = theta - Z * error, theta + Z * error
    theta[3], low[3], high[3] = np.exp(np.clip([theta[3], low[3], high[3]], -50, 50))
    n = len(sample.later)
    return [Estimate(float(v), float(a), float(b), n) for v, a, b in zip(theta, low, high, strict=True)]


@dataclass(frozen=True)
class Blend:
    """The probabilities of fitted weights, looked up by the pair's number; the counting model's where the LLM has no say."""

    model: CountingModel
    scores: Scores
    weights: Weights

    @cached_property
    def _mean(self) -> Floats:
        return mean_log_p(self.scores)

    def log_p(self, pairs: Ints) -> Floats:
        """log p(c), [requests, |C|]; −inf for c1 and c2."""
        if not self.weights.llm_used:
            return self.model.log_p(pairs)
        if self.weights.llm_alone:
            return self.scores.dense(pairs)
        features, novel = _features(self.model, self.scores, pairs, self._mean)
        theta = np.array([self.weights.llm_used, self.weights.popularity.value, self.weights.backoff.value])
        strength = self.weights.strength.value or 0.0
        return log_posterior(self.model.seen(pairs), _log_base(theta, features, novel), strength)


def mean_log_p(scores: Scores) -> Floats:
    """Mean of the LLM's log p of each cluster over the pairs that it is novel to: what the LLM says without looking, [|C|]."""
    total, n = np.zeros(scores.n_clusters), np.zeros(scores.n_clusters)
    for pairs in blocks(scores.n_clusters):
        found = scores.dense(pairs)
        known = np.isfinite(found)
        total += np.where(known, found, 0).sum(axis=0)
        n += known.sum(axis=0)
    return total / np.maximum(n, 1)


def _sample(model: CountingModel, scores: Scores, validation: pa.Table) -> _Sample:
    later = triples.read(validation, model.n_clusters)
    if not len(later.n):
        raise BadInput("no triple in the validation window, so nothing can be fitted: lengthen it")
    pair = later.pair(model.n_clusters)
    pairs = _some(np.unique(pair), CELLS // model.n_clusters)
    features, novel = _features(model, scores, pairs, mean_log_p(scores))
    row = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
    kept = pairs[row] == pair
    counted = np.zeros(novel.shape)
    np.add.at(counted, (row[kept], later.c_next[kept]), later.n[kept])
    return _Sample(pairs, features, novel, model.seen(pairs), counted)


def _some(pairs: Ints, most: int) -> Ints:
    """Samples at most so many of the pairs, by hash."""
    if len(pairs) <= most:
        return pairs
    none = np.zeros_like(pairs)
    order = np.argsort(triples.Triples(pairs, none, none, none).tie_break(), kind="stable")
    return np.sort(pairs[order[:most]])


def _features(model: CountingModel, scores: Scores, pairs: Ints, mean: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    log_backoff = model.log_backoff(pairs)
    novel = np.isfinite(log_backoff)
    llm = scores.dense(pairs) - mean
    # An answer that the LLM gives no mass at all is as unlikely as its least likely one.
    floor = np.where(np.isfinite(llm), llm, np.inf).min(axis=1, keepdims=True)
    llm = np.where(np.isfinite(llm), llm, np.where(np.isfinite(floor), floor, 0.0))
    popularity = np.broadcast_to(model.log_popularity, llm.shape)
    return np.where(novel, np.stack([llm, popularity, log_backoff]), 0.0), novel


def _log_base(theta: Floats, features: Floats, novel: NDArray[np.bool_]) -> Floats:
    """log q."""
    scores: Floats = np.where(novel, np.einsum("k,kpc->pc", theta, features), -np.inf)
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return scores


def _objective(theta: Floats, sample: _Sample) -> tuple[float, Floats]:
    """Minus the log posterior of the weights, and its gradient."""
    value, by_pair = _likelihood(theta, sample)
    away = theta[:3] - START
    return -value + 0.5 * float(away @ away), -by_pair.sum(axis=0) + np.append(away, 0.0)


def _likelihood(theta: Floats, sample: _Sample) -> tuple[float, Floats]:
    """Log-likelihood of the later counts, and each pair's part of its gradient, [pairs, 4]."""
    m = np.exp(theta[3])
    q = np.exp(_log_base(theta[:3], sample.features, sample.novel))
    there = sample.later > 0
    total = sample.n.sum(axis=1, keepdims=True)
    mass = np.where(there, sample.n + m * q, 1.0)
    value = float((sample.later * (np.log(mass) - np.log(total + m))).sum())
    prior = np.where(there, sample.later * m * q / mass, 0.0)  # of every later occurrence, what the base measure explains
    expected = np.einsum("pc,kpc->kp", q, sample.features)
    explained = prior.sum(axis=1)
    by_weight = np.einsum("pc,kpc->kp", prior, sample.features) - expected * explained
    by_strength = explained - sample.later.sum(axis=1) * (m / (total[:, 0] + m))
    return value, np.vstack([by_weight, by_strength]).T


def _covariance(theta: Floats, sample: _Sample, free: NDArray[np.bool_]) -> Floats:
    """The sandwich: inverse Hessian (differences of the gradient), outer products of the pairs' gradients, inverse Hessian.

    Of the free weights, beside the others.
    """
    step = 1e-4
    steps = step * np.eye(len(theta))
    hessian = np.stack([_objective(theta + by, sample)[1] - _objective(theta - by, sample)[1] for by in steps]) / (2 * step)
    bread = np.linalg.pinv(((hessian + hessian.T) / 2)[np.ix_(free, free)])
    by_pair = _likelihood(theta, sample)[1][:, free]
    covariance: Floats = bread @ (by_pair.T @ by_pair) @ bread
    return covariance
