"""Stored results are read by the code of after: one of each kind and format, as an earlier release stored it, is kept here."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import Connection, text

from driftline.contracts import MeasurementKind, Retrieval
from driftline.db import experiments, measurements, recommenders, results, schema, tables
from driftline.interests.metrics import arms
from driftline.interests.metrics.moved import Moved
from driftline.report import sentences
from tests.db import world
from tests.report import experiment_examples, measured
from tests.serving import recommender as recommender_examples

STORED = sorted((Path(__file__).parent / "results").glob("format_*/*.json"))


def read(path: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_stored_result_is_read_and_says_the_same_when_it_is_stored_again(path: Path) -> None:
    kind: Any = path.stem
    found = results.load(kind, read(path))
    assert isinstance(found, results.RESULTS[kind])
    again = results.dump(found)
    assert again["format"] == results.FORMAT
    assert results.load(kind, again) == found


def test_every_kind_and_format_is_kept() -> None:
    kept = {(path.parent.name, path.stem) for path in STORED}
    every = {(f"format_{n}", kind) for n in range(1, results.FORMAT + 1) for kind in get_args(MeasurementKind)}
    assert kept == every - {("format_1", "names"), ("format_1", "policy")}  # nobody stored one


def test_an_arm_is_stored_by_its_id_and_read_by_its_label() -> None:
    old = results.load("refresh", read(STORED[0].parents[1] / "format_1" / "refresh.json"))
    stored = results.dump(old)
    assert [arm["name"] for arm in stored["arms"]][:3] == ["no_rag", "rag_fixed", "rag_renewed"]
    assert {d["a"] for d in stored["differences"]} == {"rag_renewed"}
    assert [arm.name for arm in old.arms][:3] == [arms.NO_RAG, arms.RAG_FIXED, arms.RAG_RENEWED]


def test_ids_and_labels_are_each_others_way_back() -> None:
    retrievals = [Retrieval(), Retrieval(top_k=3, similarity="trend"), Retrieval(granularity="global")]
    labels = [arms.TABLE, arms.NO_RAG, arms.FREQUENT, arms.FREQUENT_RENEWED, *map(arms.retrieval_arm, retrievals)]
    assert [arms.arm_label(arms.arm_id(label)) for label in labels] == labels
    assert [arms.arm_id(label) for label in labels[-3:]] == ["instance_frequency_1", "instance_trend_3", "global_frequency_100"]
    assert arms.arm_id("blend") == arms.arm_label("blend") == "blend"


def test_a_result_of_a_newer_release_is_refused_by_name() -> None:
    with pytest.raises(RuntimeError, match=r"format 99, this release reads up to \d: update it"):
        results.load("drift", {"format": 99})


def test_a_stored_result_of_an_experiment_is_read(conn: Connection) -> None:
    name = experiment_examples.RECORDED.name
    experiments.register(conn, experiment_examples.RECORDED.design, world.RUN)
    stored = {"name": name, "result": (STORED[0].parents[1] / "experiment_1.json").read_text()}
    conn.execute(
        text(
            "INSERT INTO experiment_measurement (key, experiment, days, mismatch, result, workflow_id, run_id) "
            "VALUES ('old', :name, 2, false, cast(:result AS jsonb), 'w', 'r')"
        ),
        stored,
    )
    found = experiments.newest(conn, name)
    assert found
    assert found.result == experiment_examples.RESULT


@pytest.fixture
def recommender(conn: Connection) -> Callable[[dict[str, Any]], int]:
    """Puts a recommender on record of which this was measured."""
    request = recommender_examples.request(tables.get(conn, world.add_table(conn)).cluster_set)
    about: dict[str, Any] = {"recipe": {}, "items": 3, "new_items": 0, "popularity": 0.0, "metrics": {}, "measured": {}}
    made = recommenders.add(conn, request, uri="file:///a", digest="a", **about).version
    names = [
        column.name for column in schema.recommender.columns if column.name not in ("version", "created_at", "key", "measured")
    ]

    def add(measured: dict[str, Any]) -> int:
        columns = ", ".join(names)
        query = (
            f"INSERT INTO recommender ({columns}, key, measured) SELECT {columns}, gen_random_uuid(), cast(:measured AS jsonb) "
            "FROM recommender WHERE version = :made RETURNING version"
        )
        version: int = conn.execute(text(query), {"made": made, "measured": json.dumps(measured)}).scalar_one()
        return version

    return add


def test_what_was_measured_of_a_recommender_is_read_also_of_before_it_had_a_format(
    conn: Connection, recommender: Callable[[dict[str, Any]], int]
) -> None:
    stored = read(STORED[0].parents[1] / "recommender_1.json")
    assert "format" not in stored
    for form in ({}, {"format": recommenders.FORMAT}):
        found = recommenders.get(conn, recommender(form | stored)).measured
        assert set(found) == {"within the interest", "all items"}
        assert [arm.name for arm in found["all items"].arms][:2] == ["sequence", "most popular"]
    newer = recommender({"format": 99} | stored)
    with pytest.raises(RuntimeError, match=r"format 99, this release reads up to 1"):
        recommenders.get(conn, newer)


class TestViews:
    @pytest.fixture
    def conn(self, conn: Connection) -> Connection:
        """A refresh of format 1, as a database of before has it, one of today, a drift and a quality."""
        table = tables.get(conn, world.add_table(conn))
        kinds: tuple[MeasurementKind, ...] = ("refresh", "drift", "quality")
        for kind in kinds:
            result = results.load(kind, read(STORED[0].parents[1] / "format_1" / f"{kind}.json"))
            subject = table.version if kind == "quality" else None
            measurements.add(
                conn, kind=kind, cluster_set=table.cluster_set, table=subject, inputs={}, result=result, run=world.RUN
            )
        old = {"set": table.cluster_set, "result": (STORED[0].parents[1] / "format_1" / "retrieval.json").read_text()}
        conn.execute(
            text(
                "INSERT INTO measurement (key, kind, cluster_set, inputs, result, workflow_id, run_id) "
                "VALUES ('old', 'retrieval', :set, '{}', cast(:result AS jsonb), 'w', 'r')"
            ),
            old,
        )
        return conn

    def test_a_row_per_day_and_arm(self, conn: Connection) -> None:
        rows = conn.execute(text("SELECT * FROM measured_day WHERE kind = 'refresh' AND arm = 'rag_renewed' ORDER BY day")).all()
        stored = read(STORED[0].parents[1] / "format_1" / "refresh.json")
        daily = next(arm["daily"] for arm in stored["arms"] if arm["name"] == arms.RAG_RENEWED)
        assert [row.day.isoformat() for row in rows] == stored["days"]
        assert [(row.hit_rate, row.low, row.high, row.users) for row in rows] == [tuple(day.values()) for day in daily]
        assert [row.chance for row in rows] == stored["daily_chance"]

    def test_labels_of_before_are_ids(self, conn: Connection) -> None:
        found = conn.execute(text("SELECT arm FROM measured_arm WHERE kind = 'retrieval' ORDER BY arm")).scalars().all()
        assert found == ["global_trend_100", "instance_frequency_1", "no_rag"]
        labels = [arm["name"] for arm in read(STORED[0].parents[1] / "format_1" / "retrieval.json")["arms"]]
        assert found == sorted(map(arms.arm_id, labels))

    def test_a_row_per_arm_of_a_table(self, conn: Connection) -> None:
        found = conn.execute(text("SELECT arm, hit_rate, chance FROM measured_arm WHERE table_version IS NOT NULL")).all()
        hits = read(STORED[0].parents[1] / "format_1" / "quality.json")["hits"]
        assert {row.arm for row in found} == {"table", "popular", "frequent"}
        assert {row.chance for row in found} == {hits["chance"]}

    def test_a_row_per_arm_of_a_frontier_and_per_support(self, conn: Connection) -> None:
        """Of results that have one; those of before are read, and are in neither view."""
        cluster_set = conn.execute(text("SELECT max(version) FROM cluster_set")).scalar_one()
        hits = measured.hits({arms.RAG_RENEWED: 0.3, arms.POPULAR: 0.33, arms.sweep_arm("blend", 0.5): 0.35}, {})
        made = measurements.add(conn, kind="refresh", cluster_set=cluster_set, inputs={}, result=hits, run=world.RUN)
        assert measurements.get(conn, made.version).result == hits

        rows = conn.execute(text("SELECT * FROM measured_frontier ORDER BY arm")).all()
        assert {row.measurement for row in rows} == {made.version}
        assert [row.arm for row in rows] == ["blend_0.5", "popular", "rag_renewed"]
        by_label = {arms.arm_id(arm.name): arm for arm in hits.arms}
        for row in rows:
            arm = by_label[row.arm]
            assert arm.recall
            assert arm.uptake
            assert (row.recall, row.recall_low, row.recall_high) == (arm.recall.value, arm.recall.low, arm.recall.high)
            assert (row.effective_clusters, row.novel, row.uptake) == (arm.effective_clusters, arm.novel.value, arm.uptake.value)
            assert (row.uptake_chance, row.triples) == (hits.uptake_chance, hits.triples)
        unbeaten = [{arms.arm_id(arm) for arm in line.arms} for line in hits.frontiers]
        assert [
            {row.arm for row in rows if row.unbeaten_in_spread},
            {row.arm for row in rows if row.unbeaten_in_novelty},
        ] == unbeaten
        assert unbeaten[0] != {row.arm for row in rows}

        levels = conn.execute(text("SELECT * FROM measured_support WHERE arm = 'popular' ORDER BY seen_from")).all()
        assert [(row.seen_from, row.seen_to) for row in levels] == [(0, 0), (1, 5), (6, 20), (21, None)]
        own = [next(arm for arm in level.arms if arm.name == arms.POPULAR) for level in hits.levels]
        assert [(row.recall, row.hit_rate_high) for row in levels] == [(arm.recall.value, arm.rate.high) for arm in own]

    def test_a_row_per_lag(self, conn: Connection) -> None:
        rows = conn.execute(text("SELECT * FROM measured_lag WHERE ranking = 'frequency' ORDER BY lag")).all()
        (curve,) = (c for c in read(STORED[0].parents[1] / "format_1" / "drift.json")["curves"] if c["ranking"] == "frequency")
        assert [(row.lag, row.drift, row.low, row.high) for row in rows] == [
            (lag["lag"], lag["drift"]["value"], lag["drift"]["low"], lag["drift"]["high"]) for lag in curve["lags"]
        ]

    @pytest.mark.parametrize(
        "ps", [(0.02, 0.02, 0.001, 0.9, 0.012), (0.03, 0.02, 0.04, 0.05, 0.06), (0.01, 0.015, 0.01, 0.02, 0.045)]
    )
    def test_lags_say_what_the_report_says(self, conn: Connection, ps: tuple[float, ...]) -> None:
        """Every lag its own p, of which the report tests all together; one that is known of too few sixteenths is no test."""
        made = measured.shares(0.08, 0.01, 0.01)
        (frequency, lift) = made.curves
        of = zip(frequency.lags, ps, (16, 16, 9, 16, 16), strict=True)
        lags = tuple(replace(lag, moved=Moved(replace(lag.moved.share, n=n), p)) if lag.moved else lag for lag, p, n in of)
        made = replace(made, curves=(replace(frequency, lags=lags), lift))
        cluster_set = conn.execute(text("SELECT max(version) FROM cluster_set")).scalar_one()
        stored = measurements.add(conn, kind="drift", cluster_set=cluster_set, inputs={}, result=made, run=world.RUN)

        asked = text("SELECT * FROM measured_lag WHERE measurement = :version AND ranking = :ranking ORDER BY lag")
        for curve in made.curves:
            rows = conn.execute(asked, {"version": stored.version, "ranking": curve.ranking}).all()
            beyond = sentences.moved_at(sentences.known_lags(made, curve.ranking))
            assert [row.lag for row in rows if row.beyond_noise] == [lag.lag for lag in beyond]
            shares = [lag.moved.share for lag in curve.lags if lag.moved]
            assert [(row.share, row.share_low, row.share_high) for row in rows] == [(s.value, s.low, s.high) for s in shares]

    def test_lags_of_before_are_read_by_the_overlap(self, conn: Connection) -> None:
        rows = conn.execute(text("SELECT * FROM measured_lag")).all()
        assert rows
        assert [(row.p, row.share, row.beyond_noise) for row in rows] == [
            (None, pytest.approx(row.drift / row.ceiling), row.low > 0) for row in rows
        ]
