"""Exposures and outcomes of a live experiment, as sums over users: by day and arm, whatever the files or queries look like.

A user counts from the first exposure on, in the arm that the exposures say or, where they say none, in that of the hash which
`driftline serve` goes by. Users who were shown both arms are left out and counted. What is null in a metric counts 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import accumulate

import duckdb
import numpy as np
import pyarrow as pa

from driftline.contracts import BadInput, Experiment, ExperimentInput, Metric
from driftline.interests.experiments.days import Entered, Happened, MetricDays, Observed, metric_days
from driftline.interests.experiments.moments import Floats, Moments
from driftline.sources.columns import resolve
from driftline.sources.from_clause import LocalRelation, find
from driftline.sources.identity import FLOAT, WHOLE, identifier
from driftline.sources.log import utc
from driftline.sources.missing import find_missing
from driftline.sources.session import arrow, connect, explained, literal
from driftline.sources.times import timestamp

MEMORY = "2GB"
"""What DuckDB may keep in memory; the rest is on disk. 50 M exposures fit."""


@dataclass(frozen=True)
class OpenedExposures:
    """Exposures and outcomes as views of DuckDB. `exposures` has user, ts and arm (null: another channel); `outcomes` user, ts,
    and x and y of each metric by its place."""

    con: duckdb.DuckDBPyConnection
    exposures: str
    outcomes: str
    by_hash: bool


def read_days(request: ExperimentInput, days: int) -> Observed:
    """What happened in the first `days` days of an experiment, for each of its metrics.

    Raises:
        BadInput: a setting of `experiment` does not fit what is there; says which, and what there is.
    """
    experiment, start = request.experiment, utc(request.start)
    end = start + timedelta(days=days)
    with _open(request) as opened, explained("experiment"):
        dropped = _exposed(opened, request, start, end)
        _before(opened, experiment, start)
        dropped |= _happened(opened, experiment, start, end)
        return _collect(opened.con, experiment, days, dropped)


def read_before(request: ExperimentInput) -> Mapping[str, Moments]:
    """Each metric of all users with an outcome in the days before the start: what an experiment can be planned by.

    Raises:
        BadInput: as `read_days`.
    """
    experiment, start = request.experiment, utc(request.start)
    first = start - timedelta(days=experiment.days_before)
    with _open(request) as opened, explained("experiment"):
        opened.con.execute(
            f'CREATE TEMP TABLE planned AS SELECT "user", {_sums(experiment)} '
            f'FROM ({opened.outcomes}) AS o WHERE ts >= $first AND ts < $start GROUP BY "user"',
            {"first": first, "start": start},
        )
        return {name: _planned(opened.con, place, metric) for place, (name, metric) in enumerate(experiment.metrics.items())}


def arm_by_hash(weights: Mapping[str, float], salt: str) -> str:
    """SQL of the channel of `"user"`: as `interests.assignment.channel_of` says, to the last bit."""
    names = [name for name, weight in weights.items() if weight > 0]
    ends = list(accumulate(weights[name] for name in names))
    hashed = f"('0x' || left(sha256({literal(salt)} || chr(0) || \"user\"), 16))::UBIGINT::DOUBLE / 18446744073709551616.0"
    bound = f"(({hashed}) * {sum(weights.values())!r}::DOUBLE)"
    cases = " ".join(f"WHEN {bound} < {end!r}::DOUBLE THEN {literal(name)}" for name, end in zip(names, ends, strict=True))
    return f"CASE {cases} ELSE {literal(names[-1])} END"


@contextmanager
def _open(request: ExperimentInput) -> Iterator[OpenedExposures]:
    experiment = request.experiment
    if not experiment.metrics:
        raise BadInput("experiment.metrics is empty: name what is measured, e.g. [experiment.metrics.liked] with value = 'liked'")
    with connect(experiment.setup) as con:
        con.execute(f"SET memory_limit = '{MEMORY}'; SET preserve_insertion_order = false")
        used = [experiment.user, experiment.timestamp, experiment.arm]
        used += [written for metric in experiment.metrics.values() for written in (metric.value, metric.per)]
        exposures = find(con, "experiment.exposures", experiment.exposures, [experiment.user, experiment.arm], used)
        outcomes = exposures
        if experiment.outcomes.strip():
            outcomes = find(con, "experiment.outcomes", experiment.outcomes, used[:1], used)
        nobody = _nobody(exposures, experiment)
        yield OpenedExposures(con, _exposures(exposures, experiment, nobody), _outcomes(outcomes, experiment), not experiment.arm)


def _placed(raw: LocalRelation, experiment: Experiment, nobody: tuple[str, ...] = ()) -> str:
    user = identifier(raw, "experiment.user", experiment.user).sql
    if nobody:
        user = f"CASE WHEN {user} NOT IN ({', '.join(map(literal, nobody))}) THEN {user} END"
    ts = timestamp(raw, resolve(raw, "experiment.timestamp", experiment.timestamp)).sql
    return f'{user} AS "user", {ts} AS ts'


def _nobody(raw: LocalRelation, experiment: Experiment) -> tuple[str, ...]:
    """Ids of users that stand for none: taken for one, it would be a giant in one arm."""
    with explained("experiment"):
        return find_missing(raw, identifier(raw, "experiment.user", experiment.user), None, "true").users


def _exposures(raw: LocalRelation, experiment: Experiment, nobody: tuple[str, ...]) -> str:
    arm = "CAST(NULL AS VARCHAR)"
    if experiment.arm:
        arm = identifier(raw, "experiment.arm", experiment.arm).sql
    return f"SELECT {_placed(raw, experiment, nobody)}, {arm} AS arm FROM {raw.sql}"


def _outcomes(raw: LocalRelation, experiment: Experiment) -> str:
    columns = []
    for place, (name, metric) in enumerate(experiment.metrics.items()):
        for axis, field, written in (("x", "value", metric.value), ("y", "per", metric.per)):
            if not written:
                continue
            column = resolve(raw, f"experiment.metrics.{name}.{field}", written)
            if not (column.kind == "BOOLEAN" or WHOLE.fullmatch(column.kind) or FLOAT.fullmatch(column.kind)):
                raise BadInput(
                    f"{column.knob} = {written!r} is {column.kind} in {raw.where}; it must be a number or a condition: write an "
                    f"expression such as TRY_CAST({written} AS DOUBLE)"
                )
            value = f"coalesce(CAST({column.sql} AS DOUBLE), 0)"
            columns.append(f"CASE WHEN isfinite({value}) THEN {value} END AS {axis}{place}")
    return f"SELECT {_placed(raw, experiment)}, {', '.join(columns)} FROM {raw.sql}"


def _exposed(opened: OpenedExposures, request: ExperimentInput, start: datetime, end: datetime) -> dict[str, int]:
    """Makes `exposed`: user, ts of the first exposure, day, arm 0 (control) or 1. Returns who was left out."""
    con, experiment = opened.con, request.experiment
    within = {"start": start, "end": end}
    arms = f"({literal(experiment.control)}, {literal(experiment.treatment)})"
    of_arms = "" if opened.by_hash else f"AND arm IN {arms}"
    con.execute(
        'CREATE TEMP TABLE shown AS SELECT "user", min(ts) AS ts, min(arm) AS arm, min(arm) <> max(arm) AS both_arms '
        f'FROM ({opened.exposures}) AS e WHERE ts >= $start AND ts < $end AND "user" IS NOT NULL {of_arms} GROUP BY "user"',
        within,
    )
    arm = arm_by_hash(request.weights, request.salt) if opened.by_hash else "arm"
    con.execute(f"""
        CREATE TEMP TABLE exposed AS
        SELECT "user", ts, date_diff('day', TIMESTAMP '{start}', ts) AS day,
            CASE a WHEN {literal(experiment.control)} THEN 0 WHEN {literal(experiment.treatment)} THEN 1 END AS arm
        FROM (SELECT *, {arm} AS a FROM shown WHERE NOT coalesce(both_arms, false)) AS placed
        WHERE a IN {arms}""")
    ((both,),) = con.execute("SELECT count(*) FROM shown WHERE both_arms").fetchall()
    ((nobody, nowhen),) = con.execute(
        'SELECT count(*) FILTER (WHERE "user" IS NULL), count(*) FILTER (WHERE ts IS NULL) '
        f"FROM ({opened.exposures}) AS e WHERE (ts >= $start AND ts < $end) OR ts IS NULL",
        within,
    ).fetchall()
    con.execute("DROP TABLE shown")
    return {"users_in_both_arms": both, "exposures_without_user": nobody, "exposures_without_time": nowhen}


def _before(opened: OpenedExposures, experiment: Experiment, start: datetime) -> None:
    """Makes `entered`: the users of `exposed` with x and y of each metric in the days before (p and q)."""
    opened.con.execute(
        f"""
        CREATE TEMP TABLE before AS
        SELECT "user", {_sums(experiment)}
        FROM ({opened.outcomes}) AS o SEMI JOIN exposed USING ("user")
        WHERE ts >= $first AND ts < $start GROUP BY 1""",
        {"first": start - timedelta(days=experiment.days_before), "start": start},
    )
    kept = ", ".join(
        f"coalesce(b.{name}, 0) AS {name.replace('x', 'p').replace('y', 'q')}" for name in _names(len(experiment.metrics))
    )
    opened.con.execute(f"""
        CREATE TEMP TABLE entered AS
        SELECT e."user", e.ts, e.day, e.arm, {kept} FROM exposed AS e LEFT JOIN before AS b USING ("user")""")
    opened.con.execute("DROP TABLE before; DROP TABLE exposed")


def _happened(opened: OpenedExposures, experiment: Experiment, start: datetime, end: datetime) -> dict[str, int]:
    """Makes `happened`: x and y of each metric by user and day, from the user's first exposure on."""
    present = _present(experiment)
    bad = " OR ".join(f"o.{name} IS NULL" for name in present)
    opened.con.execute(
        f"""
        CREATE TEMP TABLE happened AS
        SELECT e."user", date_diff('day', TIMESTAMP '{start}', o.ts) AS day, any_value(e.arm) AS arm,
            {_sums(experiment)},
            count(*) FILTER (WHERE {bad}) AS bad
        FROM ({opened.outcomes}) AS o INNER JOIN entered AS e ON e."user" = o."user"
        WHERE o.ts >= $start AND o.ts < $end AND o.ts >= e.ts GROUP BY 1, 2""",
        {"start": start, "end": end},
    )
    ((not_finite,),) = opened.con.execute("SELECT coalesce(sum(bad), 0)::BIGINT FROM happened").fetchall()
    return {"outcomes_not_finite": not_finite}


def _collect(con: duckdb.DuckDBPyConnection, experiment: Experiment, days: int, dropped: dict[str, int]) -> Observed:
    entered = arrow(con, "SELECT arm, day, count(*)::DOUBLE AS n FROM entered GROUP BY arm, day")
    users = [np.cumsum(_by_day(entered, days, arm)["n"]) for arm in (0, 1)]
    metrics = {
        name: _metric(con, place, days, per_user=not metric.per)
        for place, (name, metric) in enumerate(experiment.metrics.items())
    }
    return Observed((users[0], users[1]), metrics, {name: n for name, n in dropped.items() if n})


def _metric(con: duckdb.DuckDBPyConnection, place: int, days: int, per_user: bool) -> tuple[MetricDays, MetricDays]:
    p, q, x, y = (f"{axis}{place}" for axis in "pqxy")
    entered = arrow(
        con,
        f"SELECT arm, day, count(*)::DOUBLE AS n, sum({p}) AS p, sum({q}) AS q, sum({p} * {p}) AS pp, sum({q} * {q}) AS qq, "
        f"sum({p} * {q}) AS pq FROM entered GROUP BY arm, day",
    )
    # A user's totals of the days before, where there are any: what a day adds to the squares depends on them.
    happened = arrow(
        con,
        f"""
        SELECT arm, day, sum(x) AS x, sum(y) AS y, sum(x * x) AS xx, sum(y * y) AS yy, sum(x * y) AS xy, sum(x * bx) AS "xX",
            sum(y * by_) AS "yY", sum(x * by_ + y * bx) AS "xY_yX", sum(x * p) AS xp, sum(x * q) AS xq, sum(y * p) AS yp,
            sum(y * q) AS yq
        FROM (
            SELECT h.arm, h.day, h.{x} AS x, h.{y} AS y, e.{p} AS p, e.{q} AS q,
                coalesce(sum(h.{x}) OVER earlier, 0) AS bx, coalesce(sum(h.{y}) OVER earlier, 0) AS by_
            FROM happened AS h INNER JOIN entered AS e ON e."user" = h."user" WHERE h.{x} <> 0 OR h.{y} <> 0
            WINDOW earlier AS (PARTITION BY h."user" ORDER BY h.day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ) AS grown GROUP BY arm, day""",
    )
    made = [
        metric_days(Entered(**_named(entered, days, arm, Entered)), Happened(**_named(happened, days, arm, Happened)), per_user)
        for arm in (0, 1)
    ]
    return made[0], made[1]


def _planned(con: duckdb.DuckDBPyConnection, place: int, metric: Metric) -> Moments:
    x, y = f"x{place}", f"y{place}" if metric.per else "1.0::DOUBLE"
    sums = f"count(*)::DOUBLE, sum({x}), sum({y}), sum({x} * {x}), sum({x} * {y}), sum({y} * {y})"
    ((n, sx, sy, xx, xy, yy),) = con.execute(f"SELECT {sums} FROM planned").fetchall()
    products = np.zeros((4, 4))
    products[:2, :2] = np.array([[xx or 0, xy or 0], [xy or 0, yy or 0]])
    return Moments(np.asarray(n), np.array([sx or 0, sy or 0, 0, 0], dtype=np.float64), products)


def _named(table: pa.Table, days: int, arm: int, of: type) -> dict[str, Floats]:
    found = _by_day(table, days, arm)
    return {field.name: found[field.name] for field in fields(of)}


def _by_day(table: pa.Table, days: int, arm: int) -> dict[str, Floats]:
    """Each column as [days] of one arm, 0 where a day has no row."""
    arms, at = (table[name].to_numpy() for name in ("arm", "day"))
    here = arms == arm
    found = {}
    for name in table.column_names:
        values = np.zeros(days)
        values[at[here].astype(np.int64)] = table[name].to_numpy()[here]
        found[name] = values
    return found


def _names(metrics: int) -> Sequence[str]:
    return [f"{axis}{place}" for place in range(metrics) for axis in "xy"]


def _sums(experiment: Experiment) -> str:
    """SQL of x and y of every metric, summed."""
    present = _present(experiment)
    made = (
        f"coalesce(sum({name}), 0) AS {name}" if name in present else f"0.0::DOUBLE AS {name}"
        for name in _names(len(experiment.metrics))
    )
    return ", ".join(made)


def _present(experiment: Experiment) -> set[str]:
    """Names the columns that the outcomes have: a metric per user has no y."""
    return {f"x{place}" for place in range(len(experiment.metrics))} | {
        f"y{place}" for place, metric in enumerate(experiment.metrics.values()) if metric.per
    }
