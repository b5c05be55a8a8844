"""A worker of this release on the schema of the next one, which has only been expanded: it goes on until it is replaced."""

from pathlib import Path

from sqlalchemy import text

from driftline.activities.publication import PublicationActivities
from driftline.activities.reports import ReportActivities
from driftline.activities.reviews import ReviewActivities
from driftline.contracts import Gates, OpenReview, Publish, Published, Verdict, WriteReport
from driftline.db import channels as db_channels
from driftline.db import connection as db_connection
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from tests.activities.chain import RUN, TEST, Chain, onward, run

EXPANDED = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND NOT relispartition AND relname <> 'alembic_version'
    LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN of_the_next_release text NOT NULL DEFAULT ''x'', ADD COLUMN another int', name);
    END LOOP;
    CREATE TABLE of_the_next_release (version bigint PRIMARY KEY REFERENCES transition_table);
    UPDATE alembic_version SET version_num = '9999';
END $$
"""


def test_what_was_only_expanded_stops_no_worker(postgres_url: str, tmp_path: Path) -> None:
    engine = db_connection.connect(postgres_url)
    with engine.begin() as connection:
        connection.execute(text(EXPANDED))
    db_connection.require_schema(engine)
    engine.dispose()

    chain = Chain(postgres_url, tmp_path)
    table = chain.stored().version
    judged = chain.evaluated(table, Gates(review="always"))
    assert run(ReportActivities(chain.resources).write_report, WriteReport(table, Gates()))
    run(ReviewActivities(chain.resources).open_review, OpenReview("next", table, judged, RUN, TEST.end, "default"))
    with chain.engine.begin() as connection:
        assert db_reviews.record_verdict(connection, Verdict("next", "approve", "ada"))
    publish = PublicationActivities(chain.resources).publish
    assert run(publish, Publish(table, "default", RUN, "next")) == Published("published", "default", table)
    assert chain.stored().version == table
    with chain.engine.connect() as connection:
        assert db_tables.lookup(connection, 0, 1).c_next == onward(0, 1)
        assert len(db_channels.history(connection)) == 1
        stored = "SELECT count(*), count(of_the_next_release) FROM transition WHERE version = :version"
        assert connection.execute(text(stored), {"version": table}).one() == (56, 56)
    chain.engine.dispose()
