"""The low level's pure parts, by hand: index, histories, lists, baselines and their measures."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from driftline.interests.metrics import ranking as measured
from driftline.interests.recommender import baselines, histories, new_items, trained
from driftline.interests.recommender.encoder import Encoder
from driftline.interests.recommender.histories import Histories
from driftline.interests.recommender.index import by_cluster
from driftline.interests.recommender.judging import Prior, choose_prior, judge
from driftline.interests.recommender.ranking import best
from tests.serving.recommender import encoder as silent

ITEMS = pa.table({"item": ["x", "a", "c", "b", "y"], "cluster": pa.array([2, 0, 0, 0, 2], pa.int32())})
INDEX = by_cluster(ITEMS, 3)  # rows: a b c (cluster 0), x y (cluster 2)
START = datetime(2026, 1, 1, tzinfo=UTC)


def taken(**of: str) -> Histories:
    """Each user's items in order, a day apart."""
    rows = [(user, INDEX.rows(pa.array([item]))[0], day) for user, items in of.items() for day, item in enumerate(items)]
    user, cluster, days = zip(*rows, strict=True)
    times = pa.array([(START + timedelta(days=day)).replace(tzinfo=None) for day in days], pa.timestamp("us"))
    return histories.read(pa.table({"user": user, "cluster": pa.array(cluster, pa.int32()), "ts": times}))


def test_the_items_of_a_cluster_are_neighbours_and_unknown_ones_have_no_row() -> None:
    assert INDEX.items.to_pylist() == ["a", "b", "c", "x", "y"]
    assert [INDEX.items[a:b].to_pylist() for a, b in pairwise(INDEX.starts.tolist())] == [["a", "b", "c"], [], ["x", "y"]]
    assert INDEX.clusters.tolist() == [0, 0, 0, 2, 2]
    assert INDEX.rows(pa.array(["y", "gone", "a"])).tolist() == [4, -1, 0]


def test_histories_are_cut_by_time_and_users_keep_their_places() -> None:
    both = taken(ann="abx", bob="y")
    assert both.users.to_pylist() == ["ann", "bob"]
    later = both.between(START + timedelta(days=1), None)
    assert (later.of(0).tolist(), later.of(1).tolist()) == ([1, 3], [])
    assert both.last(np.array([0, 1]), 2).tolist() == [[1, 3], [-1, 4]]
    assert later.last(np.array([1]), 2).tolist() == [[-1, -1]]


@pytest.mark.parametrize("top", [1, 2, 5])
def test_lists_are_of_the_cluster_without_what_is_hidden_best_first(top: int) -> None:
    """Against the plain definition, with ties, on an index wide enough for both ways to find the largest."""
    rng = np.random.default_rng(0)
    index = by_cluster(pa.table({"item": [f"i{n:03d}" for n in range(200)], "cluster": rng.integers(0, 4, 200)}), 5)
    scores = rng.integers(0, 6, (30, 200)).astype(np.float32)
    clusters = rng.integers(-1, 5, 30)
    hidden = [np.sort(rng.choice(200, size, replace=False)).astype(np.int32) for size in rng.integers(0, 150, 30)]
    found = best(index.starts, clusters, hidden, lambda n, rows: scores[n][:, rows], top)
    for request, cluster in enumerate(clusters):
        allowed = [row for row in range(200) if row not in hidden[request] and cluster in (-1, index.clusters[row])]
        wanted = sorted(allowed, key=lambda row: (-scores[request, row], row))[:top]
        assert [row for row in found.rows[request] if row >= 0] == wanted
        assert found.scores[request, : len(wanted)].tolist() == [scores[request, row] for row in wanted]


def test_popularity_counts_users_and_covisits_count_neighbours() -> None:
    both = taken(ann="ababx", bob="ay")
    popular = baselines.popularity(both, 5)
    assert popular.tolist() == [2, 1, 0, 1, 1]
    visits = baselines.covisits(both, 5)
    # The first a → b, a, b; the second → b, x; of bob a → y.
    assert visits.toarray()[0].tolist() == [1, 3, 0, 1, 1]
    scored = baselines.covisited(visits, popular, np.array([0, -1], np.int32), slice(0, 3))
    assert scored[0].argsort()[::-1].tolist() == [1, 0, 2]
    assert scored[1].argsort()[::-1].tolist() == [0, 1, 2]  # nobody's: popularity


def test_what_is_popular_lately_fades_from_a_users_last_time_on() -> None:
    both = taken(ann="ababx", bob="ay")
    end = START + timedelta(days=5)
    weight = np.array([2**-3 + 2**-5, 2**-2, 0, 2**-1, 2**-4])
    assert baselines.lately(both, 5, end, 1) == pytest.approx(weight * 5 / weight.sum())
    assert baselines.lately(both, 5, end, 36_500) == pytest.approx(baselines.popularity(both, 5), rel=1e-3)
    nobody = both.between(end, None)
    assert baselines.lately(nobody, 5, end, 1).tolist() == [0] * 5


@pytest.mark.parametrize(("later", "half_life"), [("b", 20.0), ("a", 36_500.0)])
def test_the_validation_days_choose_how_fast_popularity_fades_and_how_much_it_says(later: str, half_life: float) -> None:
    """Ten took a long ago, three b of late; the encoder says nothing and takes the worse one first."""
    rows = [(f"old{n}", item, day) for n in range(10) for day, item in ((0, "x"), (1, "a"))]
    rows += [(f"recent{n}", item, 95 + day) for n in range(3) for day, item in ((0, "x"), (1, "b"))]
    rows += [(f"user{n}", item, day) for n in range(6) for day, item in ((90, "x"), (101, later))]
    user, item, day = zip(*sorted(rows), strict=True)
    times = pa.array([(START + timedelta(days=one)).replace(tzinfo=None) for one in day], pa.timestamp("us"))
    steps = {"user": user, "cluster": pa.array(INDEX.rows(pa.array(item)), pa.int32()), "ts": times}
    all_days, start = histories.read(pa.table(steps)), START + timedelta(days=100)
    vectors = np.zeros((5, 5), np.float32)
    vectors[:3, -1] = [0, 0.1, 0] if later == "a" else [0.1, 0, 0]
    encoder = Encoder({name: weight for name, weight in silent().items() if name != "heads"}, heads=1)
    before, validation = all_days.between(None, start), all_days.between(start, None)
    prior = choose_prior(INDEX, encoder, vectors, before, validation, start)
    assert prior == Prior(half_life, 0.25)
    recent = baselines.lately(before, 5, start, half_life)
    best_first = np.argsort(-(vectors[:3, -1] + prior.of(recent)[:3]))
    assert INDEX.items[int(best_first[0])].as_py() == later
    judged = judge(INDEX, encoder, vectors, baselines.popularity(before, 5), recent, before, validation)
    by_name = {arm.name: arm.ndcg.value for arm in judged.arms}
    assert (by_name["popular lately"], by_name["most popular"] == 1.0) == (1.0, later == "a")


def test_ndcg_and_hits_by_hand() -> None:
    before, later = taken(ann="ax", bob="x", eve="a"), taken(ann="bcay", bob="x", eve="b")
    cases = measured.find(before, later, INDEX)
    # ann turned to cluster 0 (b and c are new, a is not) and to cluster 2 (y); bob took nothing new.
    assert list(zip(cases.user.tolist(), cases.cluster.tolist(), map(list, cases.relevant), strict=True)) == [
        (0, 0, [1, 2]),
        (0, 2, [4]),
        (2, 0, [1]),
    ]
    assert [list(seen) for seen in cases.seen] == [[0, 3], [0, 3], [0]]
    rows = np.array([[2, 4], [-1, -1], [2, 1]], np.int32)
    ndcg, hit = measured.gains(cases, rows)
    discount = 1 / np.log2(3)
    assert ndcg == pytest.approx([1 / (1 + discount), 0, discount])
    assert hit.tolist() == [1, 0, 1]
    compared = measured.compare(cases, [("ours", rows), ("none", np.full((3, 2), -1, np.int32))])
    assert (compared.users, compared.cases, compared.at) == (2, 3, 2)
    assert compared.arms[0].hit.value == pytest.approx(2 / 3)
    assert compared.differences[0].estimate.value == compared.arms[0].ndcg.value
    assert len(measured.find(before, later, INDEX, restricted=False).user) == 2
    assert measured.find(before, later, INDEX, most=1).user.tolist() == [0, 0]


def test_a_user_vector_depends_on_the_newest_items_only_and_on_no_padding() -> None:
    rng = np.random.default_rng(0)
    d, length = 8, 4
    norm = np.stack([np.ones(d), np.zeros(d)]).astype(np.float32)
    shapes = {"mixed": (d, 3 * d), "out": (d, d), "up": (d, 4 * d), "down": (4 * d, d)}
    weights: dict[str, Any] = {"positions": rng.normal(size=(length, d)), "norm": norm}
    for block in range(2):
        weights |= {f"{block}.query_norm": norm, f"{block}.feed_norm": norm}
        weights |= {f"{block}.{name}": rng.normal(size=shape) for name, shape in shapes.items()}
        weights |= {f"{block}.{name}_bias": rng.normal(size=shape[1]) for name, shape in shapes.items()}
    encoder = Encoder({name: weight.astype(np.float32) for name, weight in weights.items()}, heads=2)
    vectors = rng.normal(size=(5, d + 1)).astype(np.float32)
    whole = encoder.encode(np.array([[4, 0, 1, 2, 3], [-1, -1, -1, -1, 2], [-1] * 5], np.int32), vectors)
    assert whole.shape == (3, d + 1)
    assert whole[0] == pytest.approx(encoder.encode(np.array([[0, 1, 2, 3]], np.int32), vectors)[0], abs=1e-5)
    assert whole[1] == pytest.approx(encoder.encode(np.array([[2]], np.int32), vectors)[0], abs=1e-5)
    assert whole[2].tolist() == [0] * d + [1]
    assert not np.allclose(whole[0], encoder.encode(np.array([[1, 0, 2, 3]], np.int32), vectors)[0], atol=1e-3)


def test_a_new_item_is_where_items_of_such_a_text_are() -> None:
    """Vectors that follow from texts are found again, and what is trusted more counts more."""
    rng = np.random.default_rng(0)
    texts, turned = rng.normal(size=(400, 6)), rng.normal(size=(6, 4))
    vectors = texts @ turned + 3
    vectors[200:] = rng.normal(size=(200, 4)) * 50  # rubbish, of which little is known
    weight = np.repeat([1.0, 1e-6], 200)
    asked = rng.normal(size=(5, 6))
    found = new_items.from_texts(texts.astype(np.float32), vectors.astype(np.float32), weight, asked.astype(np.float32))
    assert found == pytest.approx(asked @ turned + 3, abs=0.2)
    nobody, unknown = np.empty((0, 6), np.float32), np.empty((0, 4), np.float32)
    assert new_items.from_texts(nobody, unknown, weight[:0], np.ones((5, 6), np.float32)).tolist() == np.zeros((5, 4)).tolist()


def test_a_recommender_is_read_as_it_was_written(tmp_path: Path) -> None:
    ids = ["süß", "b", "a/7", ""]
    trained.write(
        tmp_path,
        {"positions": np.zeros((3, 2), np.float32), "heads": np.array(1)},
        np.arange(12, dtype=np.float32).reshape(4, 3),
        ids,
        np.array([0, 1, 4]),
        np.array([3, 2, 1, 0]),
    )
    found = trained.read(tmp_path)
    assert [found.item(row) for row in range(4)] == ids
    assert found.rows(["a/7", "?", "süß"]).tolist() == [2, -1, 0]
    assert (found.clusters, found.encoder.length, found.encoder.heads) == (2, 3, 1)
    assert found.starts.tolist() == [0, 1, 4]
