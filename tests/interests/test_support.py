import numpy as np
import pytest

from driftline.interests import metrics
from driftline.interests.metrics.arms import arm_id, arm_label, setting_of, sweep_arm, sweep_of
from driftline.interests.metrics.frontier import frontier
from driftline.interests.metrics.support import level_of
from tests.interests.tables import table


def test_support_and_levels_by_hand() -> None:
    """(0,1) was seen 6 times, (1,2) once, and no other pair."""
    found = metrics.support(table({(0, 1, 2): 4, (0, 1, 3): 2, (1, 2, 3): 1}), 4)
    assert found.tolist() == [6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert level_of(np.array([0, 1, 5, 6, 20, 21, 10**9])).tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_frontier_by_hand() -> None:
    """b has more recall, c answers more clusters, a lies below b on both, and d equals c."""
    a, b, c, d = (0.05, 8.0), (0.08, 9.0), (0.04, 20.0), (0.04, 20.0)
    assert frontier({"a": a, "c": c, "b": b, "d": d}) == ("b", "c", "d")
    assert frontier({"a": a}) == ("a",)
    assert frontier({}) == ()


@pytest.mark.parametrize("setting", [0.0, 0.5, -1.25, 2.0])
def test_an_arm_of_a_sweep_has_its_setting_in_its_name(setting: float) -> None:
    label = sweep_arm("blend", setting)
    assert (sweep_of(label), setting_of(label), arm_label(arm_id(label))) == ("blend", setting, label)
    assert (setting_of("blend"), sweep_of("blend")) == (None, "blend")
