"""The whole policy as a step: by a table and a recommender that have seen nothing of the days."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from driftline.activities.policy import PolicyActivities
from driftline.contracts import BadInput, MeasurePolicy, RunIds, Sequences, Window
from driftline.db import measurements
from driftline.interests.recommender.replay import POLICY, RANDOM, UNRESTRICTED
from tests.activities.chain import TEST, TRAIN, Chain, onward, run
from tests.db import world
from tests.end_to_end.shop import NAMES
from tests.serving.recommender import D, add_recommender


def test_from_histories_to_items(postgres_url: str, tmp_path: Path) -> None:
    chain = Chain(postgres_url, tmp_path)
    steps = PolicyActivities(chain.resources)
    period = Window(TEST.start, TEST.start + timedelta(days=20))
    asked = MeasurePolicy(chain.source, Sequences("adjacent"), chain.cluster_set, period, RunIds("w", "r"), top=3)
    with pytest.raises(BadInput, match="no recommender"):
        run(steps.measure_policy, asked)
    vectors = np.zeros((32, D + 1), np.float32)
    vectors[:, -1] = np.tile([3, 2, 1, 0], 8) + np.repeat(np.linspace(0, 0.5, 8), 4)
    items = [f"{name}-{i}" for name in NAMES for i in range(4)]
    starts = list(range(0, 33, 4))
    made = add_recommender(chain.engine, chain.resources.home, chain.cluster_set, vectors, items, starts, begin=TRAIN.start)
    with pytest.raises(BadInput, match="no approved table"):
        run(steps.measure_policy, asked)
    table = chain.stored(onward).version
    with chain.engine.begin() as connection:
        world.evaluate(connection, table)
    measured = run(steps.measure_policy, asked)
    with chain.engine.connect() as connection:
        found = measurements.get(connection, measured.version)
    assert (found.kind, found.inputs["table"], found.inputs["recommender"]) == ("policy", table, made.version)
    arms = {arm.name: arm for arm in found.result.arms}
    assert found.result.users > 100
    assert all(0 <= arm.item.value <= 1 for arm in arms.values())
    # Customers mostly go on to the interest that the table names.
    assert arms[POLICY].interest.value >= arms[RANDOM].interest.value
    assert arms[UNRESTRICTED].items <= 32
