"""Files as people have them: one reading of all rows of all files, or a refusal with the expression to write."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.contracts import Source
from driftline.sources.log import describe_source, open_source
from driftline.sources.profile import profile
from driftline.sources.table import read_table
from tests.sources.files import DAY, Files, faults, log, refusal, rows


class TestDialect:
    def test_a_quote_after_any_sample(self, write: Callable[..., Source]) -> None:
        source = write(
            {"log.csv": log(*(f"u{n},i{n},2024-01-02 00:00:00" for n in range(25_000)), 'u1,"i3, big",2024-01-02 00:00:00')}
        )
        assert ("u1", "i3, big", DAY) in rows(source)
        assert len(rows(source)) == 25_001

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.csv", "user,item,ts\nu,a,2024-01-02\n"),
            ("a.csv", "\ufeffuser,item,ts\r\nu,a,2024-01-02\r\n"),
            ("a.csv", "user, item, ts\nu, a, 2024-01-02\n"),
            ("a.csv", "user,item,ts\n u ,a\t,2024-01-02\n"),
            ("a.csv", "Sales of the shop\nmade in 2024\n\nuser;item;ts\nu;a;2024-01-02\n"),
            ("a.csv", "sep=;\nuser;item;ts\nu;a;2024-01-02\n"),
            ("a.csv", "'user','item','ts'\n'u','a','2024-01-02'\n"),
            ("a.csv", 'user,item,ts,text\nu,a,2024-01-02,"19\\" monitor, big"\n'),
            ("a.csv", 'user,item,ts,text\nu,a,2024-01-02,19" monitor\n'),
            ("a.csv", 'user,item,ts,text\nu,a,2024-01-02,"two\nlines"\n'),
            ("a.csv", 'text,user,item,ts\n"a;b;c|d",u,a,2024-01-02\n'),
            ("a.csv", ",user,item,ts,n,n\n0,u,a,2024-01-02,x,y\n"),
            ("a.tsv", "user\titem\tts\nu\ta\t2024-01-02\n"),
            ("a.csv", "user|item|ts\nu|a|2024-01-02\n"),
            ("a.csv", "user,item,ts\nu,a,2024-01-02\n".encode("utf-16")),
        ],
    )
    def test_one_row_however_it_is_written(self, write: Callable[..., Source], name: str, content: str | bytes) -> None:
        assert rows(write({name: content}, glob=name)) == [("u", "a", DAY)]

    def test_files_with_columns_in_any_order_preambles_and_nothing(self, write: Callable[..., Source]) -> None:
        files: Files = {
            "a.csv": log("u,a,2024-01-02"),
            "b.csv": "x\nts,user,item,more\n2024-01-02,v,b,1\n",
            "c.csv": "",
            "d.csv": "user,item,ts\n",
        }
        assert rows(write(files)) == [("u", "a", DAY), ("v", "b", DAY)]

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            (
                {"a.csv": log(*["u,a,2024-01-02"] * 99, "u,a,2024-01-02,x")},
                ["a.csv, line 101", "4 fields, the header 3", "ignore_errors"],
            ),
            ({"a.csv": log("u,a")}, ["a.csv, line 2", "2 fields, the header 3"]),
            ({"a.csv": log('u,"a,2024-01-02', "v,b,2024-01-02")}, ["a.csv, line 2", "quote is opened and not closed"]),
            ({"a.csv": log("ü,a,2024-01-02").encode("latin-1")}, ["a.csv, line 2", "not UTF-8", "encoding = 'latin-1'"]),
            ({"a.csv": b"user,item,ts\r\nu,a,2024-01-02\r\nv,b,2024-01-02\nw,c,2024-01-02\r\n"}, ["a.csv", "CR LF"]),
            (
                {"a.csv": log("u,a,2024-01-02"), "b.csv": "user;item;ts\nu;a;2024-01-02\n"},
                ["a.csv has delimiter ','", "b.csv ';'"],
            ),
            ({"a.csv": "", "b.csv": ""}, ["every file of", "empty"]),
            ({"a.csv": log(), "b.parquet": b"?"}, ["two kinds", "write", "/*.csv"]),
            ({"a.csv": log(), "SUCCESS": b""}, ["two kinds", "SUCCESS", "/*.csv"]),
        ],
    )
    def test_what_does_not_fit_is_named_by_file_and_row(
        self, write: Callable[..., Source], files: Files, words: list[str]
    ) -> None:
        message = refusal(write(files, glob="*"))
        assert all(word in message for word in words), message
        assert "strict mode" not in message
        assert "\n" not in message

    def test_a_file_that_is_not_what_its_name_says(self, write: Callable[..., Source]) -> None:
        message = refusal(write({"a.csv.gz": log("u,a,2024-01-02")}, glob="*.gz"))
        assert "not a GZIP stream" in message
        assert "give the file the ending that it has" in message

    def test_what_was_taken(self, write: Callable[..., Source]) -> None:
        source = write({"a.csv": "user;item;ts;stars\n007;1;25/03/2024 10:00;4.5\n"}, positive="stars > 4")
        with describe_source(source) as opened:
            reading = opened.log
        assert (reading.format, reading.files, reading.delimiter, reading.quote, reading.encoding) == (
            "csv",
            1,
            ";",
            '"',
            "utf-8",
        )
        assert reading.columns == {"user": "VARCHAR", "item": "VARCHAR", "ts": "VARCHAR", "stars": "DOUBLE"}
        assert (reading.times, reading.zone) == (("%d/%m/%Y %H:%M",), "none, so UTC")


class TestTypes:
    def test_other_columns_have_the_type_that_all_rows_fit(self, write: Callable[..., Source]) -> None:
        lines = [f"u,a,2024-01-02,{n},{n},true,0{n},{n}" for n in range(30_000)]
        late = "u,a,2024-01-02,NULL,1.5,FALSE,x,12345678901234567890"
        source = write(
            {
                "a.csv": "user,item,ts,whole,number,flag,code,long\n" + "\n".join(lines),
                "b.csv": "user,item,ts,whole,number,flag,code,long\n" + late,
            },
            positive="whole > 1 AND number > 1 AND flag AND code > '' AND long > ''",
        )
        with describe_source(source) as opened:
            kinds = {name: opened.log.columns[name] for name in ("whole", "number", "flag", "code", "long")}
            (count,) = opened.con.execute("SELECT count(*) FROM driftline_events WHERE positive").fetchall()
        assert kinds == {"whole": "BIGINT", "number": "DOUBLE", "flag": "BOOLEAN", "code": "VARCHAR", "long": "VARCHAR"}
        assert count == (29_998,)

    @pytest.mark.parametrize("missing", ["nan", "NULL", "n/a", ""])
    def test_a_number_that_is_missing_in_a_row(self, write: Callable[..., Source], missing: str) -> None:
        """Also where the numbers are all that is read: DuckDB would have its reader convert the column, and fail."""
        source = write({"a.csv": f"user,item,ts,stars\nu,a,2024-01-02T10:00:00Z,4\nv,b,2024-01-02T10:00:00Z,{missing}\n"})
        source = replace(source, positive="stars >= 4")
        with open_source(source) as con:
            found = con.execute("SELECT item, positive FROM driftline_log ORDER BY item").fetchall()
            assert con.execute("SELECT count(*) FROM driftline_events WHERE positive").fetchall() == [(1,)]
        assert found == [("a", True), ("b", False)]

    def test_part_of_an_id_keeps_its_zeros(self, write: Callable[..., Source]) -> None:
        source = write({"a.csv": "user,item,ts,shop\nu,a,2024-01-02,007\nu,a,2024-01-02,12\n"}, item="concat(shop, '/', item)")
        assert [row[1] for row in rows(source)] == ["007/a", "12/a"]


class TestPartitions:
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_folders_are_columns(self, write: Callable[..., Source], tmp_path: Path, kind: str) -> None:
        source = Source(events=str(tmp_path / f"log/*/*/*.{kind}"), timestamp="dt", item="shop")
        for day in ("2024-01-02", "2024-01-03"):
            folder = tmp_path / f"log/dt={day}/shop=007"
            folder.mkdir(parents=True)
            if kind == "csv":
                (folder / "x.csv").write_text("user,item\nu,a\n")
            else:
                pq.write_table(pa.table({"user": ["u"], "item": ["a"]}), folder / "x.parquet")
        assert rows(source) == [("u", "007", DAY), ("u", "007", datetime(2024, 1, 3))]
        with describe_source(source) as opened:
            assert opened.log.partitions == {"dt": "DATE", "shop": "VARCHAR"}

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_a_folder_hides_no_column(self, tmp_path: Path, kind: str) -> None:
        """`user=me` may be any folder above: it is not the user of every event."""
        folder = tmp_path / "user=me"
        folder.mkdir()
        (folder / "x.csv").write_text(log("u,a,2024-01-02"))
        pq.write_table(pa.table({"user": ["u"], "item": ["a"], "ts": [DAY]}), folder / "x.parquet")
        assert rows(Source(events=str(folder / f"*.{kind}"))) == [("u", "a", DAY)]


class TestTimes:
    @pytest.mark.parametrize(
        ("times", "read"),
        [
            (["25/03/2024", "04/03/2024"], ["2024-03-25", "2024-03-04"]),
            (["03/04/2024", "03/25/2024"], ["2024-03-04", "2024-03-25"]),
            (["3/4/2024 8:05", "3/25/2024 20:26"], ["2024-03-04 08:05", "2024-03-25 20:26"]),
            (["12/1/2010 8:26 AM", "12/13/2010 8:26 PM"], ["2010-12-01 08:26", "2010-12-13 20:26"]),
            (["4.3.2024", "25.3.2024 10:00:00.5"], ["2024-03-04", "2024-03-25 10:00:00.5"]),
            (["04-Mar-2024", "25-Mar-2024 10:00"], ["2024-03-04", "2024-03-25 10:00"]),
            (["Mar 4, 2024"], ["2024-03-04"]),
            (["2024.03.04"], ["2024-03-04"]),
            (["2024/3/4", "2024-03-05T10:00:00Z"], ["2024-03-04", "2024-03-05 10:00"]),
            (["2024-03-04 10:00:00,123"], ["2024-03-04 10:00:00.123"]),
            (["2024-03-04 10:00:00+02:00", "2024-03-04 10:00:00"], ["2024-03-04 08:00", "2024-03-04 10:00"]),
            (
                ["2024-07-04 10:00:00 Europe/Berlin", "2024-03-04 10:00:00 Europe/Berlin"],
                ["2024-07-04 08:00", "2024-03-04 09:00"],
            ),
            (["2024-03-04 10:00:00 EST"], ["2024-03-04 15:00"]),
        ],
    )
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_a_format_that_all_rows_of_all_files_have(self, tmp_path: Path, kind: str, times: list[str], read: list[str]) -> None:
        for n, time in enumerate(times):
            if kind == "csv":
                (tmp_path / f"{n}.csv").write_text(f'user,item,ts\nu,{n},"{time}"\n')
            else:
                pq.write_table(pa.table({"user": ["u"], "item": [str(n)], "ts": [time]}), tmp_path / f"{n}.parquet")
        found = rows(Source(events=str(tmp_path / f"*.{kind}")))
        assert [row[2] for row in found] == [datetime.fromisoformat(each) for each in read]

    @pytest.mark.parametrize(
        ("times", "words"),
        [
            (["03/04/2024", "05/06/2024"], ["'03/04/2024'", "day or the month", "'%d/%m/%Y'", "'%m/%d/%Y'"]),
            (["03/04/2024 10:00"], ["'%d/%m/%Y %H:%M'", "'%m/%d/%Y %H:%M'"]),
            (["03/04/24"], ["two digits", "'03/04/24'", "%y"]),
            (["24-01-02"], ["two digits", "'24-01-02'"]),
            (["25/03/2024", "03/25/2024"], ["'25/03/2024'", "'03/25/2024'", "one by one"]),
            (["2024-01-02", "25/03/2024"], ["several formats", "'2024-01-02'", "'25/03/2024'", "coalesce"]),
            (["25/03/2024", "25-Mar-2024"], ["several formats"]),
        ],
    )
    def test_what_cannot_be_decided(self, write: Callable[..., Source], times: list[str], words: list[str]) -> None:
        message = refusal(write({f"{n}.csv": log(f"u,a,{time}") for n, time in enumerate(times)}))
        assert all(word in message for word in words), message

    def test_late_month_first(self, write: Callable[..., Source]) -> None:
        """DuckDB would have settled on day-first by the time the 13th comes."""
        lines = [f"u,a,01/{n // 2000 + 1:02}/2024" for n in range(24_000)]
        assert rows(write({"a.csv": log(*lines, "u,z,01/13/2024")}))[-1] == ("u", "z", datetime(2024, 1, 13))

    @pytest.mark.parametrize(
        ("number", "expression", "day"),
        [
            (20240102, "try_strptime(CAST(ts AS VARCHAR), '%Y%m%d')", DAY),
            (20240102103000, "try_strptime(CAST(ts AS VARCHAR), '%Y%m%d%H%M%S')", datetime(2024, 1, 2, 10, 30)),
            (202401021030, "try_strptime(CAST(ts AS VARCHAR), '%Y%m%d%H%M')", datetime(2024, 1, 2, 10, 30)),
            (2099010211 - 75_000_000, "try_strptime(CAST(ts AS VARCHAR), '%Y%m%d%H')", datetime(2024, 1, 2, 11)),
            (1704153600, "to_timestamp(ts)", DAY),
            (1704153600_000, "epoch_ms(ts)", DAY),
            (1704153600_000_000, "make_timestamp(ts)", DAY),
            (1704153600_000_000_000, "make_timestamp(ts // 1000)", DAY),
            (19724, "DATE '1970-01-01' + CAST(ts AS INTEGER)", DAY),
            (45293, "TIMESTAMP '1899-12-30' + to_seconds(ts * 86400)", DAY),
        ],
    )
    def test_the_unit_of_a_number_is_proposed_by_its_size(
        self, write: Callable[..., Source], number: int, expression: str, day: datetime
    ) -> None:
        message = refusal(write({"a.csv": log(f"u,a,{number}")}))
        assert message.endswith(f"write the expression {expression}"), message
        assert rows(write({"a.csv": log(f"u,a,{number}")}, timestamp=expression.replace("{", "{{"))) == [("u", "a", day)]

    def test_impossible_times_are_counted(self, tmp_path: Path) -> None:
        far = [datetime(9999, 12, 31, 23, 59, 59), datetime(1970, 1, 1), datetime(1900, 1, 1), DAY]
        pq.write_table(pa.table({"user": ["u"] * 4, "item": ["a"] * 4, "ts": far}), tmp_path / "log.parquet")
        source = Source(events=str(tmp_path / "log.parquet"))
        assert faults(source) == {"events_with_impossible_timestamp": 3}
        found = profile(source)
        assert (found.first, found.last) == (found.last, found.first)
        assert "1900-01-01" in found.examples["events_with_impossible_timestamp"]

    def test_a_wrong_unit_says_so(self, write: Callable[..., Source]) -> None:
        for expression in ("epoch_ms(ts)", "to_timestamp(ts)"):
            with pytest.raises(ValueError, match="unit is another") as caught:
                profile(
                    write({"a.csv": log("u,a,1704153600000000" if "ms" in expression else "u,a,20240102")}, timestamp=expression)
                )
            assert "events_with_impossible_timestamp: 1" in str(caught.value)

    def test_narrow_floats(self, tmp_path: Path) -> None:
        pq.write_table(
            pa.table({"user": ["u"], "item": ["a"], "ts": pa.array([1704153600.0], pa.float32())}), tmp_path / "log.parquet"
        )
        assert "seven digits" in refusal(Source(events=str(tmp_path / "log.parquet"), timestamp="to_timestamp(ts)"))


class TestIds:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (pa.array([12346.0]), "DOUBLE .*TRY_CAST"),
            (pa.array([12346], pa.decimal128(10, 2)), r"DECIMAL\(10,2\) .*TRY_CAST"),
            (pa.array([True]), "BOOLEAN .*CAST"),
            (pa.array([["a"]]), r"VARCHAR\[\] .*user\[1\]"),
            (pa.array([{"id": "a"}]), "STRUCT.*user.id"),
            (pa.array([DAY]), "TIMESTAMP .*CAST"),
            (pa.array([1755012345678901249.0]), "cannot tell whole numbers above"),
        ],
    )
    def test_what_is_no_id_is_refused(self, tmp_path: Path, values: pa.Array, words: str) -> None:
        pq.write_table(pa.table({"user": values, "item": ["a"], "ts": [DAY]}), tmp_path / "log.parquet")
        with pytest.raises(ValueError, match=words):
            rows(Source(events=str(tmp_path / "log.parquet")))

    def test_an_expression_does_not_hide_lost_digits(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"user": [1755012345678901249.0], "item": ["a"], "ts": [DAY]}), tmp_path / "log.parquet")
        assert "text or as a 64-bit" in refusal(Source(events=str(tmp_path / "log.parquet"), user="TRY_CAST(user AS BIGINT)"))

    @pytest.mark.parametrize(
        "values", [pa.array([7], pa.decimal128(10, 0)), pa.array([7], pa.uint64()), pa.array([b"7"]), pa.array(["7 "])]
    )
    def test_what_is_one(self, tmp_path: Path, values: pa.Array) -> None:
        pq.write_table(pa.table({"user": values, "item": ["a"], "ts": [DAY]}), tmp_path / "log.parquet")
        assert rows(Source(events=str(tmp_path / "log.parquet")))[0][0] == "7"

    def test_text_that_was_a_float(self, write: Callable[..., Source]) -> None:
        files: Files = {"a.csv": log("12346.0,a,2024-01-02", "12346,a,2024-01-02", "1.755e+18,a,2024-01-02", "v1.0,a,2024-01-02")}
        assert faults(write(files)) == {"events_with_float_id": 2}
        (finding, *_) = [one for one in profile(write(files)).findings if one.level == "error"]
        assert "regexp_replace(user" in finding.message
        assert "e.g. user 1" in finding.message
        mended = write({"a.csv": log("12346.0,a,2024-01-02", "12346,a,2024-01-02")}, user="regexp_replace(user, '[.]0+$', '')")
        assert {row[0] for row in rows(mended)} == {"12346"}

    def test_ids_of_nobody(self, tmp_path: Path) -> None:
        users = ["nan", "", "None", "u1", "  ", None, "NULL", "undefined"]
        pq.write_table(pa.table({"user": users, "item": ["a"] * 8, "ts": [DAY] * 8}), tmp_path / "log.parquet")
        source = Source(events=str(tmp_path / "log.parquet"))
        assert faults(source) == {"events_without_user": 7}
        assert rows(source) == [("u1", "a", DAY)]

    def test_numbers_are_nobody_only_where_they_are_heavy(self, tmp_path: Path) -> None:
        for zeros, missing in ((2, 0), (20, 20)):
            users = [0] * zeros + [n // 2 for n in range(2, 200)]
            pq.write_table(
                pa.table({"user": users, "item": ["a"] * len(users), "ts": [DAY] * len(users)}), tmp_path / "log.parquet"
            )
            assert faults(Source(events=str(tmp_path / "log.parquet"))).get("events_without_user", 0) == missing

    def test_a_rare_word_may_be_a_name(self, tmp_path: Path) -> None:
        users = ["None"] + [f"u{n}" for n in range(200)]
        pq.write_table(pa.table({"user": users, "item": ["a"] * 201, "ts": [DAY] * 201}), tmp_path / "log.parquet")
        found = profile(Source(events=str(tmp_path / "log.parquet")))
        assert (found.users, found.dropped) == (201, {})
        assert any("user 'None' has 1 events" in one.message for one in found.findings)
        assert any("item 'a' has 201 events, 100.0%" in one.message for one in found.findings)

    def test_nul_bytes(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"user": ["u", "v"], "item": ["z\x001", "a"], "ts": [DAY] * 2}), tmp_path / "log.parquet")
        pq.write_table(pa.table({"item": ["z\x001", "a"], "text": ["Milk", "Tea\x00pot"]}), tmp_path / "items.parquet")
        source = Source(events=str(tmp_path / "log.parquet"), items=str(tmp_path / "items.parquet"))
        assert faults(source) == {"events_with_nul_in_id": 1}
        with open_source(source) as con:
            assert con.execute("FROM driftline_items").fetchall() == [("a", "Tea pot")]
        assert profile(source).dropped["catalogue_rows_with_bad_id"] == 1

    def test_a_taxonomy_has_the_ids_of_the_log(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("item,cluster\n 007 ,x\n")
        assert read_table(str(tmp_path / "a.csv"), {"item": "item"}).to_pylist() == [{"item": "007"}]


class TestTexts:
    def catalogue(self, tmp_path: Path, texts: pa.Array, **settings: str) -> list[tuple[Any, ...]]:
        pq.write_table(pa.table({"user": ["u"], "item": ["a"], "ts": [DAY]}), tmp_path / "log.parquet")
        names = [str(n) for n in range(len(texts))]
        pq.write_table(pa.table({"item": names, "text": texts}), tmp_path / "items.parquet")
        with open_source(Source(events=str(tmp_path / "log.parquet"), items=str(tmp_path / "items.parquet"), **settings)) as con:
            return con.execute("SELECT text FROM driftline_items ORDER BY item").fetchall()

    def test_bytes_are_text(self, tmp_path: Path) -> None:
        assert self.catalogue(tmp_path, pa.array(["Café".encode()], pa.binary())) == [("Café",)]

    def test_files_with_and_without_the_mark(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"user": ["ü"], "item": ["a"], "ts": [DAY]}), tmp_path / "1.parquet")
        pq.write_table(pa.table({"user": ["ü".encode()], "item": ["a"], "ts": [DAY]}), tmp_path / "2.parquet")
        assert {row[0] for row in rows(Source(events=str(tmp_path / "*.parquet")))} == {"ü"}

    def test_no_text(self, tmp_path: Path) -> None:
        assert self.catalogue(tmp_path, pa.array(["NULL", "N/A", "nan", "-", " ", "Tea"])) == [("Tea",)]

    @pytest.mark.parametrize(
        ("texts", "words"),
        [
            (pa.array([{"de": "Tee", "en": "Tea"}]), r"STRUCT.* name a field of it, e\.g\. text\.de \(fields: de, en\)"),
            (pa.array([["a", "b"]]), r"VARCHAR\[\].*array_to_string\(text, ' '\)"),
        ],
    )
    def test_nested_texts_are_refused(self, tmp_path: Path, texts: pa.Array, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            self.catalogue(tmp_path, texts)


@pytest.mark.parametrize(
    ("mark", "data", "word"),
    [
        ("_delta_log/00000000000000000001.json", "part-0.parquet", "delta_scan("),
        ("_delta_log/00000000000000000001.json", "dt=2024-01-02/part-0.parquet", "delta_scan("),
        ("metadata/00001-a.metadata.json", "data/dt=2024-01-02/part-0.parquet", "iceberg_scan("),
        (".hoodie/hoodie.properties", "part-0.parquet", "Hudi"),
    ],
)
def test_folders_of_a_table_format_are_refused(tmp_path: Path, mark: str, data: str, word: str) -> None:
    for name in (mark, data):
        (tmp_path / "lake [1]" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lake [1]" / name).touch()
    pq.write_table(pa.table({"user": ["u"], "item": ["a"], "ts": [DAY]}), tmp_path / "lake [1]" / data)
    message = refusal(Source(events=f"{tmp_path}/lake [[]1]/**/*.parquet"))
    assert word in message
    assert f"{tmp_path}/lake [1]" in message
