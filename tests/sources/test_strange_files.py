"""Files of other kinds, encodings and shapes than their names say: read right, or named with what mends them."""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.contracts import Source
from driftline.sources.log import describe_source
from tests.sources.files import DAY, Files, log, refusal, rows

Write = Callable[..., Source]
ONE = log("u,a,2024-01-02")


class TestEncodings:
    @pytest.mark.parametrize(
        ("text", "encoding", "reads"),
        [
            ("日本", "cp932", "'日本,a,2024-01-02' in CP932"),
            ("中文", "gb18030", "'中文,a,2024-01-02' in GB18030"),
            ("“ü”", "cp1252", "'“ü”,a,2024-01-02' in CP1252"),
            ("жук", "cp1251", "'жук,a,2024-01-02' in CP1251"),
        ],
    )
    def test_a_line_that_is_not_utf8_is_shown_as_it_may_read(self, write: Write, text: str, encoding: str, reads: str) -> None:
        message = refusal(write({"a.csv": log(*["u,a,2024-01-02"] * 200, f"{text},a,2024-01-02").encode(encoding)}))
        assert all(word in message for word in ("a.csv, line 202: it is not UTF-8", reads, "iconv -f ", "a.utf8.csv")), message
        assert ("if it is CP1252" in message) == (encoding == "cp1251")  # whose bytes may be either

    def test_so_is_a_header(self, write: Write) -> None:
        message = refusal(write({"a.csv": "ユーザー,商品,日時\n日本,a,2024-01-02\n".encode("cp932")}, user="ユーザー"))
        assert "a.csv, line 1: it is not UTF-8; it reads 'ユーザー,商品,日時' in CP932" in message

    @pytest.mark.parametrize("encoding", ["utf-16-be", "utf-32"])
    def test_one_that_duckdb_has_not(self, write: Write, encoding: str) -> None:
        """Also beside a file that can be read: it is not passed over as an empty one."""
        message = refusal(write({"a.csv": ONE, "b.csv": log("ü,a,2024-01-02").encode(encoding)}))
        assert re.search(r"b.csv is UTF-(16BE|32).*iconv", message)

    def test_bytes_of_zero_are_no_encoding(self, write: Write) -> None:
        assert rows(write({"a.csv": b"user,item,ts\nu\0x,a,2024-01-02\nv,b,2024-01-02\n"})) == [("v", "b", DAY)]
        message = refusal(write({"a.csv": ONE.encode() + bytes(100)}))
        assert "a.csv, line 3" in message


class TestKinds:
    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("a.csv", gzip.compress(ONE.encode(), mtime=0), ["packed with gzip", "ending .gz"]),
            ("a.csv", b"PK\x03\x04rest", ["Excel workbook", "as CSV"]),
            ("a.csv", b"PAR1rest", ["is a Parquet file", ".parquet"]),
            ("a.csv", b"<!DOCTYPE html><html>", ["a web page"]),
            ("a.csv.bz2", b"BZh9rest", ["bzip2", "bunzip2"]),
            ("a.xlsx", b"", ["neither Parquet nor CSV", "as CSV"]),
            ("a.avro", b"?", ["as Parquet"]),
            ("a.csv.gz", gzip.compress(ONE.encode() * 3000, mtime=0)[:-20], ["a.csv.gz", "cut off"]),
            ("a.parquet", b"", ["a.parquet", "too small", "write it again"]),
            ("a.parquet", b"user,item,ts", ["a.parquet", "cut off, or no Parquet"]),
        ],
    )
    def test_what_a_file_is_whatever_its_name_says(self, write: Write, name: str, content: bytes, words: list[str]) -> None:
        message = refusal(write({name: content}, glob="a.*"))
        assert all(word in message for word in words), message

    def test_parquet_without_an_ending(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"user": ["u"], "item": ["a"], "ts": [DAY]}), tmp_path / "part-00000")
        assert rows(Source(events=str(tmp_path / "part-*"))) == [("u", "a", DAY)]

    def test_what_another_program_has_not_finished_is_left_out_and_said(self, write: Write) -> None:
        source = write({"a.csv": ONE, "_temporary/0/b.csv": ONE, ".c.csv": "?", "_SUCCESS": ""}, glob="**/*")
        assert rows(source) == [("u", "a", DAY)]
        with describe_source(source) as opened:
            assert (opened.log.files, opened.log.hidden) == (1, 3)

    def test_a_link_to_nothing(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "b.csv").symlink_to("gone.csv")
        assert "b.csv is a link to 'gone.csv'" in refusal(write({"a.csv": ONE}))

    @pytest.mark.parametrize(
        ("glob", "words"),
        [
            ("", "it is a folder: write '.*/\\*.csv'"),
            ("{a,b}.csv", "several files are a glob"),
            ("_*.csv", "no file matches"),
        ],
    )
    def test_what_names_no_file(self, write: Write, glob: str, words: str) -> None:
        assert re.search(words, refusal(write({"a.csv": ONE}, glob=glob)))

    def test_a_function_is_no_query(self) -> None:
        assert "write 'FROM read_csv('a.csv')'" in refusal(Source(events="read_csv('a.csv')"))


class TestHeaders:
    @pytest.mark.parametrize(
        ("files", "words"),
        [
            (
                {"a.csv": ONE, "b.csv": "v,b,2024-01-03\nw,c,2024-01-04\n"},
                ["b.csv, 'v,b,2024-01-03'", "user, item, ts", "header = false"],
            ),
            ({"a.csv": "u,a,2024-01-02\nv,b,2024-01-03\n"}, ["a.csv, 'u,a,2024-01-02'", "add the header"]),
            ({"a.csv": "user,item,ts,item\nu,a,2024-01-02,b\n"}, ["a.csv has several columns 'item'", "item_1"]),
            ({"a.csv": ONE, "b.csv": "user_id,item,ts\nu,a,2024-01-02\n"}, ["b.csv has no column 'user'", "user_id", "coalesce"]),
            ({"a.csv": "user::item::ts\nu::a::2024-01-02\n"}, ["'user::item::ts'", "delim = '…'"]),
            ({"a.csv": "user,item,ts,\nu,a,2024-01-02\n"}, ["line 2", "3 fields, the header 4", "null_padding = true"]),
        ],
    )
    def test_a_part_of_the_log_is_not_read_as_nothing(self, write: Write, files: Files, words: list[str]) -> None:
        message = refusal(write(files))
        assert all(word in message for word in words), message

    @pytest.mark.parametrize("delimiter", ["^", "~", "\x01"])
    def test_rare_delimiters(self, write: Write, delimiter: str) -> None:
        assert rows(write({"a.csv": ONE.replace(",", delimiter)})) == [("u", "a", DAY)]

    @pytest.mark.parametrize(
        "content",
        [
            b"user,item,ts\r\nu,a,2024-01-02\r\nv,b,2024-01-02\nw,c,2024-01-02\r\n",
            b"user,item,ts,n\nu,a,2024-01-02\nv,b,2024-01-02\nw,c,2024-01-02,1\n",
            b"user,item,ts\nu,a,2024-01-02\nv,b,2024-01-02\nw,c,2024-01-02\n".replace(b"u,", b"\xfc,"),
        ],
    )
    def test_the_query_of_a_refusal_reads_the_log(self, write: Write, content: bytes) -> None:
        source = write({"a.csv": content})
        query = re.search(r"FROM read_csv\(.*\)", refusal(source))
        assert query
        assert [row[1:] for row in sorted(rows(replace(source, events=query[0])), key=lambda row: row[1])] == [
            ("a", DAY),
            ("b", DAY),
            ("c", DAY),
        ]

    def test_parquet_files_too(self, tmp_path: Path) -> None:
        table = pa.table({"user": ["u"], "item": ["a"], "ts": [DAY]})
        pq.write_table(table, tmp_path / "a.parquet")
        pq.write_table(table.rename_columns(["user", "item", "time"]), tmp_path / "b.parquet")
        source = Source(events=str(tmp_path / "*.parquet"))
        assert "b.parquet has no column 'ts', which" in refusal(source)
        pq.write_table(table.slice(0, 0).select(["user"]), tmp_path / "b.parquet")
        assert rows(source) == [("u", "a", DAY)]
        pq.write_table(pa.table([["u"], ["v"], ["a"], [DAY]], ["user", "User", "item", "ts"]), tmp_path / "b.parquet")
        assert "b.parquet has several columns 'user'" in refusal(source)

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_a_file_outside_of_the_partitions(self, tmp_path: Path, kind: str) -> None:
        for folder in ("dt=2024-01-02", "other"):
            (tmp_path / folder).mkdir()
            if kind == "csv":
                (tmp_path / folder / "x.csv").write_text("user,item\nu,a\n")
            else:
                pq.write_table(pa.table({"user": ["u"], "item": ["a"]}), tmp_path / folder / "x.parquet")
        message = refusal(Source(events=str(tmp_path / f"*/x.{kind}"), timestamp="dt"))
        assert "other/x." in message
        assert "lies in no folder dt=…" in message

    def test_months_of_two_digits_are_numbers(self, tmp_path: Path) -> None:
        folder = tmp_path / "year=2024/month=01/day=02"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"user": ["u"], "item": ["a"]}), folder / "x.parquet")
        source = Source(events=str(tmp_path / "**/*.parquet"), timestamp="make_date(year, month, day)")
        assert rows(source) == [("u", "a", DAY)]


class TestJson:
    """A record a line: ids as they are written, types of all records."""

    @pytest.mark.parametrize(
        ("name", "records", "read"),
        [
            ("a.jsonl", [{"user": "u", "item": "a", "ts": "2024-01-02"}], [("u", "a")]),
            ("a.jsonl.gz", [{"user": "u", "item": "a", "ts": "2024-01-02"}], [("u", "a")]),
            (
                "a.ndjson",
                [{"user": 7, "item": "007", "ts": "2024-01-02"}, {"user": "7", "item": "x", "ts": "2024-01-02"}],
                [("7", "007"), ("7", "x")],
            ),
            (
                "a.json",
                [{"user": "6F9619FF-8B86-D011-B42D-00C04FC964FF", "item": 1755012345678901249, "ts": "2024-01-02"}],
                [("6F9619FF-8B86-D011-B42D-00C04FC964FF", "1755012345678901249")],
            ),
            (
                "a.jsonl",
                [{"user": 12345678901234567890123, "item": "2024-01-02", "ts": "2024-01-02"}],
                [("12345678901234567890123", "2024-01-02")],
            ),
            (
                "a.jsonl",
                [
                    *({"user": n, "item": "a", "ts": "2024-01-02"} for n in range(3)),
                    {"user": "x", "item": "a", "ts": "2024-01-02"},
                ],
                [(user, "a") for user in "012x"],
            ),
        ],
    )
    def test_records(self, write: Write, name: str, records: list[dict[str, object]], read: list[tuple[str, str]]) -> None:
        text = "".join(json.dumps(record) + "\n" for record in records).encode()
        source = write({name: gzip.compress(text) if name.endswith(".gz") else text}, glob="a.*")
        assert [row[:2] for row in rows(source)] == read

    def test_fields_of_records(self, write: Write) -> None:
        record = {"user": {"id": "6F9619FF-8B86-D011-B42D-00C04FC964FF"}, "item": {"id": 5, "tags": ["x"]}, "ts": 1704153600123}
        files = {"a.jsonl": json.dumps(record) + "\n"}
        assert "name a field of it, e.g. user.id" in refusal(write(files, "*.jsonl"))
        source = write(files, "*.jsonl", user="user.id", item="item.id")
        assert "milliseconds since 1970: write the expression epoch_ms(ts)" in refusal(source)
        (row,) = rows(replace(source, timestamp="epoch_ms(ts)"))
        assert row[:2] == ("6F9619FF-8B86-D011-B42D-00C04FC964FF", "5")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"user": "u", "item": ["a", "b"], "ts": "2024-01-02"}', ["source.item", "unnest(item)"]),
            (
                '{"user": "u", "item": "a", "ts": "2024-01-02"}\n{"user": "u", "it',
                ["a.jsonl", "Malformed JSON", "leave such lines out"],
            ),
            ('{"user": "u", "item": "a", "ts": "03/04/2024"}', ["'03/04/2024'", "%d/%m/%Y"]),
            (
                '{"user": "u", "item": {"id": 1}, "ts": "2024-01-02"}\n{"user": "u", "item": "a", "ts": "2024-01-02"}',
                ["source.item", "JSON"],
            ),
            ("1\n2\n", ["holds no records"]),
        ],
    )
    def test_what_is_refused(self, write: Write, text: str, words: list[str]) -> None:
        message = refusal(write({"a.jsonl": text + "\n"}, "*.jsonl"))
        assert all(word in message for word in words), message
