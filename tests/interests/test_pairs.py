"""The number of an ordered pair, by the pairs written out one by one."""

import numpy as np
import pytest

from driftline.interests.pairs import pair_count, pair_number, pairs, pairs_of


@pytest.mark.parametrize("n_clusters", [0, 1, 2, 3, 7])
def test_pairs_are_numbered_by_ascending_c1_and_c2(n_clusters: int) -> None:
    written_out = [(c1, c2) for c1 in range(n_clusters) for c2 in range(n_clusters) if c1 != c2]
    c1, c2 = pairs(n_clusters)
    assert list(zip(c1.tolist(), c2.tolist(), strict=True)) == written_out
    assert pair_count(n_clusters) == len(written_out)
    assert pair_number(c1, c2, n_clusters).tolist() == list(range(len(written_out)))
    assert [pair_number(a, b, n_clusters) for a, b in written_out] == list(range(len(written_out)))
    assert [c.tolist() for c in pairs_of(np.arange(len(written_out)), n_clusters)] == [c1.tolist(), c2.tolist()]


def test_narrow_ids_do_not_overflow() -> None:
    assert pair_number(np.array([760], np.int16), np.array([759], np.int16), 761).tolist() == [760 * 760 + 759]
