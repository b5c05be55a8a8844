"""Every counting engine counts what the reference counts, on a log made to trip them up; and the SQL that none here can run."""

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from traceback import format_exception

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from chdb.session import Session

from driftline.contracts import Sequences, Source, Window
from driftline.sources import counting_engines
from driftline.sources.counting import Counted, count_triples
from driftline.sources.database import assignment_table
from driftline.sources.dialects import DIALECTS, read, write
from driftline.sources.held_out import read_held_out
from driftline.sources.remote import RAW, RemoteRelation, query_remotely
from driftline.sources.sequences import REFERENCE, over_sequences, parameters, sql_file
from driftline.sources.session import RunQuery
from tests.sources.logs import assignment
from tests.sources.test_packed import Dedup

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
CLUSTERS = {"a": -(2**31), "b": -1, "c": 0, "d": 7, "e": 7, "f'\\": 300, "ü g": 2**31 - 1}
USERS = ("u", "U", "ü", "日本 1", " ", "u'", "u\\", "", "%s :x {y}", "12346.0", " u\t", "v", "nan", None)
TIMES = (
    timedelta(0),
    timedelta(microseconds=-1),
    timedelta(days=1),
    timedelta(days=1, microseconds=-1),
    *(timedelta(seconds=second, microseconds=1) for second in range(12)),
    timedelta(days=366 * 70),
    -timedelta(days=366 * 54),
    None,
)
SOURCE = Source(user="User Id", basket="basket", positive='"LIKED" AND (rating > 1 OR rating IS NULL)')
Put = Callable[[pytest.FixtureRequest, Path], "Place"]


def log(zone: str | None = None) -> pa.Table:
    """Few users and times, so that nearly everything ties; some of each is missing."""
    rng = random.Random(0)
    items = [*CLUSTERS, "unknown", "unknown 2", None]
    starts = [None if time is None else WINDOW.start.replace(tzinfo=None) + time for time in TIMES]
    rows = [
        {
            "User Id": rng.choices(USERS, [5] * (len(USERS) - 1) + [1])[0],
            "item": rng.choices(items, [8] * len(CLUSTERS) + [1, 1, 1])[0],
            "ts": rng.choice(starts),
            "basket": rng.choice(["x", "y", None, None]),
            "liked": rng.choices([True, False, None], [12, 2, 1])[0],
            "rating": rng.choice([1, 2, 3, None, 5]),
        }
        for _ in range(2400)
    ]
    schema = {
        "User Id": pa.string(),
        "item": pa.string(),
        "ts": pa.timestamp("us", zone),
        "basket": pa.string(),
        "liked": pa.bool_(),
        "rating": pa.int64(),
    }
    return pa.Table.from_pylist(rows, pa.schema(schema))


@dataclass(frozen=True)
class Place:
    """Where a log was put, and the engine that counts it there."""

    events: str
    engine: str


@pytest.fixture(scope="session")
def spark() -> Iterator[str]:
    """One session for all tests."""
    if not shutil.which("java"):
        pytest.skip("PySpark needs a java command")
    from driftline.sources.spark import session

    # Little data: what takes long is to compile for more.
    quick = {
        "ui.enabled": "false",
        "sql.shuffle.partitions": 2,
        "sql.codegen.wholeStage": "false",
        "sql.adaptive.enabled": "false",
    }
    conf = " ".join(f"--conf spark.{name}={value}" for name, value in quick.items())
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{conf} --driver-java-options -XX:TieredStopAtLevel=1 pyspark-shell"
    with session("local[2]"):
        yield "spark:local[2]"


def in_spark(request: pytest.FixtureRequest, file: Path) -> Place:
    return Place(str(file), request.getfixturevalue("spark"))


def in_postgres(request: pytest.FixtureRequest, file: Path) -> Place:
    url = request.getfixturevalue("postgres_url")
    rows = pq.read_table(file)
    kinds = {
        "string": "text",
        "bool": "bool",
        "int64": "int",
        "timestamp[us]": "timestamp",
        "timestamp[us, tz=UTC]": "timestamptz",
    }
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {conn.info.dbname} SET timezone = 'Asia/Tokyo'")
        columns = ", ".join(f'"{field.name}" {kinds[str(field.type)]}' for field in rows.schema)
        conn.execute(f"CREATE TABLE events ({columns})")
        with conn.cursor().copy("COPY events FROM STDIN") as copy:
            for row in rows.to_pylist():
                copy.write_row(list(row.values()))
    request.getfixturevalue("monkeypatch").setenv("LOG_URL", url.replace("postgresql://", "postgresql+psycopg://"))
    return Place("SELECT * FROM events -- all of them;", "sql:${LOG_URL}")


def in_clickhouse(request: pytest.FixtureRequest, file: Path) -> Place:
    """A real ClickHouse in this process. It has no URL, so that the way to it is not the real one."""
    session = Session()
    request.addfinalizer(session.close)

    @contextmanager
    def opened(url: str, source: Source, clusters: pa.Table, window: Window) -> Iterator[RunQuery]:
        dialect = DIALECTS["clickhouse"]
        name, create, inserts = assignment_table(dialect, clusters)
        session.query(f"CREATE DATABASE IF NOT EXISTS {url}")
        # Twice, as two workers may.
        for statement in (f"USE {url}", create, *(rows := list(inserts)), *rows):
            session.query(statement)
        given = {RAW: source.events, "driftline_assignment": f"SELECT DISTINCT item, cluster FROM {name}"}
        columns = dict.fromkeys(pq.read_schema(file).names, "")
        yield query_remotely(
            RemoteRelation(lambda sql: session.query(sql, "ArrowTable"), dialect, given, columns, "log"), source, window
        )

    request.getfixturevalue("monkeypatch").setattr(counting_engines, "_remote", lambda name: opened)
    return Place(f"SELECT * FROM file('{file}')", "sql:log")


def times(name: str) -> pa.Table:
    """The log with times of some kind."""
    if name == "zoned":
        return log("UTC")
    rows = log()
    if name == "texts":
        zones = ("", "Z", "+00:00", "+00")
        ts = [time and f"{time:%Y-%m-%d %H:%M:%S.%f}" + zones[n % 4] for n, time in enumerate(rows["ts"].to_pylist())]
        ts[::50] = ["soon"] * len(ts[::50])
        ts[1::50] = ["2024-01-01T09:00:03.000001+09:00"] * len(ts[1::50])
        return rows.set_column(2, "ts", pa.array(ts))
    return rows


@pytest.mark.parametrize("put", [pytest.param(in_spark, marks=pytest.mark.long), in_postgres, in_clickhouse])
@pytest.mark.parametrize(
    ("kind", "dedup", "basket"), [("plain", "adjacent", "basket"), ("zoned", "first", "basket"), ("texts", "first", None)]
)
def test_counts_are_those_of_the_reference(
    put: Put, kind: str, dedup: Dedup, basket: str | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file = tmp_path / "events.parquet"
    pq.write_table(times(kind), file)
    place = put(request, file)
    asked = Sequences(dedup), WINDOW, assignment(CLUSTERS)
    expected = count_triples(replace(SOURCE, events=str(file), basket=basket), *asked, engine=REFERENCE)
    assert expected.triples > 30
    assert len(expected.dropped) > 5
    counted = count_triples(replace(SOURCE, events=place.events, basket=basket), *asked, engine=place.engine)
    assert counted.table.equals(expected.table)
    assert counted == expected

    held_out = Sequences(dedup), Window(WINDOW.start + (WINDOW.end - WINDOW.start) / 2, WINDOW.end), assignment(CLUSTERS)
    ours = read_held_out(replace(SOURCE, events=str(file), basket=basket), *held_out)
    theirs = read_held_out(replace(SOURCE, events=place.events, basket=basket), *held_out, engine=place.engine)
    assert min(ours.steps.num_rows, ours.shown.num_rows) > 30
    assert theirs.steps.sort_by("user").equals(ours.steps), "a sort by user keeps each user's order"
    by_cluster = [("user", "ascending"), ("cluster", "ascending")]
    assert theirs.shown.sort_by(by_cluster).equals(ours.shown.sort_by(by_cluster))


@pytest.mark.long
def test_spark_reads_csv_with_ids_as_they_are_written(spark: str, tmp_path: Path) -> None:
    """`007` and `7` are two users. Nothing else is text that need not be."""
    (tmp_path / "a.csv").write_text("user,item,ts,rating\n" + "".join(f"007,{n},2024-01-01 00:00:0{n},{n}\n" for n in range(4)))
    (tmp_path / "b.csv").write_text("user,item,ts,rating\n7,0,2024-01-01 12:00:00,5\n")
    source = Source(events=str(tmp_path / "*.csv"), positive="rating > 0")
    counted = count_triples(source, Sequences(), WINDOW, assignment({str(n): n for n in range(4)}), spark)
    assert counted.table.to_pylist() == [{"c1": 1, "c2": 2, "c_next": 3, "n": 1}]
    assert (counted.events, counted.users, counted.sequences) == (4, 2, 1)


@pytest.mark.long
@pytest.mark.parametrize(
    ("header", "row", "rows"),
    [
        # Whole numbers until the last row; a code that begins with 0; a quoted line break; dates with slashes.
        ("user,item,ts,rating", "{u},{n},2024-01-01 00:00:0{n},{n}", "v,0,2024-01-01 10:00:00,1.5"),
        ("user,item,ts,rating", "{u},{n},2024-01-01 00:00:0{n},0{n}", "v,0,2024-01-01 10:00:00,12"),
        ("user;item;ts;rating;text", '{u};{n};2024/01/01 00:00:0{n};{n};"two\nlines; ""quoted"""', "v;0;2024/1/1;NULL;x"),
        ("user,item,ts,rating", "{u},{n},2024-01-01T00:00:0{n}Z,{n}", "v,0,2024-01-01T10:00:00+02:00,nan"),
        ("user,item,ts,rating", "{u},{n},2024-01-01 00:00:0{n},{n}", "007.0,0,2024-01-01 00:00:00,"),
    ],
)
def test_spark_reads_csv_as_duckdb_has_settled_it(spark: str, tmp_path: Path, header: str, row: str, rows: str) -> None:
    written = [row.format(u=user, n=n) for user in ("a", "b") for n in range(4)]
    (tmp_path / "a.csv").write_text("\n".join([header, *written, rows]) + "\n")
    (tmp_path / "b.csv").write_text("\n".join([header, *(row.format(u="c", n=n) for n in range(4))]) + "\n")
    positive = "rating > '00'" if "0{n}" in row.rpartition(",")[2] else "rating >= 0 OR rating IS NULL"
    source = Source(events=str(tmp_path / "*.csv"), positive=positive)
    asked = source, Sequences(), WINDOW, assignment({str(n): n for n in range(4)})
    expected = count_triples(*asked, engine=REFERENCE)
    assert expected.triples > 2
    assert count_triples(*asked, engine=spark) == expected


@pytest.mark.long
def test_spark_mixes_up_no_columns(spark: str, tmp_path: Path) -> None:
    """Of files whose columns are in another order DuckDB goes by the names, and Spark by the place."""
    (tmp_path / "a.csv").write_text("user,item,ts\nu,0,2024-01-01\n")
    (tmp_path / "b.csv").write_text("item,user,ts\n0,u,2024-01-01\n")
    source = Source(events=str(tmp_path / "*.csv"))
    with pytest.raises(ValueError, match="header does not conform"):
        count_triples(source, Sequences(), WINDOW, assignment({"0": 0}), spark)


class TestInADatabase:
    """Postgres, as the one database that every machine has."""

    ASKED = Sequences(), WINDOW, assignment(CLUSTERS)

    @pytest.fixture
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
        pq.write_table(log(), tmp_path / "events.parquet")
        return in_postgres(request, tmp_path / "events.parquet")

    def count(self, place: Place, **settings: str) -> Counted:
        return count_triples(replace(SOURCE, **{"events": place.events} | settings), *self.ASKED, engine=place.engine)

    def test_the_cluster_set_is_written_once_and_completed_where_it_was_not(self, place: Place, postgres_url: str) -> None:
        first = self.count(place)
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            ((name,),) = conn.execute("SELECT relname FROM pg_class WHERE relname LIKE 'driftline_assignment_%'").fetchall()
            assert conn.execute(f"SELECT count(*) FROM {name}").fetchall() == [(len(CLUSTERS),)]
            assert self.count(place) == first
            assert conn.execute(f"SELECT count(*) FROM {name}").fetchall() == [(len(CLUSTERS),)]
            # A worker died after the first rows, and one that came after it wrote them all.
            conn.execute(f"DELETE FROM {name} WHERE item > 'c'")
        assert self.count(place) == first

    @pytest.mark.parametrize(
        ("settings", "complaint"),
        [
            ({"item": "itm"}, r"source.item = 'itm': there is no such column in the query; did you mean 'item'\?"),
            ({"user": "rating / 2.0"}, "source.user = 'rating / 2.0'"),
            ({"positive": "rating"}, "source.positive = 'rating' is INT64 in the query; it must be true or false"),
            (
                {"positive": "list_contains([1, 2], ra ting)"},
                "source.positive = .*: not SQL of DuckDB: Expecting .* in the query",
            ),
            ({"positive": "no_such(rating) > 1"}, r"source: function no_such\(integer\) does not exist"),
            ({"timestamp": "rating"}, "source.timestamp = 'rating' is not a date and time in the query: it is INT64"),
            ({"timestamp": "basket"}, "source.timestamp = 'basket' .* no row can be read, e.g. '[xy]'"),
            ({"events": "SELECT * FROM no_such"}, 'source.events: relation "no_such" does not exist'),
            ({"events": "/data/*.parquet"}, "source.events must be a query in the database's own SQL"),
            ({"positive": "false"}, "events but none is positive"),
        ],
    )
    def test_what_does_not_fit_is_said_as_ever(self, place: Place, settings: dict[str, str], complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            self.count(place, **settings)

    def test_a_window_without_events_says_where_the_log_is(self, place: Place) -> None:
        later = Window(WINDOW.end + timedelta(days=1), WINDOW.end + timedelta(days=2))
        source = replace(SOURCE, events=place.events)
        with pytest.raises(ValueError, match="the log goes from 2023-12-31 23:59 to 2024-01-02 00:00"):
            count_triples(source, Sequences(), later, assignment(CLUSTERS), place.engine)

    @pytest.mark.parametrize(
        ("engine", "complaint"),
        [
            ("sql:${NO_SUCH}", "counting.engine needs the environment variable NO_SUCH"),
            (
                "sql:${SECRET_URL}",
                r"'sql:\$\{SECRET_URL\}': counting runs in bigquery, clickhouse, postgres, snowflake, trino only",
            ),
            ("sql:trino://u:p@host", "no URL of a database whose SQLAlchemy driver is installed"),
        ],
    )
    def test_an_engine_that_is_not_there(self, engine: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_URL", "sqlite:///secret")
        with pytest.raises(ValueError, match=complaint) as raised:
            count_triples(Source(events="SELECT 1"), *self.ASKED, engine=engine)
        assert "secret" not in str(raised.value).replace("SECRET", "")

    def test_a_database_that_does_not_answer_is_tried_again_and_shows_no_password(
        self, place: Place, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, _, rest = postgres_url.removeprefix("postgresql://").partition("@")
        monkeypatch.setenv("LOG_URL", f"postgresql+psycopg://hunter2:hunter2@{rest}")
        with pytest.raises(ConnectionError, match=r"counting.engine: .*\$\{PASSWORD\}") as raised:
            self.count(place)
        assert "hunter2" not in "".join(format_exception(raised.value))

    def test_a_missing_package_is_named_with_its_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "driftline.sources.spark", None)
        with pytest.raises(ValueError, match=r"needs driftline.sources.spark: pip install 'driftline\[spark\]'"):
            count_triples(SOURCE, *self.ASKED, engine="spark")


TIES = {
    # Lower-case hex of an md5 of UTF-8, of microseconds since 1970.
    "bigquery": "TO_HEX(MD5(CAST(DATETIME_DIFF(ts, CAST('1970-01-01 00:00:00' AS DATETIME), MICROSECOND) AS STRING)))",
    "clickhouse": "LOWER(HEX(MD5(CAST(toUnixTimestamp64Micro(ts) AS Nullable(String)))))",
    "snowflake": "MD5(CAST(DATEDIFF(MICROSECOND, CAST('1970-01-01 00:00:00' AS TIMESTAMPNTZ(6)), ts) AS VARCHAR))",
    "trino": "LOWER(TO_HEX(MD5(TO_UTF8(CAST(DATE_DIFF('SECOND', CAST('1970-01-01 00:00:00' AS TIMESTAMP(0)), "
    "DATE_TRUNC('SECOND', ts)) * 1000000 + CAST(SUBSTR(CAST(ts AS VARCHAR), -6) AS BIGINT) AS VARCHAR)))))",
}


@pytest.mark.parametrize("name", ["bigquery", "clickhouse", "snowflake", "trino"])
@pytest.mark.parametrize("zone", ["Z", ""])
def test_sql_that_is_compiled(name: str, zone: str) -> None:
    """The dialect can read all of it, and nothing is left of DuckDB's that it lacks or understands otherwise."""
    asked: list[str] = []

    def run(sql: str) -> pa.Table:
        """A log of one row."""
        asked.append(sql)
        parsed = sqlglot.parse_one(sql, read=name)
        assert isinstance(parsed, sqlglot.exp.Query)
        time, text = pa.array([WINDOW.start], pa.timestamp("us", "UTC" if zone else None)), pa.array(["a"])
        columns = [time if "ts" in {c.name for c in one.find_all(sqlglot.exp.Column)} else text for one in parsed.selects]
        return pa.table(columns, parsed.named_selects).slice(0, 0 if "COUNT(" in sql else 1)

    given = {RAW: "SELECT * FROM log", "driftline_assignment": "SELECT DISTINCT item, cluster FROM clusters"}
    columns = dict.fromkeys(log().column_names, "")
    ask = query_remotely(
        RemoteRelation(run, DIALECTS[name], given, columns, "log"), replace(SOURCE, positive='"LIKED"  AND rating > 1')
    )
    asked.clear()
    wanted = parameters(Sequences(), WINDOW)
    ask(over_sequences("triples"), wanted)
    ask(sql_file("figures"), wanted)
    for sql in asked:
        for left in (
            "$start",
            "$end",
            "$dedup",
            "driftline_nul",
            "epoch_us",
            "isfinite",
            "ISFINITE",
            "FILTER",
            '"LIKED"',
            "AS TIMESTAMP)",
            "Nullable(DateTime)",
        ):
            assert left not in sql
        quote = "`" if name == "bigquery" else '"'
        assert f"raw.{quote}User Id{quote}" in sql
        assert ("1970" in sql) <= ("MD5" in sql)
    tie = read("MD5(CAST(DATE_DIFF('microsecond', TIMESTAMP '1970-01-01 00:00:00', ts) AS VARCHAR))")
    assert "".join(write(tie, DIALECTS[name]).split()) == "".join(TIES[name].split())


def test_texts_of_a_cluster_set_are_escaped_as_each_dialect_does() -> None:
    for dialect in DIALECTS.values():
        _, create, inserts = assignment_table(dialect, assignment(CLUSTERS))
        (insert,) = inserts
        sqlglot.parse_one(create, read=dialect.name)
        values = sqlglot.parse_one(insert, read=dialect.name).find_all(sqlglot.exp.Literal)
        assert {value.this for value in values if value.is_string} == set(CLUSTERS)
