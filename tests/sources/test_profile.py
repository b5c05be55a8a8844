"""The figures of `driftline ingest`, the catalogue, and tables that are read as they are."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from driftline.contracts import Source
from driftline.sources.findings import Heaviest
from driftline.sources.profile import catalogue, profile
from driftline.sources.table import read_table
from tests.sources.logs import START, Event, visits, write_log

ITEMS = """item,text
a,Apple
b,Banana
b,Banana
c,Cherry
c,Cheri
d,
d,  
e,Elder
,nameless
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    log = write_log(
        tmp_path / "events.parquet",
        [
            *visits("u", "abca"),
            Event("v", "a", 60, liked=False),
            Event("v", "d", 70),
            Event("v", "x", 80),
            Event("v", "x", 90),
            Event(None, "a", 0),
            Event("u", None, 0),
            Event("u", "a", None),
        ],
    )
    (tmp_path / "items.csv").write_text(ITEMS)
    return Source(events=log.events, positive="liked", items=str(tmp_path / "items.csv"))


def test_profile_worked_by_hand(source: Source) -> None:
    found = profile(source)
    assert (found.events, found.positive, found.users, found.items) == (8, 7, 2, 5)
    assert (found.first, found.last) == (START, START + timedelta(minutes=90))
    assert (found.catalogue_items, found.unknown_items, found.unknown_events) == (4, 2, 3)
    assert found.dropped == {
        "events_without_user": 1,
        "events_without_item": 1,
        "events_without_timestamp": 1,
        "catalogue_rows_without_item": 1,
        "items_without_text": 1,
        "items_with_several_texts": 1,
    }
    assert found.examples["events_without_user"] == "user (none), item a, time 2024-01-01 00:00:00"
    assert (found.heaviest_user, found.heaviest_item) == (Heaviest("u", 4, 0.5), Heaviest("a", 3, 0.375))
    assert (found.log.format, found.log.times) == ("parquet", ("TIMESTAMP",))
    assert found.catalogue is not None
    assert (found.catalogue.format, found.catalogue.delimiter) == ("csv", ",")
    assert [(one.level, one.setting) for one in found.findings] == [
        ("warning", "source.user"),
        ("warning", "source.item"),
        ("warning", "source.items"),
    ]


def test_profile_without_a_catalogue(source: Source) -> None:
    found = profile(Source(events=source.events))
    assert (found.catalogue_items, found.unknown_items, found.unknown_events) == (None, None, None)


def test_profile_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no event that can be used \(events_without_user: 1, e\.g\. user \(none\), item a"):
        profile(write_log(tmp_path / "events.parquet", [Event(None, "a", 0)]))
    with pytest.raises(ValueError, match="it is empty"):
        profile(write_log(tmp_path / "events.parquet", []))


def test_catalogue_has_each_item_once_with_its_positive_events(source: Source) -> None:
    table = catalogue(source)
    assert table.schema == pa.schema([("item", pa.string()), ("text", pa.string()), ("traffic", pa.int64())])
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("a", "Apple", 2),
        ("b", "Banana", 1),
        ("c", "Cheri", 1),
        ("e", "Elder", 0),
    ]


def test_catalogue_text_by_expression(source: Source) -> None:
    assert catalogue(Source(events=source.events, items=source.items, text="upper(text)"))["text"][0].as_py() == "APPLE"


def test_catalogue_errors(source: Source, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"source\.items is not set"):
        catalogue(Source(events=source.events))
    with pytest.raises(ValueError, match=r"source\.text = 'txt': there is no such column .*items\.csv; did you mean 'text'"):
        catalogue(Source(events=source.events, items=source.items, text="txt"))
    with pytest.raises(ValueError, match=r"source\.catalogue_item = 'itm'"):
        catalogue(Source(events=source.events, items=source.items, catalogue_item="itm"))
    (tmp_path / "blank.csv").write_text("item,text\na,\n")
    with pytest.raises(ValueError, match="no item has text"):
        catalogue(Source(events=source.events, items=str(tmp_path / "blank.csv")))


def test_read_table(tmp_path: Path) -> None:
    (tmp_path / "taxonomy.csv").write_text("sku,shelf,title\n007,1,Tea\n008,1,Tea\n")
    table = read_table(str(tmp_path / "taxonomy.csv"), {"item": "sku", "cluster": "shelf", "name": "lower(title)"})
    assert table.to_pylist() == [{"item": "007", "cluster": "1", "name": "tea"}, {"item": "008", "cluster": "1", "name": "tea"}]
    with pytest.raises(ValueError, match=r"file: name = 'titel': there is no such column .*did you mean 'title'"):
        read_table(str(tmp_path / "taxonomy.csv"), {"name": "titel"})


def test_times_of_a_profile_are_utc(source: Source) -> None:
    assert profile(source).first == datetime(2024, 1, 1, tzinfo=UTC)
