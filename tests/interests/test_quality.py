from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import log2

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from driftline.contracts import Gates
from driftline.interests import metrics
from driftline.interests.gates import evaluation, judge
from driftline.interests.mapping import answers_of, check
from driftline.interests.metrics import DatedMapping, HitRates, Quality
from driftline.interests.metrics.arms import FREQUENT, POPULAR, TABLE
from driftline.interests.pairs import pairs
from tests.interests.tables import Counts, counts_of, recall, table
from tests.interests.test_metrics import mapping

NOMINAL = datetime(2024, 3, 1, tzinfo=UTC)
COUNTS = table({(0, 1, 3): 9, (1, 2, 0): 3})


def played(test: pa.Table) -> pa.Table:
    """The steps of a test window in which every occurrence of a triple is one user's whole sequence."""
    rows = [triple for triple in test.to_pylist() for _ in range(triple["n"])]
    steps = [
        (f"{user:03}", row[name], NOMINAL.replace(tzinfo=None) + timedelta(hours=hour))
        for user, row in enumerate(rows)
        for hour, name in enumerate(("c1", "c2", "c_next"))
    ]
    user, cluster, ts = ([step[column] for step in steps] for column in range(3))
    return pa.table({"user": pa.array(user, pa.string()), "cluster": cluster, "ts": pa.array(ts, pa.timestamp("us"))})


def hits(answering: pa.Table, test: pa.Table, n_clusters: int) -> HitRates:
    mappings = {
        TABLE: answering,
        POPULAR: metrics.most_popular(COUNTS, n_clusters),
        FREQUENT: metrics.most_frequent(COUNTS, n_clusters),
    }
    arms = {name: [DatedMapping(NOMINAL, answers_of(found, n_clusters))] for name, found in mappings.items()}
    return metrics.hit_rates(played(test), None, n_clusters, NOMINAL, NOMINAL + timedelta(days=1), arms, [])


def constant(n_clusters: int) -> pa.Table:
    """0 wherever it is novel, and 1 or 2 where it is not: as constant as a mapping can be."""
    return mapping({}, n_clusters)


def uniform(n_clusters: int) -> pa.Table:
    """Every cluster answers as many pairs: (a, b) → the cluster after b, or the one after that where it is a."""
    c1, c2 = pairs(n_clusters)
    answer = (c2 + 1) % n_clusters
    answer = np.where(answer == c1, (c2 + 2) % n_clusters, answer)
    return mapping({(a, b): c for a, b, c in zip(c1.tolist(), c2.tolist(), answer.tolist(), strict=True)}, n_clusters)


def measured(
    answering: pa.Table, test: pa.Table, n_clusters: int, compared_with: int | None = None, before: pa.Table | None = None
) -> Quality:
    return metrics.quality(
        table=7,
        kind="rag",
        nominal=NOMINAL,
        mapping=answering,
        n_clusters=n_clusters,
        hits=hits(answering, test, n_clusters),
        compared_with=compared_with,
        before=before,
    )


def test_by_hand() -> None:
    """The table answers with the lowest novel id: 2 for (0, 1) and (1, 0), 1 for the pairs of 0 with 2 and 3, 0 for the rest, so
    2, 4 and 6 of the 12 pairs. Both baselines answer (0, 1) → 3. The table before answered (0, 1) → 3, too.
    """
    test = table({(0, 1, 2): 1, (0, 1, 3): 3, (1, 2, 0): 4})
    found = measured(mapping({(0, 1): 2}, 4, exact=9), test, 4, 6, mapping({(0, 1): 3}, 4))

    assert (found.table, found.kind, found.nominal, found.clusters) == (7, "rag", NOMINAL, 4)
    assert (found.exact_match_rate, found.chance, found.test_triples, found.coverage) == (0.75, 0.5, 8, 3)
    assert [recall.name for recall in found.recalls] == [TABLE, POPULAR, FREQUENT]
    own, popular, frequent = (recall.recall for recall in found.recalls)
    # Own: 1 of 4 of (0, 1) and 4 of 4 of (1, 2), each of another user; in eighths, as the draws of eight users are.
    assert (own.value, own.low, own.high, own.n) == (5 / 8, 2 / 8, 7 / 8, 8)
    assert popular.value == 3 / 8  # 3 for (0, 1) is right; 3 for (1, 2) is not
    assert frequent.value == 7 / 8
    assert found.entropy == pytest.approx(log2(6) / 6 + log2(3) / 3 + log2(2) / 2)
    assert found.effective_clusters == pytest.approx(6 ** (1 / 6) * 3 ** (1 / 3) * 2 ** (1 / 2))
    assert found.top_share == 0.5
    assert found.compared_with == 6
    assert found.changed == pytest.approx(1 / 12)


def test_a_constant_mapping_looks_bad() -> None:
    """Of 50 clusters, 0 answers the 49 · 48 pairs without it; 1 and 2 share the 98 with it."""
    poor, rich = (measured(made(50), COUNTS, 50) for made in (constant, uniform))

    assert poor.top_share == 49 * 48 / (50 * 49)
    assert (poor.coverage, rich.coverage) == (3, 50)
    assert poor.entropy < 0.26
    assert poor.effective_clusters < 1.2
    assert rich.entropy == pytest.approx(log2(50))
    assert rich.effective_clusters == pytest.approx(50)
    assert rich.top_share == pytest.approx(1 / 50)


def test_one_answer_for_all_has_no_entropy() -> None:
    rows = mapping({}, 4).slice(6)  # of the pairs of 2 and 3 with the others
    same = rows.filter(pa.array([c == 0 for c in rows["c_next"].to_pylist()]))

    assert str(metrics.entropy(same["c_next"].to_numpy())) == "0.0"
    assert metrics.top_share(same) == 1.0


def test_nothing_to_test_on_and_nothing_before() -> None:
    found = measured(constant(5), table({}), 5)

    assert {recall.recall for recall in found.recalls} == {metrics.Estimate(None, None, None, 0)}
    assert (found.test_triples, found.compared_with, found.changed) == (0, None, None)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="give both or none"):
        measured(constant(4), COUNTS, 4, compared_with=6)
    with pytest.raises(ValueError, match="leaves 1 of 12 ordered pairs without an answer"):
        measured(constant(4)[1:], COUNTS, 4)
    with pytest.raises(ValueError, match="leaves 8 of 20 ordered pairs without an answer"):
        metrics.changed(constant(5), constant(4), 5)


@given(counts_of(5), counts_of(5))
def test_recall_is_its_definition(counts: Counts, test: Counts) -> None:
    for baseline in (metrics.most_frequent(table(counts), 5), metrics.most_popular(table(counts), 5)):
        check(baseline, 5)
        found = hits(baseline, table(test), 5).arms[0].recall
        assert found is not None
        assert found.value == (pytest.approx(recall(baseline, table(test))) if test else None)
        assert found.n == sum(test.values())


def gated(test: pa.Table, counts: pa.Table, confidence: float = 0.95) -> Quality:
    """Of a table that answers (0, 1) with 2, nine of its twelve answers exact."""
    return metrics.measure_table(
        table=7,
        kind="rag",
        nominal=NOMINAL,
        mapping=mapping({(0, 1): 2}, 4, exact=9),
        counts=counts,
        n_clusters=4,
        steps=played(test),
        shown=played(test)[:0],
        start=NOMINAL,
        end=NOMINAL + timedelta(days=1),
        confidence=confidence,
    )


def test_the_gates_judge_by_what_was_measured() -> None:
    """One of four users is predicted, three times over: the bound is the lower end of the interval that reviewers see."""
    quality = gated(table({(0, 1, 2): 3, (0, 1, 3): 9}), COUNTS)
    found = evaluation(quality, Gates())
    own = quality.recalls[0].recall
    assert (found.exact_match_rate, found.recall, found.recall_chance) == (0.75, 0.25, 0.5)
    assert (found.test_triples, found.test_users, found.coverage) == (12, 12, 3)
    assert (found.recall_popular, found.recall_frequent) == (0.75, 0.75)
    assert own.low is not None
    assert 0 <= own.low < 0.25
    assert found.recall_low == own.low
    looser = evaluation(gated(table({(0, 1, 2): 3, (0, 1, 3): 9}), COUNTS, 0.6), Gates(confidence=0.6))
    assert looser.recall_low is not None
    assert own.low < looser.recall_low < 0.25


def test_a_bound_of_few_users_or_of_another_confidence_decides_nothing() -> None:
    few = gated(table({(0, 1, 2): 3, (0, 1, 3): 6}), COUNTS)
    assert few.recalls[0].recall.low is not None
    assert judge(evaluation(few, Gates()), Gates()).reasons["recall"] == (
        "not enough data: n = 9 triples of 9 users in the test window"
    )
    many = gated(table({(0, 1, 2): 3, (0, 1, 3): 9}), COUNTS)
    assert evaluation(many, Gates(confidence=0.9)).recall_low is None
    stored_before = replace(many, confidence=None, recall_low=None)
    assert evaluation(stored_before, Gates()).recall_low == many.recall_low


def test_no_data_is_none_not_nan() -> None:
    found = evaluation(gated(table({}), table({})), Gates())
    assert (found.recall, found.recall_low, found.recall_popular, found.recall_frequent) == (None, None, None, None)
    assert (found.test_triples, found.test_users) == (0, 0)
