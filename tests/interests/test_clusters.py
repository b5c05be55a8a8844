import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from driftline.contracts import Clusters
from driftline.interests.clusters import build


def texts(topics: int, per_topic: int, seed: int = 0, noise: float = 0.2) -> NDArray[np.float32]:
    """Embeddings of `topics` tight topics, one after the other."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(topics, 16))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = np.repeat(centres, per_topic, axis=0) + random.normal(size=(topics * per_topic, 16)) * noise / 4
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def test_finds_topics_of_equal_traffic() -> None:
    cluster = build(texts(8, 20), np.ones(160, dtype=np.int64), Clusters(fan_out=(8,)))

    assert [len(set(topic)) for topic in cluster.reshape(8, 20)] == [1] * 8
    assert len(set(cluster)) == 8


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(4,), (7,), (24,), (3, 4), (2, 2, 3)]), st.sampled_from([0.2, 0.5, 1.0]))
def test_clusters_lie_within_slack_of_an_equal_share(seed: int, fan_out: tuple[int, ...], slack: float) -> None:
    random = np.random.default_rng(seed)
    rows, traffic = texts(10, 60, seed, noise=1.5), random.integers(0, 60, 600)

    cluster = build(rows, traffic, Clusters(fan_out=fan_out, slack=slack))

    n = int(np.prod(fan_out))
    share = np.bincount(cluster, traffic, n) / traffic.sum() * n
    assert np.bincount(cluster, minlength=n).min() >= 1
    assert share.min() >= 1 - slack - 1e-6
    assert share.max() <= 1 + slack + 1e-6


def test_an_embedding_that_is_no_number_is_named() -> None:
    rows = texts(4, 10)
    rows[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 of 40 embeddings are no numbers, e\.g\. that of text 3.*embedding_model"):
        build(rows, np.ones(40, np.int64), Clusters(fan_out=(4,)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_row_order_does_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, traffic = texts(6, 10, seed, noise=1.0), random.integers(0, 100, 60)
    shuffled = random.permutation(60)

    assert np.array_equal(
        build(rows, traffic, Clusters(fan_out=(6,)))[shuffled], build(rows[shuffled], traffic[shuffled], Clusters(fan_out=(6,)))
    )


@pytest.fixture
def one_core() -> Iterator[Callable[[], None]]:
    """Leaves this thread, and those that it starts, one core until the test is over."""
    cores = os.sched_getaffinity(0)
    yield lambda: os.sched_setaffinity(0, {min(cores)})
    os.sched_setaffinity(0, cores)


@pytest.mark.parametrize("fan_out", [(40,), (5, 8)])
def test_more_texts_than_a_sample_holds_are_balanced_too(fan_out: tuple[int, ...], one_core: Callable[[], None]) -> None:
    random = np.random.default_rng(3)
    rows, traffic = texts(100, 300, noise=1.5), random.lognormal(3, 2, 30_000).astype(np.int64)
    shuffled = random.permutation(30_000)

    cluster = build(rows, traffic, Clusters(fan_out=fan_out, slack=0.3))

    share = np.bincount(cluster, np.minimum(traffic, traffic.sum() / 40)) / traffic.sum() * 40
    assert len(share) == 40
    assert 0.69 < share.min() < share.max() < 1.31
    one_core()
    again = build(rows[shuffled], traffic[shuffled], Clusters(fan_out=fan_out, slack=0.3))
    assert np.array_equal(cluster[shuffled], again)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**9) | st.just(0), min_size=8, max_size=30), st.sampled_from([0.0, 0.5, 1.0]))
def test_every_cluster_has_a_text_whatever_the_traffic(traffic: list[int], slack: float) -> None:
    cluster = build(texts(len(traffic), 1), np.array(traffic, dtype=np.int64), Clusters(fan_out=(2, 4), slack=slack))

    assert set(cluster) == set(range(8))


def test_identical_embeddings_still_fill_every_cluster() -> None:
    assert set(build(np.full((9, 4), 0.5, dtype=np.float32), np.arange(9), Clusters(fan_out=(6,)))) == set(range(6))


def test_a_text_heavier_than_a_share_does_not_starve_the_others() -> None:
    traffic = np.full(100, 10)
    traffic[0] = 100_000

    cluster = build(texts(10, 10, noise=1.5), traffic, Clusters(fan_out=(10,), slack=0.5))

    load = np.bincount(cluster, traffic)
    assert cluster[0] == 0
    assert load[0] < 101_000
    assert load[1:].min() >= 40  # 99 other texts over 9 other clusters: 110 is an equal share


def test_clusters_are_numbered_along_the_tree_by_descending_traffic() -> None:
    rows, traffic = texts(12, 20, noise=1.0), np.random.default_rng(1).integers(1, 50, 240)

    flat = np.bincount(build(rows, traffic, Clusters(fan_out=(6,))), traffic)
    tree = np.bincount(build(rows, traffic, Clusters(fan_out=(3, 4))), traffic).reshape(3, 4)

    assert (np.diff(flat) <= 0).all()
    assert (np.diff(tree.sum(axis=1)) <= 0).all()
    assert (np.diff(tree, axis=1) <= 0).all()


def test_balance_costs_little_coherence_beside_plain_kmeans() -> None:
    rows, traffic = texts(40, 25, noise=1.0), np.random.default_rng(2).integers(1, 20, 1000)

    def scatter(cluster: NDArray[np.int32]) -> float:
        return sum(
            float(
                (
                    traffic[cluster == c]
                    * ((rows[cluster == c] - np.average(rows[cluster == c], 0, traffic[cluster == c])) ** 2).sum(1)
                ).sum()
            )
            for c in range(24)
        )

    plain = KMeans(24, n_init=1, random_state=0).fit(rows, sample_weight=traffic).labels_
    assert scatter(build(rows, traffic, Clusters(fan_out=(24,)))) < 1.15 * scatter(plain)


@pytest.mark.parametrize(
    ("n", "fan_out", "message"),
    [(10, (3,), "a transition needs 4 or more"), (5, (6,), r"5 distinct texts cannot fill 6.*source\.text")],
)
def test_bad_input_says_what_to_set(n: int, fan_out: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(texts(n, 1), np.ones(n, dtype=np.int64), Clusters(fan_out=fan_out))
