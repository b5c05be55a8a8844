"""What is read of an experiment, against users counted one by one in plain Python; and the hash of `serve` in SQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.contracts import BadInput, Experiment, ExperimentInput, Metric
from driftline.interests.assignment import channel_of
from driftline.interests.experiments.moments import Moments, moments_of
from driftline.sources.exposures import arm_by_hash, read_before, read_days

START = datetime(2026, 3, 2, tzinfo=UTC)
WEIGHTS = {"control": 0.5, "treatment": 0.5}
METRICS = {"satisfied": Metric("liked"), "rate": Metric("liked", per="asked", good="up")}
DAYS = 5


def write(folder: Path, users: int = 60, seed: int = 0) -> ExperimentInput:
    """Outcomes at odd times, before and after each user's first exposure."""
    rng = np.random.default_rng(seed)
    shown: list[dict[str, object]] = []
    did: list[dict[str, object]] = []
    for user in range(users):
        first = START + timedelta(hours=float(rng.uniform(0, 24 * DAYS)))
        arm = "treatment" if user % 2 else "control"
        shown += [{"user": f"u{user}", "ts": first + timedelta(hours=4 * again), "arm": arm} for again in range(3)]
        for _ in range(rng.integers(0, 12)):
            when = START + timedelta(hours=float(rng.uniform(-24 * 7, 24 * DAYS)))
            did.append({"user": f"u{user}", "ts": when, "liked": float(rng.integers(0, 3)), "asked": float(rng.integers(0, 4))})
    shown.append({"user": "u0", "ts": START + timedelta(hours=1), "arm": "treatment"})  # u0 was shown both
    shown.append({"user": None, "ts": START, "arm": "treatment"})
    did.append({"user": "stranger", "ts": START, "liked": 1.0, "asked": 1.0})
    pq.write_table(pa.Table.from_pylist(shown), folder / "exposures.parquet")
    pq.write_table(pa.Table.from_pylist(did), folder / "outcomes.parquet")
    experiment = Experiment(
        exposures=str(folder / "exposures.parquet"),
        outcomes=str(folder / "outcomes.parquet"),
        arm="arm",
        metrics=METRICS,
        days_before=7,
    )
    return ExperimentInput("rag", experiment, START, WEIGHTS, "salt")


def one_by_one(folder: Path, arm: str, upto: int, only: int | None = None, rate: bool = False) -> Moments:
    """Of the first `upto` days; `only`: outcomes of that day."""
    shown, did = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("exposures", "outcomes"))
    end = START + timedelta(days=upto)
    rows = []
    for user in sorted({row["user"] for row in shown if row["user"]} - {"u0"}):
        times = [row["ts"] for row in shown if row["user"] == user and row["arm"] == arm and row["ts"] < end]
        if not times:
            continue
        own = [row for row in did if row["user"] == user]
        begin = max(min(times), START + timedelta(days=only)) if only is not None else min(times)
        now = [row for row in own if begin <= row["ts"] < end]
        then = [row for row in own if START - timedelta(days=7) <= row["ts"] < START]
        of = [sum(row[name] for row in part) for part in (now, then) for name in ("liked", "asked")]
        rows.append(of if rate else [of[0], 1, of[2], 1])
    return moments_of(np.array(rows, dtype=float).reshape(-1, 4))


@pytest.mark.parametrize("metric", ["satisfied", "rate"])
def test_every_day_is_what_users_one_by_one_come_to(tmp_path: Path, metric: str) -> None:
    observed = read_days(write(tmp_path), DAYS)
    assert observed.dropped == {"users_in_both_arms": 1, "exposures_without_user": 1}
    for place, arm in enumerate(("control", "treatment")):
        found = observed.metrics[metric][place]
        for day in range(DAYS):
            for moments, only in ((found.cumulated, None), (found.daily, day)):
                expected = one_by_one(tmp_path, arm, day + 1, only, metric == "rate")
                assert moments.n[day] == expected.n == observed.users[place][day]
                np.testing.assert_allclose(moments.sums[day], expected.sums)
                np.testing.assert_allclose(moments.products[day], expected.products)


def test_an_arm_that_nobody_logged_is_that_of_the_hash(tmp_path: Path) -> None:
    request = write(tmp_path)
    hashed = replace(
        request, experiment=replace(request.experiment, arm=""), weights={"default": 8, "control": 1, "treatment": 1}
    )
    observed = read_days(hashed, DAYS)
    names = [channel_of(f"u{user}", hashed.weights, hashed.salt) for user in range(60)]
    assert [int(users[-1]) for users in observed.users] == [names.count("control"), names.count("treatment")]


@pytest.mark.parametrize("weights", [{"a": 1.0, "b": 1.0}, {"a": 0.9, "off": 0.0, "b": 0.1}, {"a": 1 / 3, "b": 0.1, "c": 7.0}])
def test_the_hash_in_sql_is_that_of_serve(weights: dict[str, float]) -> None:
    salt = "it's 2026"
    users = [f"user-{number}" for number in range(3000)] + ["jürgen", "", "it's", "用户"]
    with duckdb.connect() as con:
        con.register("people", pa.table({"user": users}))
        found = [arm for (arm,) in con.execute(f"SELECT {arm_by_hash(weights, salt)} FROM people").fetchall()]
    assert found == [channel_of(user, weights, salt) for user in users]


def test_outcomes_may_be_in_the_exposures_themselves_and_a_query(tmp_path: Path) -> None:
    request = write(tmp_path)
    query = (
        "SELECT u AS user, TIMESTAMP '2026-03-02 10:00' + INTERVAL (d) DAY AS ts, "
        "CASE WHEN u % 2 = 0 THEN 'control' ELSE 'treatment' END AS arm, u % 3 = 0 AS liked "
        "FROM range(30) AS r(u), range(3) AS s(d)"
    )
    own = replace(request.experiment, exposures=query, outcomes="", metrics={"liked": Metric("liked")})
    observed = read_days(replace(request, experiment=own), 3)
    assert [list(users) for users in observed.users] == [[15, 15, 15]] * 2
    assert observed.metrics["liked"][0].cumulated.sums[:, 0].tolist() == [5, 10, 15]


def test_a_number_that_is_none_is_left_out_and_counted(tmp_path: Path) -> None:
    request = write(tmp_path)
    odd = replace(request.experiment, metrics={"odd": Metric("CASE WHEN liked > 1 THEN 'inf'::DOUBLE ELSE liked END")})
    observed = read_days(replace(request, experiment=odd), DAYS)
    assert observed.dropped["outcomes_not_finite"] > 0
    assert np.isfinite(observed.metrics["odd"][0].cumulated.products).all()


def test_an_id_that_stands_for_no_user_is_no_giant_in_one_arm(tmp_path: Path) -> None:
    request = write(tmp_path)
    shown = pq.read_table(tmp_path / "exposures.parquet").to_pylist()
    shown += [{"user": "nan", "ts": START + timedelta(minutes=minute), "arm": "control"} for minute in range(20)]
    pq.write_table(pa.Table.from_pylist(shown), tmp_path / "exposures.parquet")
    observed = read_days(request, DAYS)
    assert observed.dropped["exposures_without_user"] == 21
    assert observed.users[0][-1] == 29  # of thirty, one was shown both


def test_what_is_planned_by_is_what_users_did_before(tmp_path: Path) -> None:
    found = read_before(write(tmp_path))
    did = [row for row in pq.read_table(tmp_path / "outcomes.parquet").to_pylist() if row["ts"] < START]
    assert float(found["satisfied"].n) == len({row["user"] for row in did})
    assert found["rate"].sums[:2].tolist() == [sum(row[name] for row in did) for name in ("liked", "asked")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {}}, "experiment.metrics is empty"),
        ({"exposures": ""}, "experiment.exposures is not set"),
        ({"arm": "amr"}, "experiment.arm = 'amr': there is no such column.*did you mean 'arm'"),
        ({"metrics": {"m": Metric("like")}}, "experiment.metrics.m.value = 'like': there is no such column"),
        ({"metrics": {"m": Metric("ts")}}, "experiment.metrics.m.value = 'ts' is TIMESTAMP.*must be a number"),
        ({"outcomes": "nowhere/*.parquet"}, "experiment.outcomes.*no file matches"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    request = write(tmp_path)
    with pytest.raises(BadInput, match=said):
        read_days(replace(request, experiment=replace(request.experiment, **change)), DAYS)  # type: ignore[arg-type]
