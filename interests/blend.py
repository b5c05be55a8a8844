"""The blend: counts where they know, the LLM where they do not.

    q(c) ∝ exp(α·(log p_LLM(c) − its mean over the pairs) + β·log π(c) + γ·log b(c))      over c ∉ {c1, c2}
    p(c) = (n(c1, c2, c) + m·q(c)) / (n(c1, c2, ·) + m)

A Dirichlet posterior of the pair's own counts whose base measure is log-linear in the LLM, popularity π and back-off b
(`interests.counting_model`). Samples are curated to be uniform over labels, so the LLM has lost popularity; its mean is taken out
and β puts it back (logit adjustment). α says whether the LLM knows what counting does not: 0 if not. Where that cannot be told,
because α's interval holds 0, the LLM has no say and the counting model answers.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import minimize

from driftline.contracts import BadInput
from driftline.interests import triples
from driftline.interests.counting_model import CELLS, CountingModel, blocks, log_posterior
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

    llm: Estimate
    """α"""
    popularity: Estimate
    """β"""
    backoff: Estimate
    """γ"""
    strength: Estimate
    """m: how many occurrences of a pair weigh as much as the base measure."""

    @property
    def values(self) -> tuple[float, float, float, float]:
        return self.llm.value or 0.0, self.popularity.value or 0.0, self.backoff.value or 0.0, self.strength.value or 0.0


@dataclass(frozen=True)
class _Sample:
    """Pairs of the validation window: what is summed there.

    Attributes:
        features: [3, pairs, |C|]: LLM, popularity, back-off; 0 for c1 and c2.
        novel: bool [pairs, |C|]: neither c1 nor c2.
        n: [pairs, |C|] counts of the training window.
        later: [pairs, |C|] counts of the validation window.
    """

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
    sample = _sample(model, scores, validation)
    begin = np.append(START, np.log(model.strengths.pair))
    bounds = [(-10, 10)] * 3 + [(np.log(1e-2), np.log(1e6))]
    found = minimize(_objective, begin, (sample,), jac=True, method="L-BFGS-B", bounds=bounds)
    theta = found.x
    error = np.sqrt(np.diag(_covariance(theta, sample)).clip(0))
    n = len(sample.later)
    low, high = theta - Z * error, theta + Z * error
    theta[3], low[3], high[3] = np.exp(np.clip([theta[3], low[3], high[3]], -50, 50))
    alpha, beta, gamma, m = (Estimate(float(v), float(a), float(b), n) for v, a, b in zip(theta, low, high, strict=True))
    return Weights(alpha, beta, gamma, m)


@dataclass(frozen=True)
class Blend:
    """The probabilities of fitted weights, looked up by the pair's number; the counting model's where α may be 0."""

    model: CountingModel
    scores: Scores
    weights: Weights

    @cached_property
    def _mean(self) -> Floats:
        return mean_log_p(self.scores)

    def log_p(self, pairs: Ints) -> Floats:
        """log p(c), [requests, |C|]; −inf for c1 and c2."""
        if not self.weights.llm.differs:
            return self.model.log_p(pairs)
        features, novel = _features(self.model, self.scores, pairs, self._mean)
        alpha, beta, gamma, m = self.weights.values
        return log_posterior(self.model.seen(pairs), _log_base(np.array([alpha, beta, gamma]), features, novel), m)


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
    return _Sample(features, novel, model.seen(pairs), counted)


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


def _covariance(theta: Floats, sample: _Sample) -> Floats:
    """The sandwich: inverse Hessian (differences of the gradient), outer products of the pairs' gradients, inverse Hessian."""
    step = 1e-4
    steps = step * np.eye(len(theta))
    hessian = np.stack([_objective(theta + by, sample)[1] - _objective(theta - by, sample)[1] for by in steps]) / (2 * step)
    bread = np.linalg.pinv((hessian + hessian.T) / 2)
    by_pair = _likelihood(theta, sample)[1]
    covariance: Floats = bread @ (by_pair.T @ by_pair) @ bread
    return covariance
