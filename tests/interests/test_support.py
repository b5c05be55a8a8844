import pytest
from hypothesis import given

from driftline.interests import metrics
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.frontier import Point, frontier
from driftline.interests.metrics.support import recall_by_support
from tests.interests.tables import Counts, counts_of, table
from tests.interests.test_metrics import mapping


def test_recall_by_support_by_hand() -> None:
    """(0,1) was seen 6 times, (1,2) once, (2,3) never; the mapping is right on 3 of 4, 1 of 2 and 0 of 1 of what follows."""
    counts = table({(0, 1, 2): 4, (0, 1, 3): 2, (1, 2, 3): 1})
    test = table({(0, 1, 2): 3, (0, 1, 3): 1, (1, 2, 3): 1, (1, 2, 0): 1, (2, 3, 1): 1})
    found = recall_by_support({"ours": mapping({(0, 1): 2, (1, 2): 3, (2, 3): 0}, 4)}, counts, test, 4)

    assert [(level.low, level.high) for level in found] == [(0, 0), (1, 5), (6, 20), (21, None)]
    assert [level.pairs for level in found] == [10, 1, 1, 0]
    assert [level.triples for level in found] == [1, 2, 4, 0]
    assert [level.recalls["ours"].value for level in found] == [0.0, 0.5, 0.75, None]


@given(counts_of(5, max_n=30), counts_of(5))
def test_levels_add_up_to_the_recall(counts: Counts, test: Counts) -> None:
    ours = mapping({}, 5)
    levels = recall_by_support({"ours": ours}, table(counts), table(test), 5)
    whole = metrics.recall(ours, table(test), 5)

    assert sum(level.pairs for level in levels) == 20
    assert sum(level.triples for level in levels) == whole.n
    assert sum((level.recalls["ours"].value or 0) * level.triples for level in levels) == pytest.approx(whole.hits)


def test_frontier_by_hand() -> None:
    """b has more recall, c answers more clusters, a lies below b on both, and d equals c."""

    def point(arm: str, recall: float, effective: float) -> Point:
        return Point(arm, None, Estimate(recall, None, None, 1), effective)

    a, b, c, d = point("a", 0.05, 8), point("b", 0.08, 9), point("c", 0.04, 20), point("d", 0.04, 20)
    assert frontier([a, c, b, d]) == (b, c, d)
    assert frontier([a]) == (a,)
    assert frontier([]) == ()
