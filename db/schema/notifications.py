"""Notifications by target, and the counters of the schedules that some of them are about."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Integer, Table, Text, UniqueConstraint, func

from driftline.db.schema.columns import INSTANT, created, metadata

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
    created(),
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
    created(),
    Index(None, "schedule", "id"),
    comment="The counters of Temporal's schedules, a row whenever one has changed; append-only",
)
