"""Two tables compared: by hand, and how much work 578,360 pairs are."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from driftline.commands import output
from driftline.operations import changes
from driftline.operations.context import Context
from driftline.settings import Settings
from tests.db import world


@pytest.fixture
def context(postgres_url: str) -> Iterator[Context]:
    made = Context(Settings(postgres_url=postgres_url, temporal_address="127.0.0.1:1"))
    yield made
    made.engine.dispose()


@pytest.mark.parametrize("at_once", [1, 2, 8_192])
def test_every_difference_is_listed_with_names(context: Context, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(output, "ROWS_AT_ONCE", at_once)
    with context.engine.begin() as connection:
        a, b = world.add_table(connection), world.add_table(connection, day=1, shift=1)
    found = changes.differences(context, a, b)
    assert (found.pairs, found.changed, found.share) == (12, 3, 0.25)
    written = json.loads("".join(output.rows_json({"changed": 3}, found.columns(), found.names)))
    assert (written["changed"], len(written["rows"])) == (3, 3)
    assert written["rows"][0] == {
        "c1": 0,
        "c1_name": "tea",
        "c2": 1,
        "c2_name": "milk",
        "a_next": 2,
        "a_name": "rice",
        "b_next": 3,
        "b_name": "soap",
    }
    same = changes.differences(context, a, a)
    assert json.loads("".join(output.rows_json({"changed": 0}, same.columns(), same.names))) == {"changed": 0, "rows": []}
    with pytest.raises(ValueError, match="no transition table 99999"):
        changes.differences(context, a, 99999)


def test_names_are_written_as_json_writes_them() -> None:
    names = ('say "hi"', "back\\slash", "käse \x1b[31m \u202e")
    columns = {"c1": np.array([0, 1]), "c2": np.array([1, 2]), "a": np.array([2, 0]), "b": np.array([2, 2])}
    written = "".join(output.rows_json({"changed": 2}, columns, names))
    assert [row["c2_name"] for row in json.loads(written)["rows"]] == ["back\\slash", names[2]]
    assert "\x1b" not in written
    assert "\u202e" not in written


def test_761_clusters_are_compared_without_a_python_object_for_each_pair(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of 578,360 pairs changes. By work: what Python holds at its peak, and how many values are written one by one."""
    with context.engine.begin() as connection:
        a, b = world.add_large_table(connection, 10**9), world.add_large_table(connection, 4)
    tracemalloc.start()
    found = changes.differences(context, a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.numbers) > found.pairs // 5
    assert peak < 60 * found.pairs, "arrays of a few bytes a pair; a row of Python's would take hundreds"
    dumped: list[object] = []
    dumps = json.dumps

    def counting(value: object, **more: Any) -> str:
        dumped.append(value)
        return dumps(value, **more)

    monkeypatch.setattr(json, "dumps", counting)
    written = "".join(output.rows_json({"changed": found.changed}, found.columns(), found.names))
    assert len(dumped) == len(found.names) + 1
    assert written.count('"a_next"') == len(found.numbers)
