"""A measurement's inputs say what computed the answers that it compares."""

from dataclasses import asdict, replace

from driftline.activities.measurements import _computed
from driftline.contracts import MappingRef
from tests.db.world import COMPUTED


def test_each_kind_of_machine_is_named_once() -> None:
    one = MappingRef("file:///one", "1", 30, 30, computed=COMPUTED)
    other = replace(one, computed=replace(COMPUTED, precision="float32"))
    before = replace(one, computed=None)
    assert _computed([one, before, other, one]) == [asdict(COMPUTED), asdict(other.computed)]  # type: ignore[arg-type]
    assert _computed([before]) == []
