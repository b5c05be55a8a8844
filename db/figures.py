"""What stands now, in numbers: what is served, what waits, what the last tables cost. For gauges, not for history."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Figure:
    """One gauge with its labels."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


SERVED = """
SELECT channel, version, approved, extract(epoch FROM now() - nominal)::float8 AS age FROM channel_overview ORDER BY channel
"""
WAITING = """
SELECT count(*) AS n, coalesce(max(extract(epoch FROM now() - g.opened_at)), 0)::float8 AS age
FROM gate g LEFT JOIN verdict v USING (gate_id) WHERE v.gate_id IS NULL
"""
COST = """
SELECT DISTINCT ON (kind) kind, tokens_trained, train_cpu_seconds, train_gpu_seconds, tokens_forwarded, generate_cpu_seconds,
    generate_gpu_seconds, asked, reused
FROM table_cost ORDER BY kind, version DESC
"""
LEFT_OUT = "SELECT DISTINCT ON (schedule) schedule, skipped, missed FROM schedule_count ORDER BY schedule, id DESC"


def figures(conn: Connection) -> list[Figure]:
    """Reads the gauges that Postgres knows; what is not on record is left out."""
    return [*_served(conn), *_waiting(conn), *_cost(conn), *_left_out(conn)]


def answers(conn: Connection, version: int) -> dict[str, int]:
    """How many pairs of a table were answered in which way; `counts`: not by an LLM. Its rows never change."""
    query = text("SELECT decoding, count(*) AS n FROM transition WHERE version = :version GROUP BY decoding")
    return {row.decoding or "counts": row.n for row in conn.execute(query, {"version": version})}


def _served(conn: Connection) -> Iterator[Figure]:
    for row in conn.execute(text(SERVED)):
        on = {"channel": row.channel}
        yield Figure("driftline_published_version", row.version, on)
        yield Figure("driftline_published_age_seconds", row.age, on)
        yield Figure("driftline_published_approved", float(row.approved), on)


def _waiting(conn: Connection) -> Iterator[Figure]:
    row = conn.execute(text(WAITING)).one()
    yield Figure("driftline_open_reviews", row.n)
    yield Figure("driftline_open_review_age_seconds", row.age)


def _cost(conn: Connection) -> Iterator[Figure]:
    for row in conn.execute(text(COST)).mappings():
        for step, tokens, prefix in (("training", "tokens_trained", "train"), ("inference", "tokens_forwarded", "generate")):
            of = {"kind": row["kind"], "step": step}
            named = {"tokens": tokens, "cpu_seconds": f"{prefix}_cpu_seconds", "gpu_seconds": f"{prefix}_gpu_seconds"}
            for name, column in named.items():
                if row[column] is not None:
                    yield Figure(f"driftline_last_table_{name}", row[column], of)
        for how in ("asked", "reused"):
            if row[how] is not None:
                yield Figure("driftline_last_table_pairs", row[how], {"kind": row["kind"], "how": how})


def _left_out(conn: Connection) -> Iterator[Figure]:
    for row in conn.execute(text(LEFT_OUT)):
        yield Figure("driftline_starts_left_out", row.skipped, {"schedule": row.schedule, "how": "skipped"})
        yield Figure("driftline_starts_left_out", row.missed, {"schedule": row.schedule, "how": "missed"})
