"""The tables as SQLAlchemy sees them. The migrations make them; a test keeps the two the same.

Rows of `transition` and `transition_count` have no foreign key: attaching a partition would then lock the record's table
against every other writer until commit. Their partition and their record are made in one transaction instead.
"""

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

INSTANT = DateTime(timezone=True)


def _version() -> Column[int]:
    return Column("version", BigInteger, Identity(always=True), primary_key=True, comment="Grows with every new version")


def _key(of: str) -> Column[str]:
    return Column("key", Text, nullable=False, unique=True, comment=f"SHA-256 of {of}: the same input is the same version")


def _created() -> Column[object]:
    return Column("created_at", INSTANT, nullable=False, server_default=func.now(), comment="When this row was written")


def _reference(name: str, to: str, comment: str, **options: bool) -> Column[int]:
    return Column(name, BigInteger, ForeignKey(to), comment=comment, **{"nullable": False, **options})  # type: ignore[arg-type]


cluster_set = Table(
    "cluster_set",
    metadata,
    _version(),
    _key("the clusters, their items and the method"),
    Column("method", JSONB, nullable=False, comment="How the set was made"),
    Column("clusters", Integer, nullable=False, comment="|C|; cluster ids are 0..|C|-1"),
    Column("items", BigInteger, nullable=False, comment="Items assigned to a cluster"),
    _created(),
    comment="A version of the set C of all clusters; everything else names the cluster set it was made with",
)

cluster = Table(
    "cluster",
    metadata,
    _reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("cluster", Integer, nullable=False, comment="Id within the set, from 0"),
    Column("name", Text, nullable=False, comment="Short name, for people"),
    Column("description", Text, nullable=False, comment="The exact text the LLM must write"),
    Column("keywords", ARRAY(Text), nullable=False, comment="Keywords, most telling first"),
    Column("traffic", BigInteger, nullable=False, comment="Positive events of its items"),
    PrimaryKeyConstraint("cluster_set", "cluster"),
    UniqueConstraint("cluster_set", "description"),
    comment="One interest: a topically coherent group of items",
)

cluster_item = Table(
    "cluster_item",
    metadata,
    _reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("item", Text, nullable=False, comment="Item id of the log"),
    Column("cluster", Integer, nullable=False, comment="The item's cluster"),
    PrimaryKeyConstraint("cluster_set", "item"),
    ForeignKeyConstraint(["cluster_set", "cluster"], ["cluster.cluster_set", "cluster.cluster"]),
    comment="Which cluster an item belongs to",
)

cluster_centre = Table(
    "cluster_centre",
    metadata,
    _reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("cluster", Integer, nullable=False, comment="Id within the set"),
    Column("centre", ARRAY(REAL), nullable=False, comment="Mean embedding of its items, weighted by traffic, of length 1"),
    Column("model", Text, nullable=False, comment="The embedding model"),
    PrimaryKeyConstraint("cluster_set", "cluster"),
    ForeignKeyConstraint(["cluster_set", "cluster"], ["cluster.cluster_set", "cluster.cluster"]),
    comment="The middle of each cluster, to which new items are compared; a cluster whose items have no text has none",
)

assignment = Table(
    "assignment",
    metadata,
    _version(),
    _key("the assignment before, the items and the method"),
    _reference("cluster_set", "cluster_set.version", "The set that items were added to"),
    Column("items", BigInteger, nullable=False, comment="Items that this version added"),
    Column("method", JSONB, nullable=False, comment="Embedding model, catalogue, and what it was computed with"),
    _created(),
    Index(None, "cluster_set", "version"),
    comment="A version of which items a cluster set has: its own, and those of all its assignments up to this one",
)

assignment_item = Table(
    "assignment_item",
    metadata,
    _reference("cluster_set", "cluster_set.version", "Version of the set"),
    Column("item", Text, nullable=False, comment="Item id of the log; new to the set"),
    Column("cluster", Integer, nullable=False, comment="The cluster with the nearest centre"),
    _reference("assignment", "assignment.version", "The version that added it"),
    Column("similarity", REAL, nullable=False, comment="Cosine of its text's embedding and that centre"),
    PrimaryKeyConstraint("cluster_set", "item"),
    ForeignKeyConstraint(["cluster_set", "cluster"], ["cluster.cluster_set", "cluster.cluster"]),
    Index(None, "assignment"),
    comment="Items that came after their cluster set",
)

counts = Table(
    "counts",
    metadata,
    _version(),
    _key("cluster set, assignment, window, de-duplication, predicate and rows"),
    _reference("cluster_set", "cluster_set.version", "Cluster set the triples are written in"),
    Column("window_start", INSTANT, nullable=False, comment="First instant of the window"),
    Column("window_end", INSTANT, nullable=False, comment="First instant after the window"),
    Column("dedup", Text, nullable=False, comment="De-duplication of sequences: first | adjacent"),
    Column("predicate", Text, nullable=False, comment="What counted as positive engagement"),
    Column("events", BigInteger, nullable=False, comment="Events read in the window"),
    Column("users", BigInteger, nullable=False, comment="Users with an event in the window"),
    Column("triples", BigInteger, nullable=False, comment="Occurrences: the sum of all counts"),
    Column("distinct_triples", BigInteger, nullable=False, comment="Rows in transition_count"),
    Column("dropped", JSONB, nullable=False, comment="What was left out, by reason"),
    _created(),
    _reference("assignment", "assignment.version", "Which items its clusters had; null: the set's own", nullable=True),
    CheckConstraint("window_start < window_end", name="window"),
    CheckConstraint("dedup IN ('first', 'adjacent')", name="dedup"),
    comment="A counts version: how often each triple occurred in a window",
)

transition_count = Table(
    "transition_count",
    metadata,
    Column("version", BigInteger, nullable=False, comment="Counts version"),
    Column("c1", Integer, nullable=False, comment="First cluster of the ordered pair"),
    Column("c2", Integer, nullable=False, comment="Second cluster of the ordered pair"),
    Column("c_next", Integer, nullable=False, comment="The successor: the next distinct cluster"),
    Column("n", BigInteger, nullable=False, comment="Occurrences in the window"),
    PrimaryKeyConstraint("version", "c1", "c2", "c_next"),
    CheckConstraint("c1 <> c2 AND c_next <> c1 AND c_next <> c2", name="distinct"),
    CheckConstraint("n > 0", name="occurs"),
    comment="Triples of a counts version; one partition per version",
    postgresql_partition_by="LIST (version)",
)

pair_traffic = Table(
    "pair_traffic",
    metadata,
    Column("version", BigInteger, ForeignKey("counts.version"), primary_key=True, autoincrement=False, comment="Counts version"),
    Column("c1", LargeBinary, nullable=False, comment="First cluster of each pair, 4 bytes each, ascending"),
    Column("c2", LargeBinary, nullable=False, comment="Second cluster of each pair, 4 bytes each"),
    Column("n", LargeBinary, nullable=False, comment="Occurrences of each pair, 8 bytes each"),
    comment="Occurrences of each ordered pair of a counts version, as columns of big-endian integers; the sum of its triples",
)

model = Table(
    "model",
    metadata,
    _version(),
    _key("base model, adapter, counts, samples, cluster set and recipe"),
    _reference("cluster_set", "cluster_set.version", "Cluster set whose descriptions it learned"),
    _reference("counts_version", "counts.version", "Counts the samples were curated from"),
    Column("base_model", Text, nullable=False, comment="The LLM before fine-tuning"),
    Column("adapter_uri", Text, nullable=False, comment="Where the LoRA adapter is kept"),
    Column("adapter_hash", Text, nullable=False, comment="SHA-256 of the adapter"),
    Column("samples_hash", Text, nullable=False, comment="SHA-256 of the fine-tuning samples"),
    Column("recipe", JSONB, nullable=False, comment="Every training knob"),
    Column("metrics", JSONB, nullable=False, comment="What training reported: losses, steps, seconds"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that trained it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    _created(),
    _reference("validation_counts", "counts.version", "Counts of the window that chose its checkpoint", nullable=True),
    comment="A model version: base model, LoRA adapter and everything needed to make it again",
)

recommender = Table(
    "recommender",
    metadata,
    _version(),
    _key("cluster set, assignment, windows, recipe and content"),
    _reference("cluster_set", "cluster_set.version", "Cluster set whose items it recommends"),
    _reference("assignment", "assignment.version", "Which items its clusters had; null: the set's own", nullable=True),
    Column("nominal", INSTANT, nullable=False, comment="The run's nominal time; windows come from it"),
    Column("window_start", INSTANT, nullable=False, comment="First instant that it was trained on"),
    Column("window_end", INSTANT, nullable=False, comment="First instant after what it has seen"),
    Column("uri", Text, nullable=False, comment="Where weights and item embeddings are kept"),
    Column("hash", Text, nullable=False, comment="SHA-256 of them"),
    Column("sequences_hash", Text, nullable=False, comment="SHA-256 of the item sequences"),
    Column("encoder_uri", Text, nullable=False, comment="Where what training made is kept"),
    Column("encoder_hash", Text, nullable=False, comment="SHA-256 of what training made"),
    Column("recipe", JSONB, nullable=False, comment="Every knob, the catalogue and the embeddings of texts"),
    Column("items", BigInteger, nullable=False, comment="Items that it can recommend"),
    Column("new_items", BigInteger, nullable=False, comment="Of them, those whose vector comes from their text"),
    Column("popularity", Double, nullable=False, comment="Weight of log popularity that the validation days chose"),
    Column("metrics", JSONB, nullable=False, comment="What training reported: losses, NDCG, seconds"),
    Column("measured", JSONB, nullable=False, comment="On the test days: NDCG and hit rate, each beside others"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that made it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    _created(),
    CheckConstraint("window_start < window_end", name="window"),
    Index(None, "cluster_set", "version"),
    comment="A version of the sequence recommender: weights, item embeddings and everything needed to make it again",
)

transition_table = Table(
    "transition_table",
    metadata,
    _version(),
    _key("kind, nominal time, model, counts, prompts and decoding"),
    Column("kind", Text, nullable=False, comment="fine_tune | rag"),
    Column("nominal", INSTANT, nullable=False, comment="The schedule's nominal time; windows come from it"),
    _reference("cluster_set", "cluster_set.version", "Cluster set of its pairs"),
    _reference("counts_version", "counts.version", "llm: counts trained on, or retrieved from; else: counts that answered"),
    _reference("model_version", "model.version", "Model that answered; null: a table of counts", nullable=True),
    Column("prompts_hash", Text, comment="Hash of template, descriptions and retrieved lines; null: a table of counts"),
    Column("unseen", Integer, nullable=False, comment="rag: pairs without a retrieved line"),
    Column("mapping_hash", Text, nullable=False, comment="SHA-256 of the mapping file"),
    Column("generation", JSONB, comment="Decoding parameters; null: a table of counts"),
    Column("retrieval", JSONB, comment="rag: how successors were retrieved"),
    Column("rows", Integer, nullable=False, comment="Pairs in the table"),
    Column("exact", Integer, comment="Pairs whose free greedy answer is a description; null: no LLM was asked"),
    Column("complete", Boolean, nullable=False, comment="Every ordered pair of the cluster set is there"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that made it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    _created(),
    Column("cost", JSONB, comment="What bulk inference spent: tokens forwarded, pairs asked and reused, seconds"),
    Column("computed", JSONB, comment="What bulk inference computed with: engine, precision, device and versions, as resolved"),
    Column("answers", Text, nullable=False, server_default="llm", comment="What it is made of: llm | blend | counts"),
    _reference("known_counts", "counts.version", "blend, counts: counts that were fitted with", nullable=True),
    _reference("validation_counts", "counts.version", "blend, counts: of the window that fitted the weights", nullable=True),
    Column("weights", JSONB, comment="blend, counts: what was fitted, by name: {value, low, high} (95 % interval)"),
    Column("likeliest", Integer, comment="Pairs whose greedy answer has the highest log p; null: no scores were kept"),
    CheckConstraint("kind IN ('fine_tune', 'rag')", name="kind"),
    CheckConstraint("answers IN ('llm', 'blend', 'counts')", name="answers"),
    CheckConstraint("answers = 'counts' OR (model_version IS NOT NULL AND prompts_hash IS NOT NULL)", name="model"),
    comment="A transition table: a mapping stored as a version; the product",
)

transition = Table(
    "transition",
    metadata,
    Column("version", BigInteger, nullable=False, comment="Transition table"),
    Column("c1", Integer, nullable=False, comment="First cluster the user showed"),
    Column("c2", Integer, nullable=False, comment="Second cluster the user showed"),
    Column("c_next", Integer, nullable=False, comment="The novel cluster to explore next"),
    Column(
        "decoding",
        Text,
        comment="Of the LLM's answer. exact: also the free greedy one | constrained: only by constraint; null: it was not asked",
    ),
    Column("free", Text, comment="constrained: where the free answer leaves the constrained one"),
    Column("retrieved", ARRAY(Integer), nullable=False, comment="Clusters on the prompt's retrieved line"),
    Column("score", REAL, comment="log p of the answer, under what the table is made of; null: not on record"),
    Column("llm_next", Integer, comment="blend: the LLM's own greedy answer, which decoding and free are about"),
    PrimaryKeyConstraint("version", "c1", "c2"),
    CheckConstraint("c1 <> c2 AND c_next <> c1 AND c_next <> c2", name="novel"),
    CheckConstraint("decoding IN ('exact', 'constrained')", name="decoding"),
    comment="Rows of the transition tables; one partition per version",
    postgresql_partition_by="LIST (version)",
)

evaluation = Table(
    "evaluation",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Grows with every evaluation"),
    _reference("table_version", "transition_table.version", "The candidate"),
    _reference("counts_version", "counts.version", "Counts of the test window"),
    Column("exact_match_rate", Double, comment="Share of pairs answered exactly when decoding freely; null: no LLM was asked"),
    Column("recall", Double, comment="Share of the test window's triples that the mapping predicts"),
    Column("recall_low", Double, comment="Lower bound of recall; with measurement: over users, else over triples (ADR 0019)"),
    Column("recall_chance", Double, nullable=False, comment="Recall of a uniform guess: 1/(|C|-2)"),
    Column("recall_popular", Double, comment="Recall of the most popular successor"),
    Column("recall_frequent", Double, comment="Recall of the pair's most frequent successor"),
    Column("test_triples", BigInteger, nullable=False, comment="Occurrences in the test window"),
    Column("coverage", Integer, nullable=False, comment="Distinct clusters that the mapping answers"),
    Column("failed_gates", ARRAY(Text), nullable=False, comment="Names of failed gates; empty when all passed"),
    Column("reasons", JSONB, nullable=False, comment="Why each gate failed"),
    _created(),
    Column(
        "review_required",
        Boolean,
        nullable=False,
        server_default="false",
        comment="A person has to decide, also where every gate passed",
    ),
    Column("unknown_share", Double, comment="Share of the positive events that are of items in no cluster: the larger window's"),
    Column("test_users", BigInteger, comment="Users with a triple in the test window; null: not on record"),
    Column(
        "measurement", BigInteger, ForeignKey("measurement.version"), comment="Judged by this one; null: before it was on record"
    ),
    UniqueConstraint("id", "table_version"),
    Index(None, "table_version", "id"),
    comment="What the gates judged a candidate by; a table's newest row counts",
)

review = Table(
    "gate",
    metadata,
    Column("gate_id", Text, primary_key=True, comment="Hash of candidate and evaluation; a verdict names it"),
    Column("table_version", BigInteger, nullable=False, comment="The candidate that waits"),
    Column("evaluation", BigInteger, nullable=False, comment="The evaluation that stopped it"),
    Column("failed_gates", ARRAY(Text), nullable=False, comment="Names of failed gates; empty: review is always asked for"),
    Column("evidence", JSONB, nullable=False, comment="The evaluation as the reviewer sees it"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that waits for the verdict"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    Column("opened_at", INSTANT, nullable=False, server_default=func.now(), comment="Since when the candidate waits"),
    Column("expires_at", INSTANT, nullable=False, comment="When an unanswered gate ends; nothing is published"),
    ForeignKeyConstraint(["evaluation", "table_version"], ["evaluation.id", "evaluation.table_version"]),
    Index(None, "table_version"),
    Column("channel", Text, comment="Where the candidate would be published"),
    comment="Reviews: candidates that wait for a person, or waited; gate_id is the review's id",
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of verdicts"),
    _reference("table_version", "transition_table.version", "The table that it is about"),
    Column(
        "gate_id",
        Text,
        ForeignKey("gate.gate_id"),
        unique=True,
        comment="The review that it closes, one verdict each; null: revoke",
    ),
    Column(
        "decision",
        Text,
        nullable=False,
        comment="approve | rerun | abort | revoke | expired (no verdict in time) | superseded (a newer candidate came)",
    ),
    Column("reviewer", Text, nullable=False, comment="Who decided; driftline where nobody did"),
    Column(
        "known_by",
        Text,
        nullable=False,
        server_default="claimed",
        comment="How the reviewer's name is known: login | oidc | proxy | principal | claimed (by whoever sent it) | system",
    ),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("decided_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint("decision IN ('approve', 'rerun', 'abort', 'revoke', 'expired', 'superseded')", name="decision"),
    CheckConstraint("(gate_id IS NULL) = (decision = 'revoke')", name="review"),
    CheckConstraint("known_by IN ('login', 'oidc', 'proxy', 'principal', 'claimed', 'system')", name="known_by"),
    CheckConstraint("reviewer <> ''", name="reviewer"),
    Index(None, "table_version", "id"),
    comment="What was decided about tables; of a person's verdicts about a table the newest decides",
)

consent = Table(
    "consent",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of consents"),
    Column("gate_id", Text, ForeignKey("gate.gate_id"), nullable=False, comment="The review that somebody would approve"),
    Column("reviewer", Text, nullable=False, comment="Who would"),
    Column("known_by", Text, nullable=False, comment="How the name is known, as of a verdict"),
    Column("shown", Text, nullable=False, comment="What they saw; it counts only while it is still so"),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("given_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    UniqueConstraint("gate_id", "reviewer", "shown"),
    CheckConstraint("reviewer <> ''", name="reviewer"),
    comment="Approvals of a review that wait for those of a second person (web.two_persons)",
)

measurement = Table(
    "measurement",
    metadata,
    _version(),
    _key("kind, subject, inputs, result and the measurement before"),
    Column("kind", Text, nullable=False, comment="drift | staleness | refresh | answers | retrieval | quality | names | policy"),
    _reference("cluster_set", "cluster_set.version", "Cluster set it was measured in"),
    _reference("table_version", "transition_table.version", "quality: the table", nullable=True),
    _reference("model_version", "model.version", "refresh, answers, retrieval: the model that answered", nullable=True),
    Column("inputs", JSONB, nullable=False, comment="Everything it was computed from: versions, hashes, windows, knobs"),
    Column("result", JSONB, nullable=False, comment="The numbers, each with its interval and n"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that measured it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    _created(),
    CheckConstraint(
        "kind IN ('drift', 'staleness', 'refresh', 'answers', 'retrieval', 'quality', 'names', 'policy')",
        name="kind",
    ),
    Index(None, "cluster_set", "kind", "version"),
    Index(None, "table_version"),
    comment="A measured result, with what it was computed from",
)

report = Table(
    "report",
    metadata,
    _version(),
    _key("table, measurements, findings and the report before"),
    _reference("table_version", "transition_table.version", "The table that is reported on"),
    Column("measurements", ARRAY(BigInteger), nullable=False, comment="Versions of the measurements it rests on"),
    Column("findings", JSONB, nullable=False, comment="Its summary, most important first: [{level, text}]"),
    _created(),
    Index(None, "table_version", "version"),
    comment="What the measurements say about a table; a table's newest report counts",
)

log_profile = Table(
    "log_profile",
    metadata,
    _version(),
    Column("source", JSONB, nullable=False, comment="Where the log was read, and how"),
    Column("profile", JSONB, nullable=False, comment="Sizes, span, dropped rows by reason"),
    _created(),
    comment="What `driftline ingest` found in the event log",
)

publication = Table(
    "publication",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of publications"),
    Column("channel", Text, nullable=False, comment="The channel that moved"),
    _reference("from_version", "transition_table.version", "Table it pointed at before; null at first", nullable=True),
    _reference("to_version", "transition_table.version", "Table it points at from then on"),
    Column("action", Text, nullable=False, comment="publish | rollback"),
    Column("actor", Text, nullable=False, comment="Who moved it"),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("gate_id", Text, ForeignKey("gate.gate_id"), comment="The gate whose approving review permitted it"),
    Column("workflow_id", Text, comment="Workflow that moved it, if one did"),
    Column("run_id", Text, comment="Run of that workflow"),
    Column("at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    UniqueConstraint("id", "channel", "to_version"),
    CheckConstraint("action IN ('publish', 'rollback')", name="action"),
    CheckConstraint("channel <> '' AND actor <> ''", name="named"),
    Index(None, "channel", "id"),
    Index(None, "to_version"),
    comment="Every move of a channel; append-only",
)

channel = Table(
    "channel",
    metadata,
    Column("name", Text, primary_key=True, comment="What serving reads, e.g. default, control, treatment"),
    Column("table_version", BigInteger, nullable=False, comment="The transition table it points at"),
    Column("publication", BigInteger, nullable=False, comment="The move that put it there"),
    ForeignKeyConstraint(
        ["publication", "name", "table_version"], ["publication.id", "publication.channel", "publication.to_version"]
    ),
    comment="A channel's pointer: the only row that is updated in place, always together with a publication",
)

notification = Table(
    "notification",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of first attempts"),
    Column("key", Text, nullable=False, comment="What happened; the same key is sent once to each target"),
    Column("target", Text, nullable=False, comment="Name in the settings; addresses are stored nowhere"),
    Column("event", Text, nullable=False, comment="review_opened, published, run_failed, …"),
    Column("level", Text, nullable=False, comment="info | warning | failure"),
    Column("title", Text, nullable=False, comment="First line of what was sent"),
    Column("state", Text, nullable=False, comment="claimed (an attempt is at it, or died) | sent | failed (may be tried again)"),
    Column("said", Text, nullable=False, comment="What the target answered"),
    Column("attempts", Integer, nullable=False, comment="How often it was claimed"),
    Column("claimed_at", INSTANT, nullable=False, server_default=func.now(), comment="When the newest attempt began"),
    _created(),
    UniqueConstraint("key", "target"),
    CheckConstraint("state IN ('claimed', 'sent', 'failed')", name="state"),
    CheckConstraint("level IN ('info', 'warning', 'failure')", name="level"),
    comment="Who was told what: a row per notification and target, claimed before it is sent",
)

schedule_count = Table(
    "schedule_count",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order of the rows"),
    Column("schedule", Text, nullable=False, comment="Id in Temporal"),
    Column(
        "skipped",
        BigInteger,
        nullable=False,
        comment="Starts left out because the run before was open, since the schedule was made",
    ),
    Column("missed", BigInteger, nullable=False, comment="Starts too old to be made up for, since the schedule was made"),
    _created(),
    Index(None, "schedule", "id"),
    comment="The counters of Temporal's schedules, a row whenever one has changed; append-only",
)

experiment = Table(
    "experiment",
    metadata,
    Column("name", Text, primary_key=True, comment="Never used twice"),
    Column("design", JSONB, nullable=False, comment="Metrics, channels and their weights, salt, days; as they were at the start"),
    Column("starts_at", INSTANT, nullable=False, comment="Midnight (UTC) with which its first day begins"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that measures it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    _created(),
    comment="A live experiment: users on two channels, compared day by day",
)

experiment_measurement = Table(
    "experiment_measurement",
    metadata,
    _version(),
    _key("experiment, days, result and the version before"),
    Column("experiment", Text, ForeignKey("experiment.name"), nullable=False, comment="The experiment"),
    Column("days", Integer, nullable=False, comment="Whole days since its start"),
    Column("mismatch", Boolean, nullable=False, comment="The split of the users is not that of the weights: there is no result"),
    Column("result", JSONB, nullable=False, comment="Users, metrics by day and cumulated, with a format number"),
    Column("workflow_id", Text, nullable=False, comment="Workflow that measured it"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    _created(),
    CheckConstraint("days > 0", name="days"),
    Index(None, "experiment", "version"),
    comment="What an experiment had come to after so many days; the newest counts",
)

experiment_end = Table(
    "experiment_end",
    metadata,
    Column("experiment", Text, ForeignKey("experiment.name"), primary_key=True, comment="The experiment"),
    Column("outcome", Text, nullable=False, comment="completed | stopped"),
    Column("actor", Text, nullable=False, comment="Who stopped it"),
    Column("reason", Text, nullable=False, comment="Why"),
    _created(),
    CheckConstraint("outcome IN ('completed', 'stopped')", name="outcome"),
    comment="How an experiment ended: after its days, or stopped by somebody",
)

_ACTIONS = "action IN ('none', 'counts', 'rag_refresh', 'fine_tune')"

cadence_override = Table(
    "cadence_override",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order; the newest counts"),
    Column("channel", Text, nullable=False, comment="Whose cadence"),
    Column("action", Text, nullable=False, comment="What is done on these days: none | counts | rag_refresh | fine_tune"),
    Column("first_day", Date, nullable=False, comment="First nominal day"),
    Column("last_day", Date, nullable=False, comment="Last nominal day"),
    Column("said_by", Text, nullable=False, comment="Who said so"),
    Column("known_by", Text, nullable=False, comment="How the name is known, as of a verdict"),
    Column("reason", Text, nullable=False, comment="Why"),
    Column("created_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint(_ACTIONS, name="action"),
    CheckConstraint("first_day <= last_day", name="days"),
    CheckConstraint("said_by <> '' AND reason <> ''", name="said"),
    comment="What people said about coming days, against what the cadence would decide",
)

cadence_day = Table(
    "cadence_day",
    metadata,
    Column("channel", Text, nullable=False, comment="Whose cadence"),
    Column("day", Date, nullable=False, comment="Nominal day: the log is known up to its midnight"),
    Column("action", Text, nullable=False, comment="What was started: none | counts | rag_refresh | fine_tune"),
    Column("reasons", ARRAY(Text), nullable=False, comment="Why, in words"),
    Column("measured", JSONB, comment="What the day before said; null: it was not measured"),
    Column("cost", Double, nullable=False, comment="Seconds that the action was expected to take"),
    Column("budget_left", Double, comment="Seconds left after it; null: there is no limit"),
    Column("settings", JSONB, nullable=False, comment="The cadence's settings that day"),
    _reference("override", "cadence_override.id", "The override that decided", nullable=True),
    Column("workflow_id", Text, nullable=False, comment="Workflow that decided"),
    Column("run_id", Text, nullable=False, comment="Run of that workflow"),
    Column("created_at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint(_ACTIONS, name="action"),
    PrimaryKeyConstraint("channel", "day"),
    comment="Every day that a cadence decided about, whether it acted or not",
)

pruning = Table(
    "pruning",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order"),
    Column("kind", Text, nullable=False, comment="table | counts"),
    Column("version", BigInteger, nullable=False, comment="Of the transition table or the counts"),
    Column("bytes", BigInteger, nullable=False, comment="What was freed, with its index"),
    Column("actor", Text, nullable=False, server_default=func.session_user(), comment="Login that dropped them"),
    Column("at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint("kind IN ('table', 'counts')", name="kind"),
    Index(None, "kind", "version"),
    comment="Versions whose rows were dropped, by whom and when; their records stay",
)

asked_again = Table(
    "asked_again",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Order"),
    Column("kind", Text, nullable=False, comment="table | counts"),
    Column("version", BigInteger, nullable=False, comment="Of the transition table or the counts"),
    Column("at", INSTANT, nullable=False, server_default=func.now(), comment="When"),
    CheckConstraint("kind IN ('table', 'counts')", name="kind"),
    Index(None, "kind", "version", "at"),
    comment="Versions that a later run found instead of making them: their age counts from then",
)
