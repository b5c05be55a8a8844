import numpy as np
import pytest

from driftline.contracts import Clusters
from driftline.interests.centres import ROWS, centres, nearest
from driftline.interests.clusters import build
from tests.interests.test_clusters import texts

E = np.eye(3, dtype=np.float32)


def test_a_centre_is_the_mean_of_its_texts_weighted_by_traffic() -> None:
    """Traffic 3 : 1 of two orthogonal texts; the share of four clusters is 25, so that no text is cut to one share."""
    embeddings = np.stack([E[0], E[1], E[2], E[2], E[0]])
    cluster, traffic = np.array([0, 0, 1, 3, 3], np.int32), np.array([3, 1, 4, 4, 4])
    known, middles = centres(embeddings, cluster, traffic, 4)
    assert known.tolist() == [0, 1, 3]  # nobody has a text in 2
    assert middles.dtype == np.float32
    expected = [[3, 1, 0] / np.sqrt(10), [0, 0, 1], [1, 0, 1] / np.sqrt(2)]
    np.testing.assert_allclose(middles, expected, atol=1e-6)


def test_texts_without_traffic_have_a_centre_all_the_same() -> None:
    known, middles = centres(np.stack([E[0], E[1]]), np.array([0, 0], np.int32), np.array([0, 0]), 4)
    np.testing.assert_allclose(middles, [[1 / np.sqrt(2), 1 / np.sqrt(2), 0]], atol=1e-6)
    assert known.tolist() == [0]


def test_the_nearest_centre_by_cosine_and_of_equals_the_first() -> None:
    clusters, middles = np.array([2, 5], np.int32), E[:2]
    items = np.stack([E[1], [0.8, 0.6, 0], [0.6, 0.6, np.sqrt(0.28)]]).astype(np.float32)
    found, cosine = nearest(items, clusters, middles)
    assert found.tolist() == [5, 2, 2]
    np.testing.assert_allclose(cosine, [1, 0.8, 0.6], atol=1e-6)


def test_new_items_of_a_topic_come_to_the_cluster_that_has_it() -> None:
    """More than are worked on at once; every second text of eight tight topics is new."""
    per_topic = 2 * ROWS // 8 + 10
    embeddings = texts(8, per_topic)
    old, new = embeddings[::2], embeddings[1::2]
    traffic = np.ones(len(old), np.int64)
    cluster = build(old, traffic, Clusters(fan_out=(8,)))
    found, _ = nearest(new, *centres(old, cluster, traffic, 8))
    assert (found == cluster).all()


def test_what_cannot_be_compared_says_why() -> None:
    with pytest.raises(ValueError, match=r"check source\.catalogue_item"):
        nearest(E, np.empty(0, np.int32), np.empty((0, 0), np.float32))
    with pytest.raises(ValueError, match="embedding model is another one"):
        nearest(E, np.array([0], np.int32), np.ones((1, 4), np.float32))
