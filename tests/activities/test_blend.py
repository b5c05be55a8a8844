"""Counts answer, alone or with an LLM's scores; what is fitted is fitted on days that neither has seen."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine
from temporalio.testing import ActivityEnvironment

from driftline.activities.blend import BlendActivities
from driftline.activities.resources import Resources
from driftline.contracts import AnsweredRef, AnswerPairs, MappingRef, Window
from driftline.db import counts as db_counts
from driftline.db.connection import connect
from driftline.interests.counting_model import fit_strengths, shrunk_strengths
from driftline.interests.pairs import pairs
from driftline.interests.scores import Scores
from tests.db import world
from tests.interests.drawn import World

SIZE = 8


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    own = connect(postgres_url)
    yield own
    own.dispose()


class Steps:
    """Three windows of a drawn log, and an LLM that knows what each pair pulls to, as an artifact."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.drawn = World(SIZE, seed=1, pair=1.5)
        self.resources = Resources(engine, folder / "home")
        with engine.begin() as connection:
            self.cluster_set = world.add_clusters(connection, [f"c{n}" for n in range(SIZE)])
            self.known, self.validation, self.all = (self._count(connection, n, day) for n, day in ((80, 0), (900, 60), (90, 0)))
            self.model = world.add_model(connection, self.cluster_set, self.known)
            self.later_model = world.add_model(connection, self.cluster_set, self.validation, "later")
        self.mapping = self._mapping(self.drawn.llm(1.0))

    def answer(self, answers: Any, **asked: Any) -> AnsweredRef:
        request = AnswerPairs(answers, self.all, self.known, self.validation, **asked)
        ref: AnsweredRef = ActivityEnvironment().run(BlendActivities(self.resources).answer_pairs, request)
        return ref

    def table(self, ref: AnsweredRef) -> pa.Table:
        return pq.read_table(self.resources.artifacts.find(ref.uri, ref.hash) / "answers.parquet")

    def _count(self, connection: Any, n: int, day: int) -> int:
        window = Window(world.START + timedelta(days=day), world.START + timedelta(days=day + 60))
        about: dict[str, Any] = {"cluster_set": self.cluster_set, "window": window, "dedup": "first", "predicate": "true"}
        return db_counts.add(connection, **about, counts=self.drawn.draw(n), events=1, users=1, dropped={}).version

    def _mapping(self, scores: Scores) -> MappingRef:
        c1, c2 = pairs(SIZE)
        columns = {"c1": c1, "c2": c2, "c_next": scores.answer[:, 0]}
        mapping = pa.table({name: pa.array(column.astype(np.int32)) for name, column in columns.items()})
        mapping = mapping.append_column("exact", pa.array([True] * len(c1))).append_column("free", pa.nulls(len(c1), pa.string()))
        with self.resources.artifacts.folder() as folder:
            pq.write_table(mapping, folder / "mapping.parquet")
            beside = {"answer": pa.array(scores.answer.astype(np.int32).tolist(), pa.list_(pa.int32()))}
            beside |= {"log_p": pa.array(scores.log_p.tolist(), pa.list_(pa.float32())), "log_rest": pa.array(scores.log_rest)}
            pq.write_table(pa.table(beside), folder / "scores.parquet")
            return MappingRef(*self.resources.artifacts.store("mappings", folder), rows=len(c1), exact=len(c1))


@pytest.fixture
def steps(engine: Engine, tmp_path: Path) -> Steps:
    return Steps(engine, tmp_path)


def test_a_blend_uses_an_llm_that_knows_and_keeps_what_it_says_alone(steps: Steps) -> None:
    counted, blended = steps.answer("counts"), steps.answer("blend", mapping=steps.mapping, model=steps.model)
    assert set(counted.weights) == {"strength", "single"}
    alpha = blended.weights["llm"]
    assert alpha.low is not None
    assert alpha.low > 0
    table = steps.table(blended)
    assert table.column_names == ["c1", "c2", "c_next", "score", "llm_next", "exact", "free"]
    test = steps.drawn.draw(20_000)

    def recall(column: pa.ChunkedArray) -> float:
        dense = steps.drawn.dense(test)
        return float(dense[np.arange(len(dense)), column.to_numpy()].sum() / dense.sum())

    ours = recall(table["c_next"])
    assert ours > 1.04 * recall(steps.table(counted)["c_next"])
    assert ours > recall(table["llm_next"])
    assert steps.answer("blend", mapping=steps.mapping) == blended  # the same again


def test_a_run_chooses_strengths_as_when_it_began(steps: Steps) -> None:
    with steps.resources.engine.connect() as connection:
        known, validation = (db_counts.read(connection, version) for version in (steps.known, steps.validation))
    for asked, fit in (({}, fit_strengths), ({"fitting": 2}, shrunk_strengths)):
        strengths, found = fit(known, validation, SIZE), steps.answer("counts", **asked).weights
        assert (found["strength"].value, found["single"].value) == (strengths.pair, strengths.single)
    assert fit_strengths(known, validation, SIZE) != shrunk_strengths(known, validation, SIZE)


def test_a_run_shrinks_its_blend_if_it_began_so(steps: Steps) -> None:
    before, after = (steps.answer("blend", mapping=steps.mapping, fitting=fitting).weights for fitting in (2, 3))
    assert before["llm_used"].value == before["llm"].value
    assert after["llm_used"].value == after["llm"].low
    assert before["llm"] != after["llm"]  # of smoothed scores
    assert steps.answer("counts", fitting=2) == steps.answer("counts", fitting=3)


def test_a_model_that_has_seen_the_days_that_fit_is_refused(steps: Steps) -> None:
    with pytest.raises(ValueError, match=r"has learned from days up to .*lower validation_days"):
        steps.answer("blend", mapping=steps.mapping, model=steps.later_model)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda steps, folder: (folder / "scores.parquet").unlink(), "set generation.scores"),
        (
            lambda steps, folder: setattr(steps, "validation", steps.none),
            "validation window of this table of blend has no triple",
        ),
    ],
)
def test_what_lacks_is_said(steps: Steps, engine: Engine, tmp_path: Path, spoil: Callable[[Any, Path], Any], said: str) -> None:
    with engine.begin() as connection:
        steps.none = steps._count(connection, 0, 300)  # type: ignore[attr-defined]
    with steps.resources.artifacts.folder() as folder:
        for name in ("mapping.parquet", "scores.parquet"):
            source = steps.resources.artifacts.find(steps.mapping.uri) / name
            (folder / name).write_bytes(source.read_bytes())
        spoil(steps, folder)
        spoilt = MappingRef(*steps.resources.artifacts.store("mappings", folder), rows=56, exact=56)
    with pytest.raises(ValueError, match=said):
        steps.answer("blend", mapping=spoilt)
