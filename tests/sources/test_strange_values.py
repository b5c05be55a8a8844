"""Times, ids, numbers and texts as people have them: read, counted or refused, and the expression of a refusal reads them."""

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.contracts import BadInput, Source
from driftline.sources.profile import profile
from tests.sources.files import DAY, faults, log, refusal, rows

Write = Callable[..., Source]


def found(source: Source) -> list[str]:
    """Findings but for the heaviest ids, which every small log has."""
    return [f"{one.level} {one.setting}: {one.message}" for one in profile(source).findings if "of the log" not in one.message]


class TestTimes:
    @pytest.mark.parametrize(
        ("times", "read"),
        [
            (["02/Jan/2024:10:00:00 +0200", "02/Jan/2024:10:00:00 +0000"], ["2024-01-02 08:00", "2024-01-02 10:00"]),
            (["Tue, 02 Jan 2024 10:00:00 +0100", "Tue, 02 Jan 2024 10:00:00 GMT"], ["2024-01-02 09:00", "2024-01-02 10:00"]),
            (["Tue Jan 02 10:00:00 +0000 2024"], ["2024-01-02 10:00"]),
            (["2024-01-02 10:00:00.000 +0200"], ["2024-01-02 08:00"]),
            (["03/25/2024 10:00:00 +0200", "03/25/2024 3:04 PM"], ["2024-03-25 08:00", "2024-03-25 15:04"]),
            (["01/25/2024 3:04pm"], ["2024-01-25 15:04"]),
            (["20240102T100000Z"], ["2024-01-02 10:00"]),
            (["2024年1月2日", "2024年12月31日"], ["2024-01-02", "2024-12-31"]),
            (["2024年1月2日 10時30分"], ["2024-01-02 10:30"]),
            (["2024. 1. 2."], ["2024-01-02"]),
            (["2024-W03-2"], ["2024-01-16"]),
        ],
    )
    def test_formats_of_the_world(self, write: Write, times: list[str], read: list[str]) -> None:
        source = write({f"{n}.csv": f'user,item,ts\nu,{n},"{time}"\n' for n, time in enumerate(times)})
        assert [row[2] for row in rows(source)] == [datetime.fromisoformat(each) for each in read]

    @pytest.mark.parametrize(
        ("times", "read"),
        [
            (["2024-032"], ["2024-02-01"]),
            (["2024W032"], ["2024-01-16"]),
            (["2024-02"], ["2024-02-01"]),
            (["2024-01-02T10:00:00+02:00[Europe/Berlin]"], ["2024-01-02 08:00"]),
            (["Tue Jan 02 2024 10:00:00 GMT+0100 (CET)"], ["2024-01-02 09:00"]),
            (["2nd January 2024"], ["2024-01-02"]),
            (["25.01.24"], ["2024-01-25"]),
            (["1/25/24 3:04 PM", "2/26/24 10:00 AM"], ["2024-01-25 15:04", "2024-02-26 10:00"]),
            (["24-Jan-25"], ["2025-01-24"]),
            (["2024-01-02", "Jan 3, 2024"], ["2024-01-02", "2024-01-03"]),
            (["1704153600.5"], ["2024-01-02 00:00:00.5"]),
            (["45293.5", "45294"], ["2024-01-02 12:00", "2024-01-03"]),
            (["1704153600", "1704153600123"], ["2024-01-02", "2024-01-02 00:00:00.123"]),
            (["240102"], ["2024-01-02"]),
            (["25012024", "02022024"], ["2024-01-25", "2024-02-02"]),
            (["20240102.0", ""], ["2024-01-02"]),
        ],
    )
    def test_what_is_proposed_reads_it(self, write: Write, times: list[str], read: list[str]) -> None:
        """One of the expressions, where there are two, and none of those is a guess of ours."""
        source = write({"a.csv": log(*(f'u,{n},"{time}"' for n, time in enumerate(times)))})
        message = refusal(source)
        proposed = re.split(
            r" or (?=try_strptime)", re.split(r"write (?:an expression such as |the expression )?|them such as ", message)[-1]
        )
        read_by = []
        for expression in proposed:
            try:
                read_by.append([row[2] for row in rows(replace(source, timestamp=expression))])
            except BadInput:
                read_by.append([])
        assert [datetime.fromisoformat(each) for each in read] in read_by, message

    def test_rows_in_another_format_are_counted_and_shown(self, write: Write) -> None:
        source = write({"a.csv": log("u,a,2024-01-02", *["u,b,1704153600"] * 3)})
        (finding,) = found(source)
        assert finding.startswith(
            "error source.timestamp: 3 events with unreadable timestamp, e.g. user u, item b, time 1704153600: "
        )
        assert "to_timestamp(TRY_CAST(ts AS BIGINT))" in finding
        assert found(write({"a.csv": log(*["u,a,2024-01-02"] * 9, "u,b,soon")}))[0].startswith("warning source.timestamp: 1 ")

    @pytest.mark.parametrize(
        ("time", "expression", "words"),
        [
            ("25/01/2024", "strptime(ts, '%Y-%m-%d')", "write try_strptime instead of strptime"),
            ("x", "CAST(ts AS TIMESTAMP)", "write TRY_CAST instead of CAST"),
            ("1704153600123000000", "to_timestamp(TRY_CAST(ts AS BIGINT))", "the unit of the numbers is another"),
            ("9223372036854775807", "epoch_ms(TRY_CAST(ts AS BIGINT))", "the unit of the numbers is another"),
        ],
    )
    def test_an_expression_that_fails_on_a_row(self, write: Write, time: str, expression: str, words: str) -> None:
        source = write({"a.csv": log(f"u,a,{time}")}, timestamp=expression)
        with pytest.raises(BadInput, match=r"source\.timestamp = .* fails on the row .*'item': a.* of .*\.csv") as caught:
            profile(source)
        assert words in str(caught.value)
        assert time in str(caught.value)
        assert "\n" not in str(caught.value)


class TestIds:
    @pytest.mark.parametrize("blank", ["\u3000", "\u200b", "\ufeff", "\u2003", "\u00a0", "\x0b"])
    def test_blanks_of_any_width_are_no_part_of_an_id(self, write: Write, blank: str) -> None:
        source = write({"a.csv": log("v,a,2024-01-02", f"{blank}u{blank},{blank}b,2024-01-02", f"{blank},c,2024-01-02")})
        assert rows(source) == [("u", "b", DAY), ("v", "a", DAY)]
        assert faults(source) == {"events_without_user": 1}

    def test_letters_that_end_in_the_byte_of_a_blank_stay(self, write: Write) -> None:
        assert rows(write({"a.csv": log("à,Ġ,2024-01-02")})) == [("à", "Ġ", DAY)]

    @pytest.mark.parametrize(
        ("one", "other", "mend"),
        [
            ("007", "7", "coalesce(nullif(ltrim({}, '0+'), ''), '0')"),
            ("e\u0301", "\u00e9", "translate(nfc_normalize({}), "),
            ("a\u200bb", "ab", "translate(nfc_normalize({}), "),
            ("\uff11\uff12", "12", "translate({}, '０"),
            ('="007"', "7", "regexp_replace({}, '[ =\"'',]'"),
            ("1,234", "1234", "regexp_replace({}, '[ =\"'',]'"),
        ],
    )
    def test_two_ids_that_look_like_one_are_named(self, tmp_path: Path, one: str, other: str, mend: str) -> None:
        pq.write_table(pa.table({"user": [one, other], "item": ["a", "b"], "ts": [DAY] * 2}), tmp_path / "a.parquet")
        source = Source(events=str(tmp_path / "a.parquet"))
        (finding,) = found(source)
        assert "warning source.user: 1 users with 2 events are written in several ways, e.g. " in finding
        assert mend.format("user") in finding
        expression = finding.rpartition("write ")[2]
        zeros = one.startswith("=")  # both mends, one after the other
        mended = profile(replace(source, user=f"ltrim({expression}, '0')" if zeros else expression))
        assert mended.users == 1

    def test_capitals_that_tell_nothing_apart(self, write: Write) -> None:
        (finding,) = found(write({"a.csv": log("Ab,a,2024-01-02", "ab,b,2024-01-02")}))
        assert "differ from others by capitals only: if they are the same, write lower(user)" in finding

    def test_ids_of_duckdbs_own_types(self, tmp_path: Path) -> None:
        id = uuid.UUID(int=5)
        query = f"SELECT UUID '{id}' AS user, 'b'::ENUM ('a', 'b') AS item, TIMESTAMP '{DAY}' AS ts"
        duckdb.execute(f"COPY ({query}) TO '{tmp_path}/a.parquet'")
        source = Source(events=str(tmp_path / "a.parquet"))
        assert rows(source) == [(str(id), "b", DAY)]
        assert rows(Source(events=f"SELECT user, item::ENUM ('a', 'b') AS item, ts FROM '{tmp_path}/a.parquet'"))[0][1] == "b"

    @pytest.mark.parametrize(
        ("values", "words"), [([7.0, float("nan"), None], r"TRY_CAST\(user AS BIGINT\)"), ([7.0, 8.5], "8.5 is no whole number")]
    )
    def test_floats(self, tmp_path: Path, values: list[float], words: str) -> None:
        table = pa.table({"user": values, "item": ["a"] * len(values), "ts": [DAY] * len(values)})
        pq.write_table(table, tmp_path / "a.parquet")
        source = Source(events=str(tmp_path / "a.parquet"))
        assert re.search(words, refusal(source))
        if None in values:
            assert rows(replace(source, user="TRY_CAST(user AS BIGINT)")) == [("7", "a", DAY)]

    @pytest.mark.parametrize("word", ["\\N", "(not set)", "NaT", "00000000-0000-0000-0000-000000000000"])
    def test_other_words_for_nobody(self, write: Write, word: str) -> None:
        source = write({"a.csv": log(f"{word},a,2024-01-02", "u,b,2024-01-02")})
        assert [row[0] for row in rows(source)] + list(faults(source)) in (["u", "events_without_user"], ["NaT", "u"])

    def test_a_log_and_a_catalogue_that_write_ids_in_two_ways(self, write: Write) -> None:
        for ours, theirs in (("7", "007"), ("ABC", "abc"), ("7", "7.0")):
            source = write(
                {"log.csv": log(f"u,{ours},2024-01-02"), "i/items.csv": f"item,text\n{theirs},Milk\n"},
                "log.csv",
                items="{tmp}/i/items.csv",
            )
            said = [one for one in found(source) if one.startswith("error source.catalogue_item")]
            assert len(said) == 1
            assert theirs in said[0]


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "expression"),
        [
            ("1,200.50", "TRY_CAST(replace(price, ',', '') AS DOUBLE)"),
            ("1.200,50", "TRY_CAST(replace(replace(price, '.', ''), ',', '.') AS DOUBLE)"),
            ("1200,50", "TRY_CAST(replace(price, ',', '.') AS DOUBLE)"),
            ("1 200.50", "TRY_CAST(replace(price, ' ', '') AS DOUBLE)"),
            ("$1200.50", "TRY_CAST(trim(price, '$€£¥% ') AS DOUBLE)"),
            ("?", "TRY_CAST(price AS DOUBLE)"),
        ],
    )
    def test_a_number_that_is_none_to_duckdb(self, write: Write, value: str, expression: str) -> None:
        source = write({"a.csv": f"user;item;ts;price\nu;a;2024-01-02;{value}\nu;b;2024-01-02;5\n"}, positive="price > 4")
        message = refusal(source)
        assert f"price has {value!r} in a row: write {expression}" in message
        mended = profile(replace(source, positive=f"{expression} > 1000"))
        assert mended.positive == (value != "?")

    def test_words_for_yes(self, write: Write) -> None:
        files = {"a.csv": "user,item,ts,liked\nu,a,2024-01-02,Yes\n"}
        assert "write a comparison such as liked = 'Yes'" in refusal(write(files, positive="liked"))

    def test_nothing_is_positive(self, write: Write) -> None:
        assert found(write({"a.csv": log("u,a,2024-01-02")}, positive="item = 'A'"))[0].startswith("error source.positive")


@pytest.mark.parametrize("name", ["at", "order", "Event Time", 'the "time"', "1st"])
def test_what_is_proposed_writes_odd_names_as_an_expression_has_to(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"user": ["u"], "item": ["a"], name: [1704153600]}), tmp_path / "a.parquet")
    source = Source(events=str(tmp_path / "a.parquet"), timestamp=name)
    expression = refusal(source).rpartition("write the expression ")[2]
    assert rows(replace(source, timestamp=expression)) == [("u", "a", DAY)]


class TestCatalogues:
    @pytest.mark.parametrize(
        ("items", "words"),
        [
            ("item,text\n", "error source.items: no item of .*items.csv' has a text, of 0 rows"),
            ("item,text\na,123\n", "warning source.text: 1 texts have no letter, e.g. '123'"),
        ],
    )
    def test_one_that_says_nothing(self, write: Write, items: str, words: str) -> None:
        source = write({"log.csv": log("u,a,2024-01-02"), "i/items.csv": items}, "log.csv", items="{tmp}/i/items.csv")
        assert any(re.match(words, one) for one in found(source))


def test_a_query_that_guesses_is_named(write: Write, tmp_path: Path) -> None:
    source = write({"a.csv": log("u,007,03/04/2024")}, "a.csv")
    query = f"FROM read_csv('{source.events}')"
    assert any("add all_varchar = true" in one for one in found(replace(source, events=query)))
    assert "day or the month" in refusal(replace(source, events=query.replace(")", ", all_varchar = true)")))
