"""Tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cluster_set",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the clusters, their items and the method: the same input is the same version",
        ),
        sa.Column("method", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="How the set was made"),
        sa.Column("clusters", sa.Integer(), nullable=False, comment="|C|; cluster ids are 0..|C|-1"),
        sa.Column("items", sa.BigInteger(), nullable=False, comment="Items assigned to a cluster"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("cluster_set_pkey")),
        sa.UniqueConstraint("key", name=op.f("cluster_set_key_key")),
        comment="A version of the set C of all clusters; everything else names the cluster set it was made with",
    )
    op.create_table(
        "transition",
        sa.Column("version", sa.BigInteger(), nullable=False, comment="Transition table"),
        sa.Column("c1", sa.Integer(), nullable=False, comment="First cluster the user showed"),
        sa.Column("c2", sa.Integer(), nullable=False, comment="Second cluster the user showed"),
        sa.Column("c_next", sa.Integer(), nullable=False, comment="The novel cluster to explore next"),
        sa.Column(
            "decoding", sa.Text(), nullable=False, comment="exact: also the free greedy answer | constrained: only by constraint"
        ),
        sa.Column("free", sa.Text(), nullable=True, comment="constrained: where the free answer leaves the constrained one"),
        sa.Column("retrieved", postgresql.ARRAY(sa.Integer()), nullable=False, comment="Clusters on the prompt's retrieved line"),
        sa.CheckConstraint("decoding IN ('exact', 'constrained')", name=op.f("transition_decoding_check")),
        sa.CheckConstraint("c1 <> c2 AND c_next <> c1 AND c_next <> c2", name=op.f("transition_novel_check")),
        sa.PrimaryKeyConstraint("version", "c1", "c2", name=op.f("transition_pkey")),
        comment="Rows of the transition tables; one partition per version",
        postgresql_partition_by="LIST (version)",
    )
    op.create_table(
        "transition_count",
        sa.Column("version", sa.BigInteger(), nullable=False, comment="Counts version"),
        sa.Column("c1", sa.Integer(), nullable=False, comment="First cluster of the ordered pair"),
        sa.Column("c2", sa.Integer(), nullable=False, comment="Second cluster of the ordered pair"),
        sa.Column("c_next", sa.Integer(), nullable=False, comment="The successor: the next distinct cluster"),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="Occurrences in the window"),
        sa.CheckConstraint("c1 <> c2 AND c_next <> c1 AND c_next <> c2", name=op.f("transition_count_distinct_check")),
        sa.CheckConstraint("n > 0", name=op.f("transition_count_occurs_check")),
        sa.PrimaryKeyConstraint("version", "c1", "c2", "c_next", name=op.f("transition_count_pkey")),
        comment="Triples of a counts version; one partition per version",
        postgresql_partition_by="LIST (version)",
    )
    op.create_table(
        "cluster",
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Version of the set"),
        sa.Column("cluster", sa.Integer(), nullable=False, comment="Id within the set, from 0"),
        sa.Column("name", sa.Text(), nullable=False, comment="Short name, for people"),
        sa.Column("description", sa.Text(), nullable=False, comment="The exact text the LLM must write"),
        sa.Column("keywords", postgresql.ARRAY(sa.Text()), nullable=False, comment="Keywords, most telling first"),
        sa.Column("traffic", sa.BigInteger(), nullable=False, comment="Positive events of its items"),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("cluster_cluster_set_fkey")),
        sa.PrimaryKeyConstraint("cluster_set", "cluster", name=op.f("cluster_pkey")),
        sa.UniqueConstraint("cluster_set", "description", name=op.f("cluster_cluster_set_description_key")),
        comment="One interest: a topically coherent group of items",
    )
    op.create_table(
        "counts",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of cluster set, window, de-duplication, predicate and rows: the same input is the same version",
        ),
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Cluster set the triples are written in"),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False, comment="First instant of the window"),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False, comment="First instant after the window"),
        sa.Column("dedup", sa.Text(), nullable=False, comment="De-duplication of sequences: first | adjacent"),
        sa.Column("predicate", sa.Text(), nullable=False, comment="What counted as positive engagement"),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="Events read in the window"),
        sa.Column("users", sa.BigInteger(), nullable=False, comment="Users with an event in the window"),
        sa.Column("triples", sa.BigInteger(), nullable=False, comment="Occurrences: the sum of all counts"),
        sa.Column("distinct_triples", sa.BigInteger(), nullable=False, comment="Rows in transition_count"),
        sa.Column("dropped", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="What was left out, by reason"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.CheckConstraint("dedup IN ('first', 'adjacent')", name=op.f("counts_dedup_check")),
        sa.CheckConstraint("window_start < window_end", name=op.f("counts_window_check")),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("counts_cluster_set_fkey")),
        sa.PrimaryKeyConstraint("version", name=op.f("counts_pkey")),
        sa.UniqueConstraint("key", name=op.f("counts_key_key")),
        comment="A counts version: how often each triple occurred in a window",
    )
    op.create_table(
        "cluster_item",
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Version of the set"),
        sa.Column("item", sa.Text(), nullable=False, comment="Item id of the log"),
        sa.Column("cluster", sa.Integer(), nullable=False, comment="The item's cluster"),
        sa.ForeignKeyConstraint(
            ["cluster_set", "cluster"],
            ["cluster.cluster_set", "cluster.cluster"],
            name=op.f("cluster_item_cluster_set_cluster_fkey"),
        ),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("cluster_item_cluster_set_fkey")),
        sa.PrimaryKeyConstraint("cluster_set", "item", name=op.f("cluster_item_pkey")),
        comment="Which cluster an item belongs to",
    )
    op.create_table(
        "model",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of base model, adapter, counts, samples, cluster set and recipe: the same input is the same version",
        ),
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Cluster set whose descriptions it learned"),
        sa.Column("counts_version", sa.BigInteger(), nullable=False, comment="Counts the samples were curated from"),
        sa.Column("base_model", sa.Text(), nullable=False, comment="The LLM before fine-tuning"),
        sa.Column("adapter_uri", sa.Text(), nullable=False, comment="Where the LoRA adapter is kept"),
        sa.Column("adapter_hash", sa.Text(), nullable=False, comment="SHA-256 of the adapter"),
        sa.Column("samples_hash", sa.Text(), nullable=False, comment="SHA-256 of the fine-tuning samples"),
        sa.Column("recipe", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Every training knob"),
        sa.Column(
            "metrics",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="What training reported: losses, steps, seconds",
        ),
        sa.Column("workflow_id", sa.Text(), nullable=False, comment="Workflow that trained it"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run of that workflow"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("model_cluster_set_fkey")),
        sa.ForeignKeyConstraint(["counts_version"], ["counts.version"], name=op.f("model_counts_version_fkey")),
        sa.PrimaryKeyConstraint("version", name=op.f("model_pkey")),
        sa.UniqueConstraint("key", name=op.f("model_key_key")),
        comment="A model version: base model, LoRA adapter and everything needed to make it again",
    )
    op.create_table(
        "transition_table",
        sa.Column("version", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every new version"),
        sa.Column(
            "key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of kind, nominal time, model, counts, prompts and decoding: the same input is the same version",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="fine_tune | rag"),
        sa.Column(
            "nominal", sa.DateTime(timezone=True), nullable=False, comment="The schedule's nominal time; windows come from it"
        ),
        sa.Column("cluster_set", sa.BigInteger(), nullable=False, comment="Cluster set of its pairs"),
        sa.Column(
            "counts_version", sa.BigInteger(), nullable=False, comment="fine_tune: counts trained on; rag: counts retrieved from"
        ),
        sa.Column("model_version", sa.BigInteger(), nullable=False, comment="Model that wrote the mapping"),
        sa.Column("prompts_hash", sa.Text(), nullable=False, comment="Hash of template, descriptions and retrieved lines"),
        sa.Column("unseen", sa.Integer(), nullable=False, comment="rag: pairs without a retrieved line"),
        sa.Column("mapping_hash", sa.Text(), nullable=False, comment="SHA-256 of the mapping file"),
        sa.Column("generation", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Decoding parameters"),
        sa.Column(
            "retrieval", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="rag: how successors were retrieved"
        ),
        sa.Column("rows", sa.Integer(), nullable=False, comment="Pairs in the table"),
        sa.Column("exact", sa.Integer(), nullable=False, comment="Pairs whose free greedy answer is a description"),
        sa.Column("complete", sa.Boolean(), nullable=False, comment="Every ordered pair of the cluster set is there"),
        sa.Column("workflow_id", sa.Text(), nullable=False, comment="Workflow that made it"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run of that workflow"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.CheckConstraint("kind IN ('fine_tune', 'rag')", name=op.f("transition_table_kind_check")),
        sa.ForeignKeyConstraint(["cluster_set"], ["cluster_set.version"], name=op.f("transition_table_cluster_set_fkey")),
        sa.ForeignKeyConstraint(["counts_version"], ["counts.version"], name=op.f("transition_table_counts_version_fkey")),
        sa.ForeignKeyConstraint(["model_version"], ["model.version"], name=op.f("transition_table_model_version_fkey")),
        sa.PrimaryKeyConstraint("version", name=op.f("transition_table_pkey")),
        sa.UniqueConstraint("key", name=op.f("transition_table_key_key")),
        comment="A transition table: a mapping stored as a version; the product",
    )
    op.create_table(
        "evaluation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Grows with every evaluation"),
        sa.Column("table_version", sa.BigInteger(), nullable=False, comment="The candidate"),
        sa.Column("counts_version", sa.BigInteger(), nullable=False, comment="Counts of the test window"),
        sa.Column(
            "exact_match_rate", sa.Double(), nullable=False, comment="Share of pairs answered exactly when decoding freely"
        ),
        sa.Column("recall", sa.Double(), nullable=True, comment="Share of the test window's triples that the mapping predicts"),
        sa.Column("recall_low", sa.Double(), nullable=True, comment="One-sided lower confidence bound of recall"),
        sa.Column("recall_chance", sa.Double(), nullable=False, comment="Recall of a uniform guess: 1/(|C|-2)"),
        sa.Column("recall_popular", sa.Double(), nullable=True, comment="Recall of the most popular successor"),
        sa.Column("recall_frequent", sa.Double(), nullable=True, comment="Recall of the pair's most frequent successor"),
        sa.Column("test_triples", sa.BigInteger(), nullable=False, comment="Occurrences in the test window"),
        sa.Column("coverage", sa.Integer(), nullable=False, comment="Distinct clusters that the mapping answers"),
        sa.Column(
            "failed_gates", postgresql.ARRAY(sa.Text()), nullable=False, comment="Names of failed gates; empty when all passed"
        ),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Why each gate failed"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was written",
        ),
        sa.ForeignKeyConstraint(["counts_version"], ["counts.version"], name=op.f("evaluation_counts_version_fkey")),
        sa.ForeignKeyConstraint(["table_version"], ["transition_table.version"], name=op.f("evaluation_table_version_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("evaluation_pkey")),
        sa.UniqueConstraint("id", "table_version", name=op.f("evaluation_id_table_version_key")),
        comment="What the gates judged a candidate by; a table's newest row counts",
    )
    op.create_index(op.f("evaluation_table_version_id_idx"), "evaluation", ["table_version", "id"], unique=False)
    op.create_table(
        "gate",
        sa.Column("gate_id", sa.Text(), nullable=False, comment="Hash of candidate and evaluation; a verdict names it"),
        sa.Column("table_version", sa.BigInteger(), nullable=False, comment="The candidate that waits"),
        sa.Column("evaluation", sa.BigInteger(), nullable=False, comment="The evaluation that stopped it"),
        sa.Column(
            "failed_gates",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Names of failed gates; empty: review is always asked for",
        ),
        sa.Column(
            "evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="The evaluation as the reviewer sees it"
        ),
        sa.Column("workflow_id", sa.Text(), nullable=False, comment="Workflow that waits for the verdict"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run of that workflow"),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Since when the candidate waits",
        ),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True), nullable=False, comment="When an unanswered gate ends; nothing is published"
        ),
        sa.ForeignKeyConstraint(
            ["evaluation", "table_version"],
            ["evaluation.id", "evaluation.table_version"],
            name=op.f("gate_evaluation_table_version_fkey"),
        ),
        sa.PrimaryKeyConstraint("gate_id", name=op.f("gate_pkey")),
        comment="A candidate stopped for review",
    )
    op.create_index(op.f("gate_table_version_idx"), "gate", ["table_version"], unique=False)
    op.create_table(
        "publication",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of publications"),
        sa.Column("channel", sa.Text(), nullable=False, comment="The channel that moved"),
        sa.Column("from_version", sa.BigInteger(), nullable=True, comment="Table it pointed at before; null at first"),
        sa.Column("to_version", sa.BigInteger(), nullable=False, comment="Table it points at from then on"),
        sa.Column("action", sa.Text(), nullable=False, comment="publish | rollback"),
        sa.Column("actor", sa.Text(), nullable=False, comment="Who moved it"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why"),
        sa.Column("gate_id", sa.Text(), nullable=True, comment="The gate whose approving review permitted it"),
        sa.Column("workflow_id", sa.Text(), nullable=True, comment="Workflow that moved it, if one did"),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Run of that workflow"),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When"),
        sa.CheckConstraint("action IN ('publish', 'rollback')", name=op.f("publication_action_check")),
        sa.CheckConstraint("channel <> '' AND actor <> ''", name=op.f("publication_named_check")),
        sa.ForeignKeyConstraint(["from_version"], ["transition_table.version"], name=op.f("publication_from_version_fkey")),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.gate_id"], name=op.f("publication_gate_id_fkey")),
        sa.ForeignKeyConstraint(["to_version"], ["transition_table.version"], name=op.f("publication_to_version_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("publication_pkey")),
        sa.UniqueConstraint("id", "channel", "to_version", name=op.f("publication_id_channel_to_version_key")),
        comment="Every move of a channel; append-only",
    )
    op.create_index(op.f("publication_channel_id_idx"), "publication", ["channel", "id"], unique=False)
    op.create_index(op.f("publication_to_version_idx"), "publication", ["to_version"], unique=False)
    op.create_table(
        "review",
        sa.Column("gate_id", sa.Text(), nullable=False, comment="The gate that this decides; one verdict each"),
        sa.Column("decision", sa.Text(), nullable=False, comment="approve | rerun | abort | expired (no verdict in time)"),
        sa.Column("reviewer", sa.Text(), nullable=False, comment="Who decided; driftline where nobody did"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why"),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When"),
        sa.CheckConstraint("decision IN ('approve', 'rerun', 'abort', 'expired')", name=op.f("review_decision_check")),
        sa.CheckConstraint("reviewer <> ''", name=op.f("review_reviewer_check")),
        sa.ForeignKeyConstraint(["gate_id"], ["gate.gate_id"], name=op.f("review_gate_id_fkey")),
        sa.PrimaryKeyConstraint("gate_id", name=op.f("review_pkey")),
        comment="How a gate was closed",
    )
    op.create_table(
        "channel",
        sa.Column("name", sa.Text(), nullable=False, comment="What serving reads, e.g. default, control, treatment"),
        sa.Column("table_version", sa.BigInteger(), nullable=False, comment="The transition table it points at"),
        sa.Column("publication", sa.BigInteger(), nullable=False, comment="The move that put it there"),
        sa.ForeignKeyConstraint(
            ["publication", "name", "table_version"],
            ["publication.id", "publication.channel", "publication.to_version"],
            name=op.f("channel_publication_name_table_version_fkey"),
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("channel_pkey")),
        comment="A channel's pointer: the only row that is updated in place, always together with a publication",
    )


def downgrade() -> None:
    op.drop_table("channel")
    op.drop_table("review")
    op.drop_index(op.f("publication_to_version_idx"), table_name="publication")
    op.drop_index(op.f("publication_channel_id_idx"), table_name="publication")
    op.drop_table("publication")
    op.drop_index(op.f("gate_table_version_idx"), table_name="gate")
    op.drop_table("gate")
    op.drop_index(op.f("evaluation_table_version_id_idx"), table_name="evaluation")
    op.drop_table("evaluation")
    op.drop_table("transition_table")
    op.drop_table("model")
    op.drop_table("cluster_item")
    op.drop_table("counts")
    op.drop_table("cluster")
    op.drop_table("transition_count")
    op.drop_table("transition")
    op.drop_table("cluster_set")
