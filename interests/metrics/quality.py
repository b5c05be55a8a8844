"""One mapping's quality beside its baselines, for the record of every table (design §3.7–§3.9, paper §2.2)."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from driftline.contracts import BadInput
from driftline.interests.counting_model import counted
from driftline.interests.mapping import answers_of, coverage, exact_match_rate
from driftline.interests.metrics.arms import COUNTED, FREQUENT, LLM_ALONE, POPULAR, TABLE
from driftline.interests.metrics.baselines import chance, most_frequent, most_popular
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import DatedMapping, HitRates, hit_rates
from driftline.interests.metrics.spread import entropy
from driftline.interests.metrics.support import support
from driftline.interests.pairs import Ints


@dataclass(frozen=True)
class ArmRecall:
    """Test-set recall of one mapping; the interval is over users (stored before `HitRates.triples` was: over ordered pairs)."""

    name: str
    recall: Estimate


@dataclass(frozen=True)
class Quality:
    """Metric 7, of one table."""

    table: int
    kind: str
    nominal: datetime
    clusters: int
    exact_match_rate: float | None
    recalls: tuple[ArmRecall, ...]
    """Of the table, the most popular successor and the most frequent successor of the pair; by name."""
    chance: float
    test_triples: int
    coverage: int
    """Clusters that the mapping ever answers."""
    entropy: float
    """Of the answers over all pairs, in bits: 0 when every pair gets the same one, log2 |C| when all are given equally often."""
    effective_clusters: float
    """2 ** entropy: equally frequent answers that would have this entropy."""
    top_share: float
    """Share of pairs that get the most frequent answer."""
    hits: HitRates
    """On the test window: the table and both counting baselines."""
    compared_with: int | None
    """The table before this one."""
    changed: float | None
    """Share of pairs whose answer differs from that table's."""
    unknown_share: float | None = None
    """Of the positive events, those of items that no cluster has: the larger share of the table's own and the test window."""
    recall_low: float | None = None
    """Of the table: what the gates hold against chance. The lower end of recall's interval at their confidence; None: of results
    from before it was kept, or too few users."""
    confidence: float | None = None
    """Of the gates when this was measured."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What there was not enough data for."""
        return self.hits.missing


COUNTING = {POPULAR: most_popular, FREQUENT: most_frequent, COUNTED: counted}
"""The mappings of counts that every table is measured beside."""


def measure_table(
    *,
    table: int,
    kind: str,
    nominal: datetime,
    mapping: pa.Table,
    counts: pa.Table,
    n_clusters: int,
    steps: pa.Table,
    shown: pa.Table,
    start: datetime,
    end: datetime,
    confidence: float,
    alone: pa.Table | None = None,
    compared_with: int | None = None,
    before: pa.Table | None = None,
    unknown_share: float | None = None,
) -> Quality:
    """A table beside its baselines on the window that judges it: everything that gates, reviewers and the record need, once.

    Args:
        mapping: c1, c2, c_next: int32, exact: bool (not there: no LLM was asked); complete.
        counts: c1, c2, c_next: int32, n: int64; of the window that the table was trained on or retrieved from, which is what the
            baselines know.
        steps, shown: of the test window `[start, end)`, as `hit_rates` takes them.
        confidence: of the gates.
        alone: what the LLM of a blend answers, if the table is one.
        table, kind, nominal, compared_with, before, unknown_share: as of `quality`.

    Raises:
        BadInput: as of `hit_rates` and `quality`.
    """
    baselines = {name: made(counts, n_clusters) for name, made in COUNTING.items()} if counts.num_rows else {}
    baselines |= {LLM_ALONE: alone} if alone is not None else {}
    arms = {name: [DatedMapping(start, answers_of(found, n_clusters))] for name, found in {TABLE: mapping, **baselines}.items()}
    compared = [(TABLE, baseline) for baseline in baselines]
    known = support(counts, n_clusters)
    return quality(
        table=table,
        kind=kind,
        nominal=nominal,
        mapping=mapping,
        n_clusters=n_clusters,
        hits=hit_rates(steps, shown, n_clusters, start, end, arms, compared, known, confidence),
        compared_with=compared_with,
        before=before,
        unknown_share=unknown_share,
        confidence=confidence,
    )


def quality(
    *,
    table: int,
    kind: str,
    nominal: datetime,
    mapping: pa.Table,
    n_clusters: int,
    hits: HitRates,
    compared_with: int | None = None,
    before: pa.Table | None = None,
    unknown_share: float | None = None,
    confidence: float | None = None,
) -> Quality:
    """Everything that is on record about the answers of one table.

    Args:
        table, kind, nominal: which table this is.
        mapping: c1, c2, c_next: int32, exact: bool (not there: no LLM was asked); complete.
        hits: of the table and of baselines that knew the same window, on the test window.
        compared_with, before: version and mapping of the table before this one, of the same clusters; None where there is none.
        unknown_share: of the events, those of items that no cluster has.
        confidence: that `hits` has `recall_low` at.

    Raises:
        BadInput: fewer than 3 clusters, an incomplete mapping, or only one of `compared_with` and `before`.
    """
    if (compared_with is None) != (before is None):
        raise BadInput("compared_with and before are about the same table: give both or none")
    bits = entropy(mapping["c_next"].to_numpy())
    return Quality(
        table=table,
        kind=kind,
        nominal=nominal,
        clusters=n_clusters,
        exact_match_rate=exact_match_rate(mapping) if "exact" in mapping.column_names else None,
        recalls=tuple(ArmRecall(arm.name, arm.recall) for arm in hits.arms if arm.recall),
        chance=chance(n_clusters),
        test_triples=hits.triples,
        coverage=coverage(mapping),
        entropy=bits,
        effective_clusters=float(2**bits),
        top_share=top_share(mapping),
        hits=hits,
        compared_with=compared_with,
        changed=None if before is None else changed(mapping, before, n_clusters),
        unknown_share=unknown_share,
        recall_low=next((arm.recall_low for arm in hits.arms if arm.name == TABLE), None),
        confidence=confidence,
    )


def top_share(mapping: pa.Table) -> float:
    """Share of pairs that get the most frequent answer. No mapping can have 1: a pair with that cluster gets another answer."""
    return float(_pairs_per_answer(mapping).max() / mapping.num_rows)


def changed(mapping: pa.Table, before: pa.Table, n_clusters: int) -> float:
    """Share of pairs that two mappings of the same clusters answer differently.

    Raises:
        BadInput: a mapping does not answer every pair.
    """
    return float(np.mean(answers_of(mapping, n_clusters) != answers_of(before, n_clusters)))


def _pairs_per_answer(mapping: pa.Table) -> Ints:
    return np.unique(mapping["c_next"].to_numpy(), return_counts=True)[1]
