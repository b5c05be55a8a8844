"""Messages end to end: composed from a real Postgres, sent by the real Apprise to a web hook that is really there."""

import io
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, text

from driftline.activities import messengers
from driftline.activities.notifications import NotificationActivities
from driftline.activities.resources import Resources
from driftline.contracts import Event, Notification, Notify, OpenReview, Target, Window, level_of
from driftline.db import channels as db_channels
from driftline.db import counts as db_counts
from driftline.db import measurements as db_measurements
from driftline.db import notifications as db_notifications
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.db.connection import connect
from driftline.report import messages, watch
from driftline.report.messages import Message
from driftline.settings import Settings
from tests.activities.hooks import hook
from tests.db import world
from tests.report.measured import drift

SECRET = "token-s3cret"
OLD = datetime(2000, 1, 1, tzinfo=UTC)
TEST = Notification("test", "test:1")


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    own = connect(postgres_url)
    yield own
    own.dispose()


def activities(engine: Engine, folder: Path, **targets: Target) -> NotificationActivities:
    return NotificationActivities(Resources(engine, folder, notify=Notify(targets), web_url="https://shop.example/driftline/"))


@pytest.fixture
def acts(engine: Engine, tmp_path: Path) -> NotificationActivities:
    return activities(engine, tmp_path, ops=Target("${HOOK_URL}"))


# --- sending -----------------------------------------------------------------------------------------------------------


def test_a_message_arrives_once_however_often_it_is_asked_for(
    acts: NotificationActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as it:
        monkeypatch.setenv("HOOK_URL", it.url())
        first, second = acts.notify(TEST), acts.notify(TEST)
        assert [delivery.state for delivery in first] == ["sent"]
        assert second == first
        ((path, sent),) = it.got
    assert path == f"/{SECRET}"
    assert sent["title"] == "Driftline: A test: this target hears Driftline"


def test_every_kind_of_message_arrives_and_arrives_once(
    acts: NotificationActivities, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever can be told, told twice as a retry would; about a table, a review or a run."""
    with engine.begin() as connection:
        served = world.add_good_table(connection)
        db_channels.publish(connection, served, "default", "ada")
        table = world.add_table(connection, day=2, shift=1, kind="rag")
        world.evaluate(connection, table, "recall")
        world.open_review(connection, table, "b7356055ae68", "recall")
    events: tuple[Event, ...] = get_args(Event)
    with hook() as it:
        monkeypatch.setenv("HOOK_URL", it.url())
        for event in events:
            review = "b7356055ae68" if event.startswith("review") else None
            about: dict[str, Any] = {"table": table, "review_id": review}
            if event in ("guardrail_worse", "sample_ratio_mismatch"):
                about = {"experiment": "rag-2026-03"}
            elif event in ("run_failed", "start_skipped", "start_missed", "drift", "unknown_items", "test"):
                about = {}
            told = Notification(event, f"{event}:1", world.RUN, "default", why="Because.", **about)
            assert [[each.state for each in acts.notify(told)] for _ in range(2)] == [["sent"], ["sent"]], event
        sent = [message for _, message in it.got]
    assert len(sent) == len(events)
    assert len({message["title"] for message in sent}) == len(events)
    for event, message in zip(events, sent, strict=True):
        assert "Because." in message["message"], event
        if event in ("published", "superseded"):
            assert "have another answer than in table" in message["message"] or "first table" in message["message"]
        if event in ("guardrail_worse", "sample_ratio_mismatch"):
            assert "https://shop.example/driftline/experiments/rag-2026-03" in message["message"]
    with engine.connect() as connection:
        assert {row.event for row in connection.execute(text("SELECT event FROM notification"))} == set(events)


def test_the_docs_name_every_kind_of_message_with_its_level() -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    lines = [line.split("|") for line in page.partition("| event | level | said |")[2].partition("\n\n")[0].splitlines()]
    named = {event: line[2].strip() for line in lines if len(line) > 3 for event in re.findall(r"`(\w+)`", line[1])}
    assert named == {event: level_of(event) for event in get_args(Event) if event != "test"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("refuse", "refused with HTTP 503"),
        ("move", "refused with HTTP 302"),
        ("hang", "no answer within 3 s"),
        ("drip", "no answer within 3 s"),
    ],
)
def test_what_a_target_answers_is_said_without_its_address(
    answer: str, said: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with hook(answer) as bad, hook() as good:
        urls = {"bad": bad.url(), "good": good.url()}
        made = {each.target: each for each in messengers.send(urls, Message("test", "info", "title", "body"), 3)}
        assert (made["bad"].state, made["bad"].said) == ("failed", said)
        assert made["good"].state == "sent", "one target does not keep another from hearing"
        assert [path for path, _ in bad.got] == [f"/{SECRET}"], "no redirect is followed"
    assert SECRET not in caplog.text + str(made) + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "its variable is not set where the worker runs"),
        ("nonsense://s3cret", "its variable has no URL that Apprise knows"),
        ("json://127.0.0.1:1/s3cret", "no connection, or no answer in time"),
    ],
)
def test_an_address_that_is_none_is_an_answer(url: str, said: str) -> None:
    (made,) = messengers.send({"ops": url}, Message("test", "info", "title", "body"), 5)
    assert (made.state, made.said) == ("failed", said)


def test_without_apprise_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (made,) = messengers.send({"ops": "json://127.0.0.1"}, Message("test", "info", "title", "body"), 5)
    assert made.said == messengers.INSTALL


def test_a_target_that_failed_is_tried_again_and_the_others_are_not(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = activities(engine, tmp_path, good=Target("${GOOD}"), bad=Target("${BAD}"))
    with hook() as good, hook("refuse") as bad:
        monkeypatch.setenv("GOOD", good.url())
        monkeypatch.setenv("BAD", bad.url())
        assert [(d.target, d.state) for d in acts.notify(TEST)] == [("bad", "failed"), ("good", "sent")]
        bad.answer = "take"
        assert [(d.target, d.state) for d in acts.notify(TEST)] == [("bad", "sent"), ("good", "sent")]
        assert (len(good.got), len(bad.got)) == (1, 2)


KILLED = """
import sys, time
from pathlib import Path
from driftline.activities import messengers
from driftline.activities.notifications import NotificationActivities
from driftline.activities.resources import Resources
from driftline.contracts import Notification, Notify, Target
from driftline.db.connection import connect
real = messengers.send
def send(*asked):
    if sys.argv[2] == "before":
        time.sleep(600)
    made = real(*asked)
    time.sleep(600)
messengers.send = send
resources = Resources(connect(sys.argv[1]), Path("."), notify=Notify({"ops": Target("${HOOK_URL}")}))
NotificationActivities(resources).notify(Notification("test", "test:1"))
"""


@pytest.mark.parametrize(("moment", "arrived"), [("before", 1), ("after", 2)])
def test_what_a_killed_worker_had_claimed_is_sent_by_the_next_attempt(
    acts: NotificationActivities, engine: Engine, postgres_url: str, monkeypatch: pytest.MonkeyPatch, moment: str, arrived: int
) -> None:
    """At least once: killed before it sent, once; killed between the target's answer and the note of it, twice."""
    with hook() as it:
        monkeypatch.setenv("HOOK_URL", it.url())
        worker = subprocess.Popen([sys.executable, "-c", KILLED, postgres_url, moment], cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with engine.connect() as connection:
                claimed = db_notifications.deliveries(connection, "test:1")
            if claimed and (moment == "before" or it.got):
                break
            time.sleep(0.05)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        assert [delivery.state for delivery in acts.notify(TEST)] == ["claimed"], "the lease still holds"
        with engine.begin() as connection:
            connection.execute(text("UPDATE notification SET claimed_at = claimed_at - interval '61 seconds'"))
        assert [delivery.state for delivery in acts.notify(TEST)] == ["sent"]
        assert [delivery.state for delivery in acts.notify(TEST)] == ["sent"]
        assert len(it.got) == arrived


def test_an_address_is_nowhere_in_postgres(acts: NotificationActivities, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with hook("refuse") as it:
        monkeypatch.setenv("HOOK_URL", it.url())
        acts.notify(TEST)
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        dump = io.BytesIO()
        with raw.cursor().copy("COPY notification TO STDOUT") as rows:
            for row in rows:
                dump.write(row)
    assert b"refused with HTTP 503" in dump.getvalue()
    assert SECRET.encode() not in dump.getvalue()


# --- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["json://127.0.0.1/s3cret", "${A} ${B}", "s3cret"])
def test_an_address_in_the_settings_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match=r"must be `\$\{NAME\}`") as raised:
        Settings(notify={"targets": {"ops": {"url": url}}})
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("about", "hears"),
    [
        ({}, True),
        ({"level": "failure"}, False),
        ({"level": "warning"}, True),
        ({"events": ("published",)}, False),
        ({"tags": ("default",)}, True),
        ({"tags": ("treatment", "fine_tune")}, False),
    ],
)
def test_a_target_hears_what_it_asked_for(about: dict[str, Any], hears: bool) -> None:
    target = Target("${HOOK_URL}", **about)
    assert target.hears("review_opened", ("default", "rag")) is hears
    assert target.hears("test", ())


# --- words -------------------------------------------------------------------------------------------------------------


def test_a_review_is_told_with_its_evidence_the_difference_and_the_link(acts: NotificationActivities, engine: Engine) -> None:
    with engine.begin() as connection:
        served = world.add_good_table(connection)
        db_channels.publish(connection, served, "default", "ada")
        table = world.add_table(connection, day=2, shift=1, kind="rag")
        world.evaluate(connection, table, "recall")
        world.open_review(connection, table, "b7356055ae68", "recall")
        told = Notification("review_opened", "k", world.RUN, "default", table, "b7356055ae68")
        said = messages.message(connection, told, acts.resources.web_url)
    assert said.title == f"Driftline: Table {table} waits for your verdict"
    assert (said.level, said.tags) == ("warning", ("default", "rag"))
    for part in (
        "It is of a RAG refresh as of 2026-05-03, run fine-tune-2026-04-01.",
        f"default serves table {served}. 3 of 12 pairs (25.00 %) have another answer than in table {served}.",
        "✗ too low",
        "test-set recall 40.00 %, chance 50.00 %, most popular successor 30.00 %",
        "Without a verdict by 2027-02-05 00:00 UTC nothing is published.",
        "Decide: https://shop.example/driftline/reviews/b7356055ae68",
    ):
        assert part in said.body


def test_a_publication_is_told_with_what_changed(engine: Engine) -> None:
    """Where c1 is tea, pairs take the other one of two answers."""
    with engine.begin() as connection:
        first, second = world.add_good_table(connection), world.add_good_table(connection, day=2, shift=1)
        told = [Notification("published", f"k{table}", world.RUN, "default", table) for table in (first, second)]
        db_channels.publish(connection, first, "default", "ada")
        assert "first table of this channel" in messages.message(connection, told[0]).body
        db_channels.publish(connection, second, "default", "ada")
        said = messages.message(connection, told[1])
    assert said.title == f"Driftline: Table {second} is published on default"
    assert "3 of 12 pairs (25.00 %)" in said.body
    assert "More often: soap (+2). Less often: milk (−2)." in said.body


def test_names_and_reasons_are_disarmed(engine: Engine) -> None:
    """A chat would obey them: mentions, links, code."""
    hostile = ["<!channel> tea", "@everyone", "[x](http://e.vil)", "soap\u202e`"]
    with engine.begin() as connection:
        cluster_set = world.add_clusters(connection, hostile)
        counted = world.add_counts(connection, cluster_set)
        model = world.add_model(connection, cluster_set, counted)
        made = [db_tables.add(connection, world.request(model, counted, day=d), world.mapping(d)).version for d in (0, 1)]
        assert messages.changed(connection, *made).count("@") == 0
        told = Notification("run_failed", "k", world.RUN, why="<!here> @all\nTraceback\x1b[2J")
        said = messages.message(connection, told).body + messages.changed(connection, *made)
    assert not set("<>@`[\x1b\u202e") & set(said)


# --- what no run says --------------------------------------------------------------------------------------------------


def keys(engine: Engine, now: datetime, **knobs: Any) -> set[str]:
    with engine.begin() as connection:
        return {told.key for told in watch.overdue(connection, Notify(**knobs), now, OLD)}


def test_an_old_table_is_told_again_and_again_but_once_each_time(engine: Engine) -> None:
    with engine.begin() as connection:
        table = world.add_good_table(connection)
        db_channels.publish(connection, table, "default", "ada")
    nominal = world.START + timedelta(days=120)
    found = [keys(engine, nominal + timedelta(days=days), table_age=timedelta(days=3)) for days in (2, 3, 5, 6)]
    assert found == [set(), {f"table_old:default:{table}:1"}, {f"table_old:default:{table}:1"}, {f"table_old:default:{table}:2"}]


def test_starts_that_were_left_out_are_told_by_their_numbers(engine: Engine) -> None:
    """By the schedule's own counters: each time that they have risen, once."""
    now = datetime.now(UTC)
    for skipped, missed in ((1, 0), (1, 0), (1, 2), (3, 2)):
        with engine.begin() as connection:
            db_notifications.record_starts(connection, "driftline-rag-refresh", skipped, missed)
    with engine.begin() as connection:
        found = [(told.event, told.why.partition(":")[0]) for told in watch.overdue(connection, Notify(), now, OLD)]
    assert sorted(found) == [
        ("start_missed", "driftline-rag-refresh missed 2"),
        ("start_skipped", "driftline-rag-refresh skipped 1"),
        ("start_skipped", "driftline-rag-refresh skipped 2"),
    ]


def test_a_review_about_to_expire_is_told_unless_it_never_had_more_time(engine: Engine) -> None:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        for review_id, left in (("long", timedelta(days=2)), ("short", timedelta(hours=20))):
            table = world.add_table(connection, day=1 if review_id == "long" else 2)
            world.evaluate(connection, table, "recall")
            opened = OpenReview(review_id, table, world.evaluation("recall"), world.RUN, now + left, "default")
            db_reviews.open(connection, opened)
    expiring = [{key for key in keys(engine, at) if "expires" in key} for at in (now, now + timedelta(days=1, hours=1))]
    assert expiring == [set(), {"review_expires:long"}]


def test_items_in_no_cluster_are_told_from_a_share_on(engine: Engine) -> None:
    with engine.begin() as connection:
        cluster_set = world.add_clusters(connection)
        about: dict[str, Any] = {"cluster_set": cluster_set, "dedup": "first", "predicate": "true", "events": 90, "users": 9}
        window = Window(world.START, world.START + timedelta(days=3))
        db_counts.add(connection, window=window, counts=world.some_counts(), dropped={"events_of_unknown_items": 10}, **about)
    now = datetime.now(UTC)
    assert {key.split(":")[0] for key in keys(engine, now, unknown_share=0.1)} == {"unknown_items"}
    assert keys(engine, now, unknown_share=0.11) == set()


def test_drift_is_told_only_where_it_matters(engine: Engine) -> None:
    with engine.begin() as connection:
        about: dict[str, Any] = {"kind": "drift", "cluster_set": world.add_clusters(connection), "run": world.RUN}
        moving = db_measurements.add(connection, inputs={"a": 1}, result=drift(), **about)
        still = replace(drift(), margin=0.99)
        db_measurements.add(connection, inputs={"a": 2}, result=still, **about)
    assert keys(engine, datetime.now(UTC)) == {f"drift:{moving.version}"}
