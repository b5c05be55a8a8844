"""Transition tables: written once, then listed, looked up and traced.

Arrow is imported where rows are handled: a command that asks for one answer starts without it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, text

from driftline import contracts
from driftline.contracts import BadInput
from driftline.db.keys import content_key, lock
from driftline.db.retention import has_rows, note_asked_again, require_rows
from driftline.db.schema import cluster_set, counts, model, transition, transition_table

if TYPE_CHECKING:
    import pyarrow as pa

    from driftline.contracts import AnswersFrom, Kind, StoreTable, TableRef


@dataclass(frozen=True)
class TransitionTable:
    """One line of `driftline tables list`. `exact_match_rate` is of the mapping itself; recall is `None` until evaluated. A table
    of counts has neither model nor exact-match rate."""

    version: int
    kind: Kind
    nominal: datetime
    cluster_set: int
    clusters: int
    rows: int
    complete: bool
    model_version: int | None
    counts_version: int
    window_start: datetime
    window_end: datetime
    exact_match_rate: float | None
    recall: float | None
    recall_low: float | None
    recall_chance: float | None
    recall_popular: float | None
    recall_frequent: float | None
    test_triples: int | None
    coverage: int | None
    failed_gates: list[str] | None
    approved: bool
    channels: list[str]
    published_at: datetime | None
    workflow_id: str
    run_id: str
    created_at: datetime
    assignment: int | None = None
    """Which items its clusters had; None: those of the cluster set itself."""
    unknown_share: float | None = None
    """Of the positive events, those of items that no cluster has; `None` until evaluated."""
    pruned_at: datetime | None = None
    """When its rows were dropped; it cannot be served or compared any more."""


OVERVIEW = """
    SELECT o.*, a.assignment, a.unknown_share, r.pruned_at FROM table_overview o
    JOIN table_assignment a ON a.version = o.version JOIN table_rows r ON r.version = o.version
"""


@dataclass(frozen=True)
class Lookup:
    """A channel's answer to one pair. `decoding`: "exact" | "constrained", of the LLM's answer. Ids are of the cluster set of
    table `version`."""

    c1: int
    c1_name: str
    c2: int
    c2_name: str
    c_next: int
    c_next_name: str
    version: int
    channel: str
    decoding: str | None
    """None: no LLM was asked."""
    approved: bool
    """Whether the table may still be served."""
    answers: AnswersFrom = "llm"
    score: float | None = None
    """log p of the answer, under what the table is made of."""


@dataclass(frozen=True)
class InexactAnswer:
    """A pair that the LLM did not answer with exactly one description. `free` is what it wrote; the answer was then constrained
    to `c_next`."""

    c1: int
    c2: int
    c_next: int
    c1_name: str
    c2_name: str
    c_next_name: str
    free: str | None


def add(conn: Connection, request: StoreTable, mapping: pa.Table) -> TableRef:
    """Store a mapping as a transition table, or find the one of the same kind, nominal time, model, counts, prompts and decoding,
    computed alike.

    Args:
        mapping: c1, c2, c_next int32; of an LLM exact bool, free str|null; for RAG, retrieved list<int32>; with scores score
            float32; of a blend llm_next int32; every pair at most once.

    Raises:
        BadInput: model and counts are of different cluster sets, or a row is not of that cluster set or not novel; or its rows
            were pruned, and this mapping is another one.
    """
    import pyarrow.compute as pc

    from driftline.db.mappings import checked
    from driftline.interests.pairs import pair_count

    key = _key(request)
    lock(conn, f"transition_table:{key}")
    found = conn.execute(select(transition_table).where(transition_table.c.key == key)).one_or_none()
    made_with, clusters = _cluster_set(conn, request)
    mapping_hash = (request.answered or request.mapping).hash  # type: ignore[union-attr]
    if found is not None:
        note_asked_again(conn, "table", found.version)
        if not has_rows(conn, "table", found.version):
            if found.mapping_hash != mapping_hash:
                raise BadInput(f"the rows of table {found.version} were pruned, and its mapping cannot be made again as it was")
            _fill(conn, found.version, checked(mapping, clusters))
        return contracts.TableRef(found.version, found.rows)
    mapping = checked(mapping, clusters)
    row = {
        "key": key,
        "kind": request.kind,
        "nominal": request.nominal,
        "cluster_set": made_with,
        "counts_version": request.counts,
        "model_version": request.model,
        "prompts_hash": request.prompts.hash if request.prompts else None,
        "unseen": request.prompts.unseen if request.prompts else 0,
        "mapping_hash": mapping_hash,
        "generation": request.generation.decides() if request.generation else None,
        "retrieval": asdict(request.retrieval) if request.retrieval else None,
        "rows": mapping.num_rows,
        "exact": pc.sum(mapping["exact"]).as_py() or 0 if request.mapping else None,
        # Pairs are unique by primary key, ordered and in range by check: as many as there can be are all of them.
        "complete": mapping.num_rows == pair_count(clusters),
        "workflow_id": request.run.workflow_id,
        "run_id": request.run.run_id,
        "cost": asdict(request.mapping.cost) if request.mapping and request.mapping.cost else None,
        "computed": _computed(request),
        "answers": request.answers,
        "known_counts": request.fitted.known if request.fitted else None,
        "validation_counts": request.fitted.validation if request.fitted else None,
        "weights": {name: asdict(weight) for name, weight in request.answered.weights.items()} if request.answered else None,
        "likeliest": request.mapping.likeliest if request.mapping else None,
    }
    version = conn.execute(insert(transition_table).values(row).returning(transition_table.c.version)).scalar_one()
    return contracts.TableRef(version, _fill(conn, version, mapping))


def list_tables(conn: Connection) -> list[TransitionTable]:
    """Every transition table, oldest first."""
    return [TransitionTable(**row) for row in conn.execute(text(f"{OVERVIEW} ORDER BY o.version")).mappings()]


def newest(conn: Connection) -> int:
    """Version of the newest table. Raises BadInput: there is no table yet."""
    version = conn.execute(select(func.max(transition_table.c.version))).scalar_one()
    if version is None:
        raise BadInput("there is no transition table yet: run `driftline run fine-tune` first")
    return int(version)


def newest_before(conn: Connection, cluster_set: int, until: datetime) -> int | None:
    """The newest approved table of a cluster set that has seen nothing from `until` on, nor has its model; None: none has."""
    query = """
        SELECT o.version FROM table_overview o JOIN transition_table t ON t.version = o.version
        LEFT JOIN model m ON m.version = t.model_version
        WHERE o.cluster_set = :cluster_set AND o.complete AND o.approved AND has_rows('table', t.version) AND NOT EXISTS (
            SELECT FROM counts c WHERE c.window_end > :until
                AND c.version IN (t.counts_version, t.validation_counts, m.counts_version, m.validation_counts))
        ORDER BY o.window_end DESC, o.version DESC LIMIT 1
    """
    found: int | None = conn.execute(text(query), {"cluster_set": cluster_set, "until": until}).scalar_one_or_none()
    return found


def get(conn: Connection, version: int) -> TransitionTable:
    """Reads the record of one table. Raises BadInput: there is no such table."""
    query = text(f"{OVERVIEW} WHERE o.version = :version")
    row = conn.execute(query, {"version": version}).mappings().one_or_none()
    if row is None:
        raise BadInput(f"no transition table {version}: see `driftline tables list`")
    return TransitionTable(**row)


def answers(conn: Connection, version: int) -> pa.Table:
    """Reads a table: c1, c2, c_next int32 and, of an LLM's answers, exact bool; sorted by (c1, c2).

    Raises:
        BadInput: there is no such table, or its rows were pruned.
    """
    import pyarrow as pa

    by_llm = get(conn, version).model_version is not None
    require_rows(conn, "table", version)
    query = """
        SELECT c1, c2, c_next, coalesce(decoding = 'exact', false)::int4 FROM transition WHERE version = %s ORDER BY c1, c2
    """
    rows = _integers(conn, query, version)
    if not by_llm:
        return rows.drop("exact")
    return rows.set_column(3, "exact", rows["exact"].cast(pa.bool_()))


def llm_answers(conn: Connection, version: int) -> pa.Table | None:
    """c1, c2, c_next int32: what the LLM of a blend answers alone; sorted by (c1, c2). None: the table is no blend."""
    query = """
        SELECT c1, c2, llm_next, 0::int4 FROM transition
        WHERE version = %s AND llm_next IS NOT NULL ORDER BY c1, c2
    """
    rows = _integers(conn, query, version).drop("exact")
    return rows if rows.num_rows else None


def inexact(conn: Connection, version: int, limit: int) -> list[InexactAnswer]:
    """Reads at most `limit` pairs whose free answer was not exactly a novel description, spread over the table in order of (c1,
    c2).

    Raises:
        BadInput: there is no such table.
    """
    get(conn, version)
    require_rows(conn, "table", version)
    query = """
        WITH missed AS (
            SELECT c1, c2, coalesce(llm_next, c_next) AS c_next, free, row_number() OVER (ORDER BY c1, c2) - 1 AS place,
                count(*) OVER () AS n
            FROM transition WHERE version = :version AND decoding = 'constrained'
        )
        SELECT m.c1, m.c2, m.c_next, a.name AS c1_name, b.name AS c2_name, c.name AS c_next_name, m.free
        FROM (SELECT * FROM missed WHERE place % greatest(1, n / :limit) = 0 ORDER BY place LIMIT :limit) m
        JOIN transition_table t ON t.version = :version
        JOIN cluster a ON a.cluster_set = t.cluster_set AND a.cluster = m.c1
        JOIN cluster b ON b.cluster_set = t.cluster_set AND b.cluster = m.c2
        JOIN cluster c ON c.cluster_set = t.cluster_set AND c.cluster = m.c_next
        ORDER BY m.place
    """
    return [InexactAnswer(**row) for row in conn.execute(text(query), {"version": version, "limit": limit}).mappings()]


def before(conn: Connection, version: int) -> int | None:
    """The table before this one: of the same cluster set, the next older nominal time, complete, not pruned.

    Raises:
        BadInput: there is no such table.
    """
    this = get(conn, version)
    query = """
        SELECT version FROM transition_table
        WHERE cluster_set = :cluster_set AND complete AND has_rows('table', version) AND (nominal, version) < (:nominal, :version)
        ORDER BY nominal DESC, version DESC LIMIT 1
    """
    parameters = {"cluster_set": this.cluster_set, "nominal": this.nominal, "version": version}
    return conn.execute(text(query), parameters).scalar_one_or_none()


def lineage(conn: Connection, version: int) -> dict[str, Any]:
    """Everything a table was made of and everyone who had a say: the rows of `table_lineage` and `table_assignment`, with JSON
    values inside, whether the table is approved, and every verdict about it, oldest first.

    Raises:
        BadInput: there is no such table.
    """
    query = "SELECT * FROM table_lineage l JOIN table_assignment a USING (version) WHERE version = :version"
    row = conn.execute(text(query), {"version": version}).mappings()
    query = "SELECT to_jsonb(v) - 'table_version' FROM verdict v WHERE table_version = :version ORDER BY id"
    verdicts = conn.execute(text(query), {"version": version}).scalars()
    return {"approved": get(conn, version).approved, **row.one(), "verdicts": list(verdicts)}


def weights(conn: Connection, version: int) -> dict[str, Any] | None:
    """What was fitted for a table of counts or a blend; None for a table of the LLM.

    Raises:
        BadInput: there is no such table.
    """
    found = conn.execute(select(transition_table.c.weights).where(transition_table.c.version == version)).one_or_none()
    if found is None:
        raise BadInput(f"no transition table {version}: see `driftline tables list`")
    fitted: dict[str, Any] | None = found.weights
    return fitted


def lookup(conn: Connection, c1: int, c2: int, channel: str = "default") -> Lookup:
    """The novel cluster to explore after c1 and then c2, from the channel's current table.

    Raises:
        BadInput: nothing is published on the channel, or the pair is not in its table.
    """
    query = text(
        """
        SELECT n.c_next, n.name AS c_next_name, n.version, n.decoding, a.name AS c1_name, b.name AS c2_name,
            table_approved(n.version) AS approved, n.answers, n.score
        FROM next_answer(:c1, :c2, :channel) n
        JOIN transition_table t ON t.version = n.version
        JOIN cluster a ON a.cluster_set = t.cluster_set AND a.cluster = :c1
        JOIN cluster b ON b.cluster_set = t.cluster_set AND b.cluster = :c2
        """
    )
    row = conn.execute(query, {"c1": c1, "c2": c2, "channel": channel}).mappings().one_or_none()
    if row is not None:
        return Lookup(c1=c1, c2=c2, channel=channel, **row)
    current = "SELECT clusters FROM channel JOIN table_overview ON version = table_version WHERE name = :channel"
    clusters = conn.execute(text(current), {"channel": channel}).scalar_one_or_none()
    if clusters is None:
        raise BadInput(f"nothing is published on channel {channel!r}: see `driftline tables list`")
    raise BadInput(f"no pair ({c1}, {c2}): two different cluster ids out of 0..{clusters - 1}; see `driftline clusters show`")


def _fill(conn: Connection, version: int, mapping: pa.Table) -> int:
    """Load the rows of a version; how many there are then."""
    from driftline.db.load import add_partition, copy_rows
    from driftline.db.mappings import to_rows

    loaded = to_rows(version, mapping)
    types = ["int8", "int4", "int4", "int4", "text", "text", "int4[]", "float4", "int4"]

    def fill(partition: str) -> None:
        copy_rows(conn, partition, loaded, types, fresh=True)

    add_partition(conn, "transition", version, "version, c1, c2", fill)
    stored: int = conn.execute(select(func.count()).select_from(transition).where(transition.c.version == version)).scalar_one()
    if stored != mapping.num_rows:
        raise RuntimeError(f"transition table {version} has {stored} rows instead of {mapping.num_rows}: nothing is kept")
    return stored


def _integers(conn: Connection, query: str, version: int) -> pa.Table:
    """What a query of one version finds, as c1, c2, c_next and exact."""
    import pyarrow as pa

    from driftline.db.load import read_integers

    return read_integers(conn, query, [version], pa.schema([(name, pa.int32()) for name in ("c1", "c2", "c_next", "exact")]))


def _computed(request: StoreTable) -> dict[str, Any] | None:
    return asdict(request.mapping.computed) if request.mapping and request.mapping.computed else None


def _key(request: StoreTable) -> str:
    """Content key of a table. That of a table of the LLM is as it was before there were others."""
    about = (request.kind, request.nominal, request.model, request.counts, request.prompts.hash if request.prompts else None)
    decoding = (request.generation.decides() if request.generation else {}) | (_computed(request) or {})
    retrieval = asdict(request.retrieval) if request.retrieval else None
    if request.fitted is None:
        return content_key(*about, decoding, retrieval)
    fitting = () if request.fitted.fitting == 1 else (request.fitted.fitting,)
    return content_key(*about, decoding, retrieval, request.answers, request.fitted.known, request.fitted.validation, *fitting)


def _cluster_set(conn: Connection, request: StoreTable) -> tuple[int, int]:
    """Version and size of the one cluster set that model and counts share."""
    if request.model is None:
        counted = select(counts.c.cluster_set, cluster_set.c.clusters).join(cluster_set).where(counts.c.version == request.counts)
        found = conn.execute(counted).one_or_none()
        if found is None:
            raise BadInput(f"no counts version {request.counts}")
        return found.cluster_set, found.clusters
    query = (
        select(model.c.cluster_set, counts.c.cluster_set.label("counted"), cluster_set.c.clusters)
        .join(cluster_set, cluster_set.c.version == model.c.cluster_set)
        .join(counts, counts.c.version == request.counts)
        .where(model.c.version == request.model)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        raise BadInput(f"no model version {request.model} or no counts version {request.counts}")
    if row.cluster_set != row.counted:
        raise BadInput(
            f"the model is of cluster set {row.cluster_set}, the counts are of {row.counted}: count again or fine-tune"
        )
    return row.cluster_set, row.clusters
