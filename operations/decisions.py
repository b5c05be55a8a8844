"""One review with everything that a decision rests on, and a decision that is bound to what was shown."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from driftline.contracts import REASON_LENGTH, Decision, KnownBy, Verdict, VerdictReply, barred, parse_verdict
from driftline.db import channels as db_channels
from driftline.db import consents as db_consents
from driftline.db import models as db_models
from driftline.db import reports as db_reports
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.channels import ServedTable
from driftline.db.connection import Connection
from driftline.db.consents import Consent
from driftline.db.models import Model
from driftline.db.reports import Report
from driftline.db.reviews import Review, TableVerdict
from driftline.db.tables import InexactAnswer, TransitionTable
from driftline.operations import reviews
from driftline.operations.context import Context

NEEDS_REASON = "write why: a reason is on record with {what}"
CHANGED = {
    "review": "it was decided, or another candidate came",
    "served": "the channel serves another table",
    "verdict": "there is another verdict about the candidate",
}


@dataclass(frozen=True)
class Candidate:
    """A table of the same kind, with every verdict about it, oldest first."""

    table: TransitionTable
    verdicts: tuple[TableVerdict, ...]


@dataclass(frozen=True)
class Case:
    """
    Attributes:
        served: what the channel serves, to which the candidate is compared.
        period: the candidates of this kind and nominal time, this one too, oldest first.
        lineage: the row of `table_lineage`, and every verdict about the candidate.
        shown: names what is seen here; a decision is taken only while it is still so.
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


def case(context: Context, review_id: str) -> Case:
    """Raises BadInput: there is no such review."""
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
            inexact=reviews.inexact(context, table.version),
            model=db_models.describe(connection, table.model_version) if table.model_version else None,
            lineage=db_tables.lineage(connection, table.version),
            period=_period(connection, table),
            shown=(shown := _shown(context, connection, review)),
            consents=tuple(given for given in db_consents.of(connection, review_id) if given.shown == shown),
        )


async def decide(
    context: Context, review_id: str, decision: Decision, person: str, known_by: KnownBy, reason: str, shown: str
) -> VerdictReply:
    """Take the verdict of somebody who is known, if what they saw still holds.

    Args:
        shown: of the `Case` that they saw.

    Raises:
        BadInput: there is no such review.
    """
    given = parse_verdict({"review_id": review_id, "decision": decision, "reviewer": person, "reason": reason})
    if isinstance(given, str):
        return VerdictReply(False, given)
    with context.engine.connect() as connection:
        review = db_reviews.get(connection, review_id)
        now = _shown(context, connection, review)
    if changed := different(shown, now):
        return VerdictReply(False, f"nothing was done, because this changed since you looked: {changed}. Look again, then decide")
    if not given.reason and (what := needs_reason(review, given.decision)):
        return VerdictReply(False, NEEDS_REASON.format(what=what))
    given = replace(given, known_by=known_by)
    if given.decision == "approve" and takes_two(context, review):
        first = _first_of_two(context, given, shown)
        if isinstance(first, VerdictReply):
            return first
        given = replace(given, reason=f"{given.reason} (first {first.reviewer}: {first.reason})"[:REASON_LENGTH])
    return await reviews.record(context, review, given)


def standing(context: Context, table: int) -> str:
    """Names what is decided about a table; a revoke is taken only while it is still so."""
    with context.engine.connect() as connection:
        return hashlib.sha256(repr(db_reviews.verdicts_about(connection, table)).encode()).hexdigest()[:16]


def revoke(context: Context, table: int, person: str, known_by: KnownBy, reason: str, shown: str) -> VerdictReply:
    """Take back that a table may be served, if what is decided about it is still what this person saw.

    Args:
        shown: `standing`, as they saw it.

    Raises:
        BadInput: there is no such table.
    """
    if not reason:
        return VerdictReply(False, NEEDS_REASON.format(what="a revoke"))
    if shown != standing(context, table):
        return VerdictReply(False, f"nothing was done, because this changed since you looked: {CHANGED['verdict']}. Look again")
    return reviews.revoke(context, table, person, reason, known_by)


def needs_reason(review: Review, decision: Decision) -> str:
    """For what a reason has to be given; empty if none has to."""
    if decision == "abort":
        return "an abort"
    return "an approval against a gate" if decision == "approve" and review.failed_gates else ""


def takes_two(context: Context, review: Review) -> bool:
    """Whether one person cannot approve this alone."""
    return context.settings.web.two_persons and bool(review.failed_gates)


def _first_of_two(context: Context, given: Verdict, shown: str) -> Consent | VerdictReply:
    """Whoever else would approve what is shown; else this person is the first, and is told so."""
    if reason := barred(given.reviewer, given.known_by, context.settings.gates):
        return VerdictReply(False, reason)
    with context.engine.begin() as connection:
        before = [c for c in db_consents.of(connection, given.review_id) if c.shown == shown and c.reviewer != given.reviewer]
        if before:
            return before[0]
        db_consents.add(connection, given.review_id, given.reviewer, given.known_by, shown, given.reason)
    return VerdictReply(True, "the first of two approvals; nothing is published until another reviewer approves, too")


def different(shown: str, now: str) -> str:
    """What of `Case.shown` differs, in words; empty if nothing does."""
    seen, parts = shown.split("."), now.split(".")
    if len(seen) != len(parts):
        return "the form is not one of this page"
    return "; ".join(what for what, a, b in zip(CHANGED.values(), seen, parts, strict=True) if a != b)


def _shown(context: Context, connection: Connection, review: Review) -> str:
    """A hash for each of `CHANGED`: the review and its rivals, what the channel serves, the newest verdict."""
    served = _served(context, connection, review)
    rivals = [other.review_id for other in db_reviews.waiting(connection) if other.channel == review.channel]
    parts = (
        (review.review_id, review.candidate, review.decision, review.decided_at, *rivals),
        (served.channel, served.version, served.since) if served else (),
        (db_reviews.newest_verdict(connection, review.candidate),),
    )
    return ".".join(hashlib.sha256(repr(part).encode()).hexdigest()[:16] for part in parts)


def _served(context: Context, connection: Connection, review: Review) -> ServedTable | None:
    channel = review.channel or context.settings.channel
    return next((served for served in db_channels.served(connection) if served.channel == channel), None)


def _period(connection: Connection, table: TransitionTable) -> tuple[Candidate, ...]:
    same = [t for t in db_tables.list_tables(connection) if (t.kind, t.nominal) == (table.kind, table.nominal)]
    return tuple(Candidate(t, tuple(db_reviews.verdicts_about(connection, t.version))) for t in same)
