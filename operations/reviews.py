"""Reviews: the candidates that wait for a person, and the evidence that a verdict rests on. Verdicts: `operations.verdicts`.

What only the page needs is imported where it is used: who lists reviews, or shows one, starts without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from driftline.db import channels as db_channels
from driftline.db import reports as db_reports
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.channels import ServedTable
from driftline.db.connection import Connection, Engine
from driftline.db.reports import Report
from driftline.db.reviews import Review, TableVerdict
from driftline.db.tables import InexactAnswer, TransitionTable
from driftline.operations.context import Context

if TYPE_CHECKING:
    from driftline.db.consents import Consent
    from driftline.db.models import Model

EXAMPLES = 8
"""Answers that were not exact, shown to the reviewer."""
CHANGED = {
    "review": "it was decided, or another candidate came",
    "served": "the channel serves another table",
    "verdict": "there is another verdict about the candidate",
}
"""Parts of a fingerprint, and what it means when one differs."""


@dataclass(frozen=True)
class Candidate:
    """A table of the same kind, with every verdict about it, oldest first."""

    table: TransitionTable
    verdicts: tuple[TableVerdict, ...]


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against a candidate.

    Attributes:
        report: the newest of the candidate.
        inexact: pairs whose free answer was not exactly a novel description, and what was written instead.
        weights: what was fitted for the candidate, if it is a blend or a table of counts.
    """

    review: Review
    report: Report | None
    inexact: list[InexactAnswer]
    weights: Mapping[str, Any] | None


@dataclass(frozen=True)
class Case:
    """What the page shows of a review: what speaks for and against the candidate, and what it stands among.

    Attributes:
        served: what the channel serves, to which the candidate is compared.
        report, inexact: as in `Evidence`.
        lineage: the row of `table_lineage`, and every verdict about the candidate.
        period: the candidates of this kind and nominal time, this one too, oldest first.
        shown: fingerprint of what is seen here; a page's decision is taken only while it is still so.
    """

    review: Review
    table: TransitionTable
    served: ServedTable | None
    comparable: bool
    """Whether both are of one cluster set."""
    report: Report | None
    inexact: list[InexactAnswer]
    model: Model | None
    """None: a table of counts."""
    lineage: Mapping[str, Any]
    period: tuple[Candidate, ...]
    shown: str
    consents: tuple[Consent, ...]
    """Of those who would approve what is shown, where that takes two people."""

    @property
    def recent(self) -> bool:
        """Whether it was decided so recently that its run may not have acted yet."""
        decided = self.review.decided_at
        return decided is not None and datetime.now(UTC) - decided < timedelta(minutes=2)


def waiting(context: Context) -> list[Review]:
    """Every candidate that waits, longest first."""
    with context.engine.connect() as connection:
        return db_reviews.waiting(connection)


def decided(context: Context, limit: int = 20) -> list[Review]:
    """The reviews that ended last, newest first."""
    with context.engine.connect() as connection:
        return db_reviews.decided(connection, limit)


def about(context: Context, table: int) -> list[Review]:
    """Every review of a table, oldest first."""
    with context.engine.connect() as connection:
        return db_reviews.about(connection, table)


def get(context: Context, review_id: str) -> Review:
    """Reads one review, open or decided. Raises BadInput: there is no such review."""
    with context.engine.connect() as connection:
        return db_reviews.get(connection, review_id)


def evidence(context: Context, review_id: str) -> Evidence:
    """Reads what speaks for and against one review's candidate, as of one moment.

    Raises:
        BadInput: there is no such review.
    """
    with context.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        review = db_reviews.get(connection, review_id)
        return Evidence(
            review=review,
            report=db_reports.newest_of(connection, review.candidate),
            inexact=inexact(context.engine, review.candidate),
            weights=db_tables.weights(connection, review.candidate),
        )


def case(context: Context, review_id: str) -> Case:
    """Reads one review with everything that its page shows, as of one moment.

    Raises:
        BadInput: there is no such review.
    """
    from driftline.db import consents as db_consents
    from driftline.db import models as db_models

    with context.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        review = db_reviews.get(connection, review_id)
        table = db_tables.get(connection, review.candidate)
        served = _served(context, connection, review)
        before = db_tables.get(connection, served.version) if served else None
        return Case(
            review=review,
            table=table,
            served=served,
            comparable=before is not None and before.cluster_set == table.cluster_set,
            report=db_reports.newest_of(connection, table.version),
            inexact=inexact(context.engine, table.version),
            model=db_models.describe(connection, table.model_version) if table.model_version else None,
            lineage=db_tables.lineage(connection, table.version),
            period=_period(connection, table),
            shown=(shown := fingerprint(context, connection, review)),
            consents=tuple(given for given in db_consents.of(connection, review_id) if given.shown == shown),
        )


@lru_cache(maxsize=32)
def inexact(engine: Engine, table: int) -> list[InexactAnswer]:
    """Some answers that were not exact, spread over the table. Rows of a version never change: they are looked for once."""
    with engine.connect() as connection:
        return db_tables.inexact(connection, table, EXAMPLES)


def fingerprint(context: Context, connection: Connection, review: Review) -> str:
    """A hash for each of `CHANGED`: the review and its rivals, what the channel serves, the newest verdict."""
    served = _served(context, connection, review)
    rivals = [other.review_id for other in db_reviews.waiting(connection) if other.channel == review.channel]
    parts = (
        (review.review_id, review.candidate, review.decision, review.decided_at, *rivals),
        (served.channel, served.version, served.since) if served else (),
        (db_reviews.newest_verdict(connection, review.candidate),),
    )
    return ".".join(map(digest, parts))


def digest(seen: object) -> str:
    """A short hash of what somebody has seen."""
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def different(shown: str, now: str) -> str:
    """What differs between two fingerprints, in words; empty if nothing does."""
    seen, parts = shown.split("."), now.split(".")
    if len(seen) != len(parts):
        return "the form is not one of this page"
    return "; ".join(what for what, a, b in zip(CHANGED.values(), seen, parts, strict=True) if a != b)


def _served(context: Context, connection: Connection, review: Review) -> ServedTable | None:
    channel = review.channel or context.settings.channel
    return next((served for served in db_channels.served(connection) if served.channel == channel), None)


def _period(connection: Connection, table: TransitionTable) -> tuple[Candidate, ...]:
    same = [t for t in db_tables.list_tables(connection) if (t.kind, t.nominal) == (table.kind, table.nominal)]
    return tuple(Candidate(t, tuple(db_reviews.verdicts_about(connection, t.version))) for t in same)
