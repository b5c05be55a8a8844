"""The four boards over Postgres. Every query is run on a real one by `tests/dashboards`."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from driftline.dashboards.panels import bars, board, columns, lines, number, rows

WAITING = "FROM gate g LEFT JOIN verdict v USING (gate_id) WHERE v.gate_id IS NULL"
MOVED = "Of what tells a pair's successors apart"


def operations() -> Dashboard:
    served = """
        SELECT channel, version, kind, nominal, round((extract(epoch FROM now() - nominal) / 86400)::numeric, 1) AS age_days,
            since, actor, approved FROM channel_overview ORDER BY channel"""
    outcomes = """
        SELECT $__timeGroupAlias(created_at, '1d'), outcome AS metric, count(*)::int AS tables
        FROM table_outcome WHERE $__timeFilter(created_at) GROUP BY 1, 2 ORDER BY 1, 2"""
    verdicts = """
        SELECT v.decided_at AS "time", v.decision AS metric, extract(epoch FROM v.decided_at - g.opened_at)::float8 AS waited
        FROM verdict v JOIN gate g USING (gate_id) WHERE $__timeFilter(v.decided_at) ORDER BY 1"""
    left_out = """
        SELECT noticed_at AS "time", schedule AS metric, (skipped + missed)::int AS starts
        FROM left_out_starts WHERE $__timeFilter(noticed_at) ORDER BY 1"""
    return board(
        "driftline-operations",
        "Driftline · Operations",
        "What is served, what waits, and how runs end",
        "now-30d",
        [
            rows("What each channel serves", served, width=12),
            number("Reviews that wait", f"SELECT count(*)::int AS waiting {WAITING}"),
            number(
                "The longest has waited",
                f"SELECT coalesce(max(extract(epoch FROM now() - g.opened_at)), 0)::float8 AS waits {WAITING}",
                "s",
            ),
            rows(
                "Waiting for a verdict",
                "SELECT g.gate_id AS review, g.table_version AS table, g.channel, g.failed_gates::text, g.opened_at, "
                f"g.expires_at, g.workflow_id {WAITING} ORDER BY g.opened_at",
            ),
            bars("Candidates by outcome", outcomes),
            lines("How long a verdict took", verdicts, "s"),
            bars("Starts skipped or missed", left_out, about="By the schedules' own counters, by when the watch noticed"),
            rows(
                "Messages",
                "SELECT created_at, event, title, target, state, said, attempts FROM notification "
                "WHERE $__timeFilter(created_at) ORDER BY id DESC LIMIT 100",
                width=12,
            ),
            rows(
                "Moves of channels",
                "SELECT at, channel, action, from_version, to_version, actor, reason, reviewer FROM publication_history "
                "WHERE $__timeFilter(at) ORDER BY id DESC",
            ),
        ],
    )


def quality() -> Dashboard:
    recall = """
        SELECT nominal AS "time", recall, recall_low AS "lower bound", recall_chance AS chance,
            recall_popular AS "most popular successor", recall_frequent AS "most frequent successor of the pair"
        FROM table_overview WHERE $__timeFilter(nominal) AND recall IS NOT NULL ORDER BY 1"""
    newest = "(SELECT max(q.version) FROM measurement q WHERE q.kind = 'quality' AND q.table_version = t.version)"
    hits = f"""
        SELECT t.nominal AS "time", a.arm AS metric, a.hit_rate
        FROM measured_arm a JOIN transition_table t ON t.version = a.table_version
        WHERE a.kind = 'quality' AND a.measurement = {newest} AND $__timeFilter(t.nominal) ORDER BY 1, 2"""
    spread = f"""
        SELECT t.nominal AS "time", (m.result->>'coverage')::int AS "ever answered",
            (m.result->>'effective_clusters')::float8 AS effective
        FROM measurement m JOIN transition_table t ON t.version = m.table_version
        WHERE m.kind = 'quality' AND m.version = {newest} AND $__timeFilter(t.nominal) ORDER BY 1"""
    experiment = """
        SELECT day AS "time", experiment || ': ' || metric AS metric, value FROM measured_experiment
        WHERE newest AND scope = 'cumulated' AND value IS NOT NULL AND $__timeFilter(day) ORDER BY 1, 2"""
    return board(
        "driftline-quality",
        "Driftline · Quality over time",
        "Every table by its nominal time: for a log of the past choose that time",
        "now-1y",
        [
            lines("Test-set recall", recall, "percentunit", about="The table beside chance and two mappings made by counting"),
            lines("Hit rate", hits, "percentunit", about="Of the table and of the counting baselines, over the test window"),
            lines(
                "Exact-match rate",
                'SELECT nominal AS "time", kind AS metric, exact_match_rate FROM table_overview '
                "WHERE $__timeFilter(nominal) ORDER BY 1",
                "percentunit",
            ),
            lines(
                "Pairs with another answer than in the table before",
                'SELECT nominal AS "time", kind AS metric, changed FROM table_cost '
                "WHERE $__timeFilter(nominal) AND changed IS NOT NULL ORDER BY 1",
                "percentunit",
            ),
            lines("Interests that are answered", spread),
            lines("Experiments, treatment over control", experiment, "percentunit", about="All days up to each, by metric"),
            rows(
                "The newest of each experiment",
                "SELECT DISTINCT ON (experiment, metric) experiment, metric, day, value, always_low, always_high, reading "
                "FROM measured_experiment WHERE newest AND scope = 'cumulated' ORDER BY experiment, metric, day DESC",
                width=12,
            ),
            rows(
                "Gates that failed",
                "SELECT e.created_at, e.table_version AS table, g.name AS gate, e.reasons->>g.name AS why FROM evaluation e "
                "CROSS JOIN LATERAL unnest(e.failed_gates) AS g(name) WHERE $__timeFilter(e.created_at) ORDER BY e.id DESC",
                width=12,
            ),
            rows(
                "The newest tables",
                "SELECT version, kind, nominal, exact_match_rate, recall, recall_low, recall_chance, failed_gates::text, "
                "approved, channels::text FROM table_overview ORDER BY version DESC LIMIT 20",
            ),
        ],
    )


def drift() -> Dashboard:
    largest = """
        SELECT created_at AS "time", ranking AS metric, max(share) AS share
        FROM measured_lag WHERE $__timeFilter(created_at) AND share IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"""
    curve = """
        SELECT lag::text, share, share_low AS low, share_high AS high FROM measured_lag
        WHERE measurement = (SELECT max(measurement) FROM measured_lag) AND ranking = 'frequency' ORDER BY measured_lag.lag"""
    stale = """
        SELECT days::text, same_list AS "same list", same_set AS "same set" FROM measured_staleness
        WHERE measurement = (SELECT max(measurement) FROM measured_staleness)
            AND top_k = (SELECT min(top_k) FROM measured_staleness) ORDER BY measured_staleness.days"""
    age = """
        SELECT at AS "time", channel AS metric, extract(epoch FROM at - nominal)::float8 AS age
        FROM publication_history WHERE $__timeFilter(at) ORDER BY 1"""
    unknown = """
        SELECT window_end AS "time", share AS "items in no cluster" FROM window_unknown
        WHERE $__timeFilter(window_end) ORDER BY 1"""
    delay = """
        SELECT published_at AS "time", kind AS metric, extract(epoch FROM delay)::float8 AS delay
        FROM table_cost WHERE $__timeFilter(published_at) ORDER BY 1"""
    return board(
        "driftline-drift",
        "Driftline · Drift and staleness",
        "How fast interests move, and how old the answers are (`driftline evaluate drift`)",
        "now-1y",
        [
            lines("Largest share that has moved", largest, "percentunit", about=f"{MOVED}, of each measurement, by ranking"),
            columns("Share that has moved, by lag", curve, "lag", "percentunit", about=f"{MOVED}, of the newest, by frequency"),
            columns("What was retrieved still holds", stale, "days", "percentunit", about="After so many days; shortest lists"),
            lines("Events of items in no cluster", unknown, "percentunit", about="Share of a window's positive events"),
            lines("Age of the data when it was served", age, "s"),
            lines("From the end of the window to the first publication", delay, "s"),
        ],
    )


def cost() -> Dashboard:
    def over_time(*columns: str) -> str:
        kept = " OR ".join(f"{column.split(' AS ')[0]} IS NOT NULL" for column in columns)
        return (
            f'SELECT nominal AS "time", {", ".join(columns)} FROM table_cost WHERE $__timeFilter(nominal) AND ({kept}) ORDER BY 1'
        )

    def total(column: str) -> str:
        return f"SELECT coalesce(sum({column}), 0)::float8 AS total FROM table_cost WHERE $__timeFilter(nominal)"

    both = "coalesce(train_{0}_seconds, 0) + coalesce(generate_{0}_seconds, 0)"
    return board(
        "driftline-cost",
        "Driftline · Cost",
        "What each table spent on training and on bulk inference, by nominal time",
        "now-1y",
        [
            number("Tokens trained on", total("tokens_trained")),
            number("Tokens forwarded", total("tokens_forwarded")),
            number("CPU time", total(both.format("cpu")), "s"),
            number("GPU time", total(both.format("gpu")), "s"),
            bars("Tokens", over_time("tokens_trained AS trained", "tokens_forwarded AS forwarded")),
            bars("Pairs by how they were answered", over_time("asked", "reused"), about="Reused: the model had had that prompt"),
            bars("CPU time", over_time("train_cpu_seconds AS training", "generate_cpu_seconds AS inference"), "s"),
            bars("Wall time", over_time("train_wall_seconds AS training", "generate_wall_seconds AS inference"), "s"),
            rows("By table", "SELECT * FROM table_cost WHERE $__timeFilter(nominal) ORDER BY version DESC LIMIT 50"),
        ],
    )
