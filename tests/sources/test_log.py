"""A log of any shape becomes the same events, and a setting that does not fit is named with what there is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.contracts import Source, Window
from driftline.sources import times
from driftline.sources.log import open_source, span
from tests.clock import off_by

NOON = datetime(2024, 1, 1, 12)
Row = tuple[str, str, datetime, bool, str | None]


def events(source: Source) -> list[Row]:
    with open_source(source) as con:
        return con.execute("FROM driftline_events ORDER BY ALL").fetchall()


def faults(source: Source) -> dict[str, int]:
    with open_source(source) as con:
        return dict(con.execute("SELECT fault, count(*) FROM driftline_log WHERE fault IS NOT NULL GROUP BY fault").fetchall())


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Source]:
    """Writes a one-row log, with columns replaced or added, and returns its source."""

    def write(knobs: dict[str, Any] | None = None, **columns: list[Any]) -> Source:
        table = {"user": ["u"], "item": ["a"], "ts": [NOON]} | columns
        pq.write_table(pa.table({name: values for name, values in table.items() if values}), tmp_path / "log.parquet")
        return Source(events=str(tmp_path / "log.parquet"), **(knobs or {}))

    return write


@pytest.mark.parametrize(
    "times",
    [
        pa.array([NOON], pa.timestamp("s")),
        pa.array([NOON], pa.timestamp("ns")),
        pa.array([NOON.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
        pa.array([NOON.replace(tzinfo=timezone(timedelta(hours=5))) + timedelta(hours=5)], pa.timestamp("us", "Asia/Karachi")),
        pa.array(["2024-01-01 12:00:00"]),
        pa.array(["2024-01-01T13:00:00+01:00"]),
        pa.array(["2024-01-01T12:00:00Z"]),
    ],
)
def test_times_become_utc(parquet: Callable[..., Source], monkeypatch: pytest.MonkeyPatch, times: pa.Array) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    source = parquet(ts=times)
    assert events(source) == [("u", "a", NOON, True, None)]
    assert span(source) == (NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=UTC))


def test_dates_are_midnight(parquet: Callable[..., Source]) -> None:
    assert events(parquet(ts=[NOON.date()]))[0][2] == datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            [1704110400],
            r"source\.timestamp = 'ts' is not a date and time in .*: it is BIGINT; .*seconds since 1970: .*to_timestamp\(ts\)",
        ),
        (["1704110400"], r"no row can be read, e\.g\. '1704110400'; .*to_timestamp\(TRY_CAST\(ts AS BIGINT\)\)"),
        ([NOON.time()], r"it is TIME; a time of day without a date"),
        (["12:30"], r"e\.g\. '12:30'; a time of day without a date"),
        (["the 1st"], r"e\.g\. 'the 1st'; write an expression such as try_strptime\(ts"),
        ([True], r"it is BOOLEAN"),
    ],
)
def test_what_is_not_a_time_is_refused(parquet: Callable[..., Source], times: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        events(parquet(ts=times))


@pytest.mark.parametrize("expression", ["to_timestamp(ts)", "epoch_ms(ts * 1000)", "make_timestamp(ts * 1000000)"])
def test_integer_times_by_expression(parquet: Callable[..., Source], expression: str) -> None:
    assert events(parquet({"timestamp": expression}, ts=[1704110400]))[0][2] == NOON


def test_single_unreadable_times_are_counted(parquet: Callable[..., Source]) -> None:
    source = parquet(user=["u"] * 5, item=["a"] * 5, ts=["yesterday", "2024-01-01 12:00", None, "12:30", "infinity"])
    assert len(events(source)) == 1
    assert faults(source) == {"events_with_unreadable_timestamp": 3, "events_without_timestamp": 1}


def test_a_clock_that_is_years_behind_loses_no_event_of_a_window(
    parquet: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, window = parquet(ts=[NOON]), Window(datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
    monkeypatch.setattr(times, "datetime", off_by(timedelta(days=-20 * 365)))
    assert events(source) == []
    with open_source(source, window=window) as con:
        assert con.execute("FROM driftline_events").fetchall() == [("u", "a", NOON, True, None)]


def test_names_however_odd(parquet: Callable[..., Source]) -> None:
    odd = {'User "ID"': ["u"], "SELECT": [7], "event time": [NOON], "user": [], "item": [], "ts": []}
    source = parquet({"user": 'user "id"', "item": "SELECT", "timestamp": "event time"}, **odd)
    assert events(source) == [("u", "7", NOON, True, None)]


def test_expressions_and_predicates(parquet: Callable[..., Source]) -> None:
    knobs = {"item": "concat(shop, '/', item) -- both", "positive": 'stars >= 4 AND NOT "returned"', "basket": "shop"}
    source = parquet(
        knobs, user=["u", "v", "w"], item=["a"] * 3, ts=[NOON] * 3, shop=["s"] * 3, stars=[5, 3, None], returned=[False] * 3
    )
    assert [(row[1], row[3], row[4]) for row in events(source)] == [("s/a", True, "s"), ("s/a", False, "s"), ("s/a", False, "s")]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"timestamp": "tz"},
            r"source\.timestamp = 'tz': there is no such column in .*; did you mean 'ts'\? \(columns: user, item, ts\)",
        ),
        ({"user": "customer id"}, r"source\.user = 'customer id': .*Error.* \(columns: user, item, ts\)"),
        ({"item": "lower(itm)"}, r"source\.item = 'lower\(itm\)': .*itm"),
        ({"basket": "ITEMS"}, r"source\.basket = 'ITEMS': there is no such column .*'item'"),
        ({"positive": "liked"}, r"source\.positive = 'liked': there is no such column"),
        ({"positive": "quantity > 0"}, r"source\.positive = 'quantity > 0': .*quantity"),
        ({"positive": "item >"}, r"source\.positive = 'item >': Parser Error"),
        ({"positive": "item"}, r"source\.positive = 'item' is VARCHAR .* must be true or false"),
        ({"positive": ""}, r"source\.positive = '': it is empty"),
    ],
)
def test_bad_columns_are_named(parquet: Callable[..., Source], knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        events(parquet(knobs))


def test_a_user_column_that_is_missing_is_not_the_database_user(parquet: Callable[..., Source]) -> None:
    with pytest.raises(ValueError, match=r"source\.user = 'user': there is no such column"):
        events(parquet(user=[], customer=["u"]))


def test_float_ids_are_refused(parquet: Callable[..., Source]) -> None:
    with pytest.raises(ValueError, match=r"source\.user = 'user' is DOUBLE .*TRY_CAST\(user AS BIGINT\)"):
        events(parquet(user=[12346.0]))
    assert events(parquet({"user": "TRY_CAST(user AS BIGINT)"}, user=[12346.0]))[0][0] == "12346"


class TestFiles:
    def test_globs_of_parquet_with_columns_in_any_order(self, tmp_path: Path) -> None:
        for n, names in enumerate([("user", "item", "ts"), ("ts", "user", "item")]):
            pq.write_table(pa.table({"user": [f"u{n}"], "item": ["a"], "ts": [NOON]}).select(names), tmp_path / f"{n}.parquet")
        assert [row[0] for row in events(Source(events=str(tmp_path / "*.parquet")))] == ["u0", "u1"]

    def test_csv_keeps_ids_and_reads_late_surprises(self, tmp_path: Path) -> None:
        """A number-like id keeps its zeros; the one odd item and the one bad date come long after any sample."""
        rows = "".join(f"{n:05},{n:03},2024-01-01 12:00:00,1\n" for n in range(30000))
        (tmp_path / "log.csv").write_text(f"user,item,ts,quantity\n{rows}x,15056N,soon,1.5\ny,15056N,2024-01-01 12:00:00,1.5\n")
        source = Source(events=str(tmp_path / "*.csv"), positive="quantity > 1")
        found = events(source)
        assert found[0] == ("00000", "000", NOON, False, None)
        assert found[-1] == ("y", "15056N", NOON, True, None)
        assert faults(source) == {"events_with_unreadable_timestamp": 1}

    def test_csv_with_its_own_date_format_and_delimiter(self, tmp_path: Path) -> None:
        (tmp_path / "log.csv").write_text("user;item;ts\nu;a;31/12/2023 12:00:00\nu;b;01/01/2024 12:00:00\n")
        assert [row[2] for row in events(Source(events=str(tmp_path / "log.csv")))] == [datetime(2023, 12, 31, 12), NOON]

    def test_any_fsspec_address(self, tmp_path: Path) -> None:
        memory = fsspec.filesystem("memory")
        pq.write_table(pa.table({"user": ["u"], "item": ["a"], "ts": [NOON]}), tmp_path / "log.parquet")
        memory.pipe("/driftline/log.parquet", (tmp_path / "log.parquet").read_bytes())
        memory.pipe("/driftline/items.csv", b"item,text\na,Apple\n")
        source = Source(events="memory://driftline/*.parquet", items="memory://driftline/items.csv")
        assert events(source) == [("u", "a", NOON, True, None)]
        with open_source(source) as con:
            assert con.execute("FROM driftline_items").fetchall() == [("a", "Apple")]

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ("", r"source\.events is not set"),
            ("{tmp}/none/*.parquet", r"source\.events: no file matches '.*/none/\*\.parquet'"),
            ("memory://none/*.parquet", r"source\.events: no file matches 'memory://none/\*\.parquet'"),
            ("{tmp}", r"no file matches .*it is a folder: write '.*/\*\.parquet'"),
            ("{tmp}/notes.odt", r"cannot tell the format of .*FROM read_json"),
            ("nosuch://bucket/log.parquet", r"source\.events: cannot read nosuch:// addresses"),
            ("{tmp}/broken.parquet", r"broken\.parquet"),
            ("SELECT * FROM nowhere", r"source\.events: Catalog Error"),
            ("{tmp}/torn.csv", r"source\.events: .*torn\.csv, line 2 .* a quote is opened and not closed"),
            ("SELEC * FROM nowhere", r"source\.events: no file matches"),
        ],
    )
    def test_what_cannot_be_read(self, tmp_path: Path, where: str, message: str) -> None:
        (tmp_path / "notes.odt").write_text("?")
        (tmp_path / "broken.parquet").write_text("this is no Parquet file")
        (tmp_path / "torn.csv").write_text('user,item,ts\n"u,a,2024-01-01\n\nv,"b\n')
        with pytest.raises(ValueError, match=message):
            events(Source(events=where.format(tmp=tmp_path)))


class TestQueries:
    def test_attached_database_with_names_like_our_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
            con.execute("CREATE TABLE events AS SELECT 'u' AS user, 1 AS item, TIMESTAMP '2024-01-01 12:00:00' AS ts")
            con.execute("CREATE TABLE items AS SELECT 1 AS item, 'Apple' AS text")
        monkeypatch.setenv("SHOP", str(tmp_path / "shop.duckdb"))
        source = Source(
            setup="ATTACH '${SHOP}' AS shop (READ_ONLY); USE shop", events="FROM events", items="-- all\nSELECT * FROM items;"
        )
        with open_source(source) as con:
            assert con.execute("FROM driftline_events").fetchall() == [("u", "1", NOON, True, None)]
            assert con.execute("FROM driftline_items").fetchall() == [("1", "Apple")]

    def test_with_query(self) -> None:
        query = "WITH log AS (SELECT 'u' AS user, 'a' AS item, DATE '2024-01-01' AS ts) SELECT * FROM log"
        assert events(Source(events=query))[0][:2] == ("u", "a")
        with pytest.raises(ValueError, match=r"source\.item = 'itm': there is no such column in the query; did you mean 'item'"):
            events(Source(events=query, item="itm"))

    def test_missing_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LOG_DSN", raising=False)
        with pytest.raises(ValueError, match=r"source\.setup needs the environment variable LOG_DSN"):
            events(Source(setup="ATTACH '${LOG_DSN}' AS log", events="FROM log.events"))

    def test_no_secret_in_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOG_DSN", "/no/such/folder/pass'word")
        with pytest.raises((ValueError, duckdb.Error)) as caught:
            events(Source(setup="ATTACH '${LOG_DSN}' AS log; SELECT '${LOG_DSN}' FROM", events="FROM log.events"))
        assert "word" not in str(caught.value)
        assert "${LOG_DSN}" in str(caught.value)
        assert caught.value.__cause__ is None

    def test_bad_setup(self) -> None:
        with pytest.raises(ValueError, match=r"source\.setup: Parser Error"):
            events(Source(setup="ATACH 'x'", events="FROM x"))
