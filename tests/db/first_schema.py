"""What a worker of the first schema (revision 0002) wrote: its statements, as they were."""

from datetime import timedelta
from itertools import permutations
from typing import Any

from sqlalchemy import Connection, text

from tests.db.world import START

REVISION = "0002"
CLUSTERS = ("tea", "milk", "rice", "soap")

_SET = "INSERT INTO cluster_set (key, method, clusters, items) VALUES (:key, '{}', 4, 4) RETURNING version"
_CLUSTER = (
    "INSERT INTO cluster (cluster_set, cluster, name, description, keywords, traffic) VALUES (:set, :id, :name, :name, '{}', 9)"
)
_ITEM = "INSERT INTO cluster_item (cluster_set, item, cluster) VALUES (:set, 'item-' || :id, :id)"
_COUNTS = """
    INSERT INTO counts (key, cluster_set, window_start, window_end, dedup, predicate, events, users, triples, distinct_triples,
        dropped)
    VALUES (:key, :set, :start, :end, 'first', 'quantity > 0', 100, 9, 5, 1, '{}') RETURNING version
"""
_COUNT = """
    CREATE TABLE transition_count_v{0} PARTITION OF transition_count FOR VALUES IN ({0});
    INSERT INTO transition_count (version, c1, c2, c_next, n) VALUES ({0}, 1, 0, 2, 5)
"""
_MODEL = """
    INSERT INTO model (key, cluster_set, counts_version, base_model, adapter_uri, adapter_hash, samples_hash, recipe, metrics,
        workflow_id, run_id)
    VALUES (:key, :set, :counts, 'smollm2', 'file:///adapter', 'adapter', 'samples', '{"steps": 60}', '{}', 'fine-tune', :key)
    RETURNING version
"""
_TABLE = """
    INSERT INTO transition_table (key, kind, nominal, cluster_set, counts_version, model_version, prompts_hash, unseen,
        mapping_hash, generation, retrieval, rows, exact, complete, workflow_id, run_id)
    VALUES (:key, 'fine_tune', :end, :set, :counts, :model, 'prompts', 0, 'mapping', '{}', NULL, 12, 12, true, 'fine-tune', :key)
    RETURNING version
"""
_ROWS = """
    CREATE TABLE transition_v{0} PARTITION OF transition FOR VALUES IN ({0});
    INSERT INTO transition (version, c1, c2, c_next, decoding, free, retrieved) VALUES {1}
"""
_EVALUATION = """
    INSERT INTO evaluation (table_version, counts_version, exact_match_rate, recall, recall_low, recall_chance, recall_popular,
        recall_frequent, test_triples, coverage, failed_gates, reasons)
    VALUES (:table, :counts, 1, 0.4, 0.35, 0.5, 0.3, 0.6, 9, 4, :failed, '{}') RETURNING id
"""
_GATE = """
    INSERT INTO gate (gate_id, table_version, evaluation, failed_gates, evidence, workflow_id, run_id, expires_at)
    VALUES (:key, :table, :evaluation, :failed, '{}', 'fine-tune', :key, :expires)
"""
_REVIEW = (
    "INSERT INTO review (gate_id, decision, reviewer, reason) VALUES (:key, 'approve', 'ada', 'fine') ON CONFLICT DO NOTHING"
)
_PUBLICATION = """
    INSERT INTO publication (channel, from_version, to_version, action, actor, reason, gate_id, workflow_id, run_id)
    VALUES (:channel, (SELECT table_version FROM channel WHERE name = :channel), :table, 'publish', 'driftline', '', :gate,
        'fine-tune', :key)
    RETURNING id
"""
_CHANNEL = """
    INSERT INTO channel (name, table_version, publication) VALUES (:channel, :table, :publication)
    ON CONFLICT (name) DO UPDATE SET table_version = :table, publication = :publication
"""


def publish_a_table(conn: Connection, key: str, channel: str = "default", gate: bool = False, day: int = 0) -> int:
    """Everything from a cluster set to a channel that points at the new table; with a `gate`, `ada` has let it through.

    Args:
        key: tells this one from the others.
    """

    def one(statement: str, **values: Any) -> int:
        return int(conn.execute(text(statement), {"key": key, **values}).scalar_one())

    start = START + timedelta(days=day)
    made: dict[str, Any] = {"key": key, "channel": channel, "start": start, "end": start + timedelta(days=90)}
    made["set"] = one(_SET)
    for number, name in enumerate(CLUSTERS):
        conn.execute(text(_CLUSTER), {"set": made["set"], "id": number, "name": name})
        conn.execute(text(_ITEM), {"set": made["set"], "id": number})
    made["counts"] = one(_COUNTS, **made)
    conn.execute(text(_COUNT.format(made["counts"])))
    made["model"] = one(_MODEL, **made)
    made["table"] = one(_TABLE, **made)
    pairs = permutations(range(4), 2)
    rows = [f"({made['table']}, {c1}, {c2}, {answer(c1, c2)}, 'exact', NULL, '{{}}')" for c1, c2 in pairs]
    conn.execute(text(_ROWS.format(made["table"], ", ".join(rows))))
    made["failed"] = ["recall"] if gate else []
    made["evaluation"] = one(_EVALUATION, **made)
    if gate:
        conn.execute(text(_GATE), made | {"expires": start + timedelta(days=400)})
        conn.execute(text(_REVIEW), made)
    made["publication"] = one(_PUBLICATION, **made, gate=key if gate else None)
    conn.execute(text(_CHANNEL), made)
    return int(made["table"])


def answer(c1: int, c2: int) -> int:
    return next(c for c in range(4) if c not in (c1, c2))
