"""What no run says: served tables too old, starts left out, reviews about to expire, drift, items in no cluster, experiments
that do harm."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

from driftline.contracts import Notification, Notify
from driftline.db import channels as db_channels
from driftline.db import counts as db_counts
from driftline.db import experiments as db_experiments
from driftline.db import measurements as db_measurements
from driftline.db import notifications as db_notifications
from driftline.db import reviews as db_reviews
from driftline.db.connection import Connection
from driftline.db.counts import Counts
from driftline.report.experiment_findings import findings, harmed
from driftline.report.sentences import moving
from driftline.report.words import day, duration, percent

EXPIRING = timedelta(days=1)


def overdue(conn: Connection, knobs: Notify, now: datetime, since: datetime) -> list[Notification]:
    """All of it. The same state gives the same keys; what was noticed or measured before `since` is left out."""
    standing = (_old(conn, knobs, now), _expiring(conn, now))
    recent = (_left_out(conn, since), _drift(conn, since), _unknown(conn, knobs, since), _alarms(conn, since))
    return [*chain(*standing, *recent)]


def _old(conn: Connection, knobs: Notify, now: datetime) -> Iterator[Notification]:
    for served in db_channels.served(conn):
        if times := (now - served.nominal) // knobs.table_age:
            age, limit = (duration(span.total_seconds()) for span in (now - served.nominal, knobs.table_age))
            what = f"{served.channel} serves table {served.version} of {day(served.nominal)}"
            why = f"{what}: {age} old (notify.table_age: {limit})."
            key = f"table_old:{served.channel}:{served.version}:{times}"
            yield Notification("table_old", key, channel=served.channel, why=why)


def _left_out(conn: Connection, since: datetime) -> Iterator[Notification]:
    for found in db_notifications.left_out(conn, since):
        if found.skipped:
            why = f"{found.schedule} skipped {found.skipped:,}: the run before was still open."
            yield Notification("start_skipped", f"start_skipped:{found.schedule}:{found.id}", why=why)
        if found.missed:
            why = f"{found.schedule} missed {found.missed:,}: Temporal was down for longer than schedule.catchup."
            yield Notification("start_missed", f"start_missed:{found.schedule}:{found.id}", why=why)


def _expiring(conn: Connection, now: datetime) -> Iterator[Notification]:
    """Yields the reviews that expire soon; not one that never had more time: it said so when it was opened."""
    for review in db_reviews.waiting(conn):
        if now < review.expires_at <= now + EXPIRING and review.expires_at - review.waiting_since > EXPIRING:
            key = f"review_expires:{review.review_id}"
            yield Notification("review_expires", key, None, review.channel, review.candidate, review.review_id)


def _drift(conn: Connection, since: datetime) -> Iterator[Notification]:
    for measured in db_measurements.since(conn, "drift", since):
        first, *_ = moving(measured.result)
        if first.level == "good":  # it moves, and by as much as matters
            yield Notification("drift", f"drift:{measured.version}", why=first.text)


def _unknown(conn: Connection, knobs: Notify, since: datetime) -> Iterator[Notification]:
    """Yields windows with too many events of unknown items, once a day and cluster set: a run counts several."""
    worst: dict[str, tuple[float, Counts]] = {}
    for counted in db_counts.since(conn, since):
        key, share = f"unknown_items:{counted.cluster_set}:{counted.created_at:%Y-%m-%d}", counted.unknown_share or 0.0
        if share >= knobs.unknown_share and (key not in worst or share > worst[key][0]):
            worst[key] = (share, counted)
    for key, (share, counted) in worst.items():
        window = f"{day(counted.window.start)} to {day(counted.window.end)}"
        why = f"{percent(share)} of the positive events from {window} are of items in no cluster of set {counted.cluster_set}."
        yield Notification("unknown_items", key, why=f"{why} `driftline clusters assign` puts new items into it.")


def _alarms(conn: Connection, since: datetime) -> Iterator[Notification]:
    """Yields what is wrong with experiments, once each, and once each guardrail. A wrong split comes first: then nothing else is
    known."""
    for name, measured in db_experiments.since(conn, since):
        if measured.result.mismatch:
            why = findings(measured.result)[0].text
            yield Notification("sample_ratio_mismatch", f"sample_ratio_mismatch:{name}", why=why, experiment=name)
        for metric, why in harmed(measured.result).items():
            yield Notification("guardrail_worse", f"guardrail_worse:{name}:{metric}", why=why, experiment=name)
