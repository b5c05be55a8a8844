from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.interests.samples import curate, draw_pairs, missing_labels, thin
from tests.interests.tables import Counts, counts_of, table


def test_most_frequent_pairs_of_each_label() -> None:
    samples = curate(table({(0, 1, 2): 5, (1, 0, 2): 7, (3, 0, 2): 1, (2, 3, 0): 1}), pairs_per_label=2)

    assert samples.to_pylist() == [
        {"c1": 2, "c2": 3, "c_next": 0, "n": 1},
        {"c1": 1, "c2": 0, "c_next": 2, "n": 7},
        {"c1": 0, "c2": 1, "c_next": 2, "n": 5},
    ]
    assert missing_labels(samples, 4) == [1, 3]


def test_every_interest_stands_in_both_places_of_enough_prompts() -> None:
    counts = {(0, 1, 2): 9, (1, 0, 2): 8, (0, 1, 3): 9, (1, 0, 3): 8, (3, 0, 1): 2, (3, 1, 0): 5, (3, 2, 0): 4, (2, 3, 1): 1}

    def chosen(prompts_per_interest: int) -> list[tuple[int, ...]]:
        rows = curate(table(counts), 1, prompts_per_interest).to_pylist()
        return [(row["c1"], row["c2"], row["c_next"]) for row in rows]

    papers = [(3, 1, 0), (3, 0, 1), (0, 1, 2), (0, 1, 3)]
    assert chosen(0) == papers
    # 1 and 2 are no sample's c1. Of 0, 1 and 3, which by then are a c2, 2 is still missing.
    assert chosen(1) == [*papers, (1, 0, 2), (2, 3, 1), (3, 2, 0)]
    assert set(chosen(99)) == set(counts)


def test_ties_do_not_favour_low_ids() -> None:
    tied = table({(c1, c2, 0): 1 for c1 in range(1, 40) for c2 in range(1, 40) if c1 != c2})

    c1 = curate(tied, 300)["c1"].to_pylist()
    assert 17 < sum(c1) / len(c1) < 23  # 20 if ids play no part; 4 if the lowest went first


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="widen the window"):
        curate(table({}), 10)


@given(counts_of(6).filter(bool), st.integers(1, 4))
def test_row_order_does_not_matter_and_labels_are_uniform(counts: Counts, per_label: int) -> None:
    samples = curate(table(counts), per_label)

    assert samples.equals(curate(table(dict(sorted(counts.items(), key=lambda item: (item[1], item[0][::-1])))), per_label))
    available = Counter(c for _, _, c in counts)
    assert Counter(samples["c_next"].to_pylist()) == {c: min(per_label, n) for c, n in available.items()}
    kept = {(row["c1"], row["c2"], row["c_next"]) for row in samples.to_pylist()}
    for c1, c2, c in kept:
        left_out = [n for triple, n in counts.items() if triple[2] == c and triple not in kept]
        assert counts[c1, c2, c] >= max(left_out, default=0)


def test_a_thinned_set_has_as_many_of_every_label_as_it_can() -> None:
    samples = curate(table({(c1, (c1 + 1) % 6, c): 1 for c1 in range(6) for c in range(6) if c not in (c1, (c1 + 1) % 6)}), 4)
    assert Counter(thin(samples, 12)["c_next"].to_pylist()) == dict.fromkeys(range(6), 2)
    assert thin(samples, 24).equals(samples)


def test_drawn_pairs_are_the_same_every_time_and_favour_nobody() -> None:
    drawn = draw_pairs(40, 400).to_pylist()
    assert drawn == draw_pairs(40, 400).to_pylist() == sorted(drawn, key=lambda pair: (pair["c1"], pair["c2"]))
    assert len({(pair["c1"], pair["c2"]) for pair in drawn}) == 400
    assert all(pair["c1"] != pair["c2"] for pair in drawn)
    assert all(17 < sum(pair[name] for pair in drawn) / 400 < 22 for name in ("c1", "c2"))  # 19.5 if ids play no part
    assert draw_pairs(4, 400).num_rows == 12
