"""How good a mapping is and whether keeping it fresh pays: pure functions, NumPy or Arrow in, small dataclasses out.

Shares are in [0, 1]; what cannot be measured is None beside its n, never NaN.

Functions win over the modules of the same name: `metrics.recall` is the function.
"""

from driftline.interests.metrics.answers import Answers, compare_answers
from driftline.interests.metrics.drift import Curve, Drift, Lag, Sampled, WindowFacts, drift
from driftline.interests.metrics.estimates import Difference, Estimate, mean, ratio
from driftline.interests.metrics.hits import ArmHits, HitRates, Version, hit_rates
from driftline.interests.metrics.quality import Quality, Recall, changed, quality, top_share
from driftline.interests.metrics.recall import (
    Proportion,
    answers_of,
    chance,
    coverage,
    evaluate,
    exact_match_rate,
    most_frequent,
    most_popular,
    recall,
)
from driftline.interests.metrics.spread import effective_clusters, entropy
from driftline.interests.metrics.staleness import Staleness, StalePoint, staleness
from driftline.interests.metrics.successors import RANKINGS, Ranking, Successors, top_successors
from driftline.interests.metrics.support import support

__all__ = [
    "RANKINGS",
    "Answers",
    "ArmHits",
    "Curve",
    "Difference",
    "Drift",
    "Estimate",
    "HitRates",
    "Lag",
    "Proportion",
    "Quality",
    "Ranking",
    "Recall",
    "Sampled",
    "StalePoint",
    "Staleness",
    "Successors",
    "Version",
    "WindowFacts",
    "answers_of",
    "chance",
    "changed",
    "compare_answers",
    "coverage",
    "drift",
    "effective_clusters",
    "entropy",
    "evaluate",
    "exact_match_rate",
    "hit_rates",
    "mean",
    "most_frequent",
    "most_popular",
    "quality",
    "ratio",
    "recall",
    "staleness",
    "support",
    "top_share",
    "top_successors",
]
