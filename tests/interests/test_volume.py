from itertools import pairwise

import numpy as np
import pytest

from driftline.interests.metrics import volume
from driftline.interests.metrics.successors import jaccard, ranked
from driftline.interests.metrics.volume import HALVINGS, RUNGS, Unevenness, add_unevenness, expected, no_unevenness
from driftline.interests.pairs import Ints, pairs
from driftline.interests.triples import Triples


def ints(*values: int) -> Ints:
    return np.array(values, dtype=np.int64)


def halves(n_clusters: int, size: int, seed: int = 0) -> tuple[Triples, Triples, tuple[Ints, Ints]]:
    """Two samples of `size` occurrences of every pair, of one skewed distribution per pair."""
    rng = np.random.default_rng(seed)
    c1, c2 = pairs(n_clusters)
    likely = np.exp(rng.normal(size=(len(c1), n_clusters)))
    likely[np.arange(len(c1)), c1] = likely[np.arange(len(c1)), c2] = 0
    drawn = [rng.multinomial(size, likely / likely.sum(axis=1, keepdims=True)) for _ in range(2)]
    row, c_next = np.nonzero(drawn[0] + drawn[1])
    a, b = (Triples(c1[row], c2[row], c_next, n[row, c_next]) for n in drawn)
    return a, b, (drawn[0].sum(axis=0), drawn[1].sum(axis=0))


def measured(n_clusters: int, size: int, seed: int = 0) -> Unevenness:
    found = no_unevenness()
    a, b, totals = halves(n_clusters, size, seed)
    add_unevenness(found, a, b, totals, 5, n_clusters, np.random.default_rng(seed))
    return found


def test_expected_by_hand() -> None:
    """Samples of 8 to 15: 0.01 at the ratio 2, 0.04 at 4, 0.18 at 8, so the factors of log2² are 0.01, 0.01 and 0.02."""
    found = np.zeros((RUNGS, HALVINGS, 2))
    found[3] = [[0.1, 10], [0.4, 10], [1.8, 10]]
    got = expected(found, ints(8, 8, 2, 8, 1), ints(8, 4, 8, 1, 15))

    assert got.tolist() == pytest.approx([0, 0.01, 0.04, 0.18, 0.18])  # 1 to 15 counts as 1 to 8
    assert expected(found, ints(12), ints(3)).tolist() == pytest.approx([0.04])
    assert expected(found, ints(500), ints(250)).tolist() == pytest.approx([0.01])  # the nearest size that was measured


def test_without_measurements_nothing_is_corrected() -> None:
    assert expected(np.zeros((RUNGS, HALVINGS, 2)), ints(8), ints(1)).tolist() == [0.0]


def test_thinning_draws_exactly_and_from_the_draw_before() -> None:
    n, place = ints(10, 6, 3, 40, 1), ints(0, 0, 1, 2, 2)
    levels = volume._thinned(n, place, ints(12, 3, 20), np.random.default_rng(0))

    assert [np.bincount(place, level).tolist() for level in levels] == [[12, 3, 20], [6, 1, 10], [3, 0, 5], [1, 0, 2]]
    assert (levels[0] <= n).all()
    assert all((after <= before).all() for before, after in pairwise(levels))


def test_one_possible_successor_is_never_uneven() -> None:
    found = measured(3, 40)

    assert found["frequency"][5, :, 1].tolist() == [6, 6, 6]  # 32 to 63 occurrences, six pairs, three halvings
    assert found["frequency"][..., 0].sum() == 0
    assert found["lift"][..., 0].sum() == 0


def test_predicts_what_fresh_samples_of_unequal_size_lose() -> None:
    """Of samples of 40 and of 10: the mean of the two equal comparisons less the unequal one, over some 25 000 pairs."""
    clusters, k = 12, 5
    truth, predicted = [], no_unevenness()
    for seed in range(96):
        (a, b, _), (small_a, small_b, _) = halves(clusters, 40, seed), halves(clusters, 10, seed)
        lists = [ranked(s, ints(*[1] * clusters), "frequency", s.pair(clusters), 132, k) for s in (a, b, small_a, small_b)]
        large, other_large, small, other_small = lists
        equal = jaccard(large, other_large) + jaccard(small, other_small)
        truth.append(float((equal - jaccard(large, other_small) - jaccard(other_large, small)).mean() / 2))
        for ranking, more in measured(clusters, 40, seed).items():
            predicted[ranking] += more
    got = expected(predicted["frequency"], ints(40), ints(10))[0]

    assert np.mean(truth) > 0.01
    assert got == pytest.approx(np.mean(truth), abs=0.003)


def test_chunks_measure_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 20 draws of 56 pairs each: the number, and the mean within four standard errors."""
    whole = [measured(8, 20, seed)["lift"] for seed in range(20)]
    monkeypatch.setattr(volume, "TOGETHER", 100)
    parts = [measured(8, 20, seed)["lift"] for seed in range(20)]

    assert np.array_equal(parts[0][..., 1], whole[0][..., 1])
    assert np.sum(parts, 0)[4, 1, 0] / 1120 == pytest.approx(np.sum(whole, 0)[4, 1, 0] / 1120, abs=4 * 0.25 / 1120**0.5)


def test_a_sample_is_halved_while_something_is_left() -> None:
    assert all(found[..., 1].sum() == 0 for found in measured(6, 1).values())
    assert measured(6, 3)["lift"][1, :, 1].tolist() == [30, 0, 0]  # 3 → 1, and no further


def test_no_triples_at_all() -> None:
    found, none = no_unevenness(), Triples(*(ints() for _ in range(4)))
    add_unevenness(found, none, none, (ints(0, 0, 0), ints(0, 0, 0)), 5, 3, np.random.default_rng(0))

    assert found["frequency"].sum() == 0
