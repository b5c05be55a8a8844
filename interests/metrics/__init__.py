"""How good a mapping is and whether keeping it fresh pays: pure functions, NumPy or Arrow in, small dataclasses out.

Shares are in [0, 1]; what cannot be measured is None beside its n, never NaN.

Functions win over the modules of the same name: `metrics.drift` is the function.
"""

from driftline.interests.metrics.answers import AnswersCompared, compare_answers
from driftline.interests.metrics.baselines import chance, most_frequent, most_popular
from driftline.interests.metrics.drift import Curve, Drift, Lag, Sampled, WindowFacts, drift
from driftline.interests.metrics.estimates import Difference, Estimate, mean, ratio
from driftline.interests.metrics.hits import ArmHits, DatedMapping, HitRates, hit_rates
from driftline.interests.metrics.quality import ArmRecall, Quality, changed, measure_table, quality, top_share
from driftline.interests.metrics.spread import effective_clusters, entropy
from driftline.interests.metrics.staleness import Staleness, StalePoint, staleness
from driftline.interests.metrics.successors import RANKINGS, Ranking, Successors, top_successors
from driftline.interests.metrics.support import support

__all__ = [
    "RANKINGS",
    "AnswersCompared",
    "ArmHits",
    "ArmRecall",
    "Curve",
    "DatedMapping",
    "Difference",
    "Drift",
    "Estimate",
    "HitRates",
    "Lag",
    "Quality",
    "Ranking",
    "Sampled",
    "StalePoint",
    "Staleness",
    "Successors",
    "WindowFacts",
    "chance",
    "changed",
    "compare_answers",
    "drift",
    "effective_clusters",
    "entropy",
    "hit_rates",
    "mean",
    "measure_table",
    "most_frequent",
    "most_popular",
    "quality",
    "ratio",
    "staleness",
    "support",
    "top_share",
    "top_successors",
]
