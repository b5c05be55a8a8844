"""A notification in words: what happened, what changed, and where to decide.

Names of interests come from a log, failures from anywhere: what a chat would obey in them is replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline.contracts import Event, Level, Notification, level_of, note
from driftline.db import channels as db_channels
from driftline.db import differences as db_differences
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.connection import Connection
from driftline.db.reviews import Review
from driftline.report.words import count, kind, percent

MOVERS = 3
"""Interests that are named on each side."""

_disarmed = str.maketrans({"<": "‹", ">": "›", "@": "＠", "`": "'", "*": "∗", "[": "(", "]": ")"})

_titles: dict[Event, str] = {
    "review_opened": "waits for your verdict",
    "review_reminder": "still waits for a verdict",
    "review_expires": "expires in less than a day",
    "published": "is published",
    "superseded": "is superseded",
    "revoked": "was revoked and is not published",
    "aborted": "was rejected",
    "expired": "had no verdict in time: nothing is published",
    "run_failed": "A run failed",
    "start_skipped": "A start was skipped",
    "start_missed": "A start was missed",
    "table_old": "A served table is old",
    "drift": "Interests move",
    "unknown_items": "Many items are in no cluster",
    "guardrail_worse": "A guardrail got worse",
    "sample_ratio_mismatch": "The split of the users is wrong",
    "test": "A test: this target hears Driftline",
}


@dataclass(frozen=True)
class Message:
    """What people are told of an event. `tags`: channel and kind of run, as far as it is about one."""

    event: Event
    level: Level
    title: str
    body: str
    tags: tuple[str, ...] = ()


def message(conn: Connection, told: Notification, web_url: str = "") -> Message:
    """Writes what people are told of an event.

    Args:
        web_url: where the page is, for the link to a review or an experiment; without it the command is named.

    Raises:
        BadInput: there is no such table or review.
    """
    lines, tags = [_plain(told.why)] if told.why else [], [told.channel] if told.channel else []
    title = _titles[told.event]
    if told.table is not None:
        table = db_tables.get(conn, told.table)
        title = f"Table {table.version} {title}"
        lines.insert(0, f"It is of a {kind(table.kind)} as of {table.nominal:%Y-%m-%d}, run {_plain(table.workflow_id)}.")
        tags.append(table.kind)
        if told.channel:
            title += f" on {_plain(told.channel)}" if told.event == "published" else ""
            lines.append(_difference(conn, told.event, table.version, told.channel))
    elif told.run is not None:
        title += f": {_plain(told.run.workflow_id)}"
    if told.review_id is not None:
        review = db_reviews.get(conn, told.review_id)
        lines += _waiting(review, web_url) if review.decision is None else [_decided(review)]
    if told.experiment is not None:
        title += f": experiment {_plain(told.experiment)}"
        lines.append(_stopping(told.experiment, web_url))
    return Message(told.event, level_of(told.event), f"Driftline: {title}", "\n".join(filter(None, lines)), tuple(tags))


def changed(conn: Connection, before: int, after: int) -> str:
    """How many pairs have another answer, and which interests are answered more and less often for it."""
    if db_tables.get(conn, before).cluster_set != db_tables.get(conn, after).cluster_set:
        return f"Tables {before} and {after} have different cluster sets: their answers do not compare."
    found = db_differences.read(conn, before, after)
    share = f"{count(found.changed)} of {count(found.pairs)} pairs ({percent(found.share)})"
    gained_by, lost_by = (np.bincount(ids, minlength=len(found.names)) for ids in (found.becomes, found.was))
    gains = zip(found.names, (gained_by - lost_by).tolist(), strict=True)
    ranked = sorted(gains, key=lambda item: (-item[1], item[0]))
    gained = [(name, n) for name, n in ranked if n > 0][:MOVERS]
    lost = [(name, n) for name, n in reversed(ranked) if n < 0][:MOVERS]
    return f"{share} have another answer than in table {before}.{_movers(' More often', gained)}{_movers(' Less often', lost)}"


def _movers(word: str, movers: Sequence[tuple[str, int]]) -> str:
    named = "; ".join(f"{_plain(name)} ({n:+,})".replace("-", "−") for name, n in movers)
    return f"{word}: {named}." if named else ""


def _difference(conn: Connection, event: Event, table: int, channel: str) -> str:
    """Against what the channel serves, or, of the table that it serves, against what it served before."""
    serves = db_channels.current(conn, channel)
    if event != "published":
        return f"{_plain(channel)} serves table {serves}. {changed(conn, serves, table)}" if serves not in (None, table) else ""
    moved = next((move for move in db_channels.history(conn, channel) if move.to_version == table), None)
    if moved is None or moved.from_version is None:
        return "It is the first table of this channel."
    return changed(conn, moved.from_version, table)


def _waiting(review: Review, web_url: str) -> list[str]:
    evidence = review.evidence
    known = {
        "exact-match rate": evidence["exact_match_rate"],
        "test-set recall": evidence["recall"],
        "chance": evidence["recall_chance"],
        "most popular successor": evidence["recall_popular"],
        "most frequent successor of the pair": evidence["recall_frequent"],
    }
    figures = ", ".join(f"{name} {percent(value)}" for name, value in known.items() if value is not None)
    by = f"{web_url.rstrip('/')}/reviews/{review.review_id}" if web_url else f"driftline review show {review.review_id}"
    return [
        *(f"✗ {_plain(reason)}" for reason in evidence["reasons"].values()),
        f"{figures[:1].upper()}{figures[1:]}.",
        f"Without a verdict by {review.expires_at:%Y-%m-%d %H:%M} UTC nothing is published.",
        f"Decide: {by}",
    ]


def _stopping(experiment: str, web_url: str) -> str:
    at = f"{web_url.rstrip('/')}/experiments/{experiment}" if web_url else f"driftline experiment report {experiment}"
    return f"Look: {at}\nEnd it: driftline experiment stop {experiment}"


def _decided(review: Review) -> str:
    why = f": {_plain(review.reason)}" if review.reason else ""
    return f"Review {review.review_id}: {review.decision} by {_plain(review.reviewer or '')}{why}."


def _plain(text: str) -> str:
    return note(text).translate(_disarmed)
