"""Which files a setting names, and what they are: by their ending, else by their first bytes.

A glob leaves out what Spark and Hive leave out: names that begin with `_` or `.` are markers, checksums and
what is still being written.
"""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import fsspec

from driftline.contracts import BadInput
from driftline.sources.session import literal

SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.I)
READ_BY_DUCKDB = {"http", "https", "s3", "s3a", "s3n", "gs", "gcs", "r2", "hf", "az", "azure", "abfss"}
WITHOUT_GLOB = {"http", "https"}
GLOB = re.compile(r"[*?[]")
JSON = ("json", "jsonl", "ndjson")
FORMATS = {"parquet": "parquet", "pq": "parquet", "csv": "csv", "tsv": "csv", "txt": "csv"} | dict.fromkeys(JSON, "json")
UNPACK = {
    "bz2": "bunzip2",
    "xz": "unxz",
    "lzma": "unxz",
    "lz4": "unlz4",
    "zip": "unzip",
    "7z": "7z x",
    "tgz": "tar xzf",
    "tar": "tar xf",
}
OTHERS = {
    **{ending: f"unpack it: {command} {{file}}" for ending, command in UNPACK.items()},
    **dict.fromkeys(("xlsx", "xls", "xlsm", "ods"), "save the sheet as CSV in UTF-8"),
    **dict.fromkeys(
        ("avro", "orc", "feather", "arrow", "ipc", "pkl", "pickle", "h5"), "write it as Parquet, e.g. with pandas' to_parquet"
    ),
    **dict.fromkeys(("db", "sqlite", "sqlite3"), "write source.setup = \"ATTACH '{file}' AS log (TYPE sqlite)\" and a query"),
    "duckdb": "write source.setup = \"ATTACH '{file}' AS log (READ_ONLY)\" and a query: FROM log.events",
    "dat": "write a query that names its delimiter: FROM read_csv('{file}', delim = '::', header = false, all_varchar = true)",
}
"""What mends a file of another kind, by its ending."""
BEGINS = (
    (b"PAR1", "parquet", ""),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "unpack it, or save the sheet as CSV in UTF-8"),
    (b"\x1f\x8b", "packed with gzip", "give it the ending .gz, or unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "give it the ending .zst, or unpack it"),
    (b"BZh", "packed with bzip2", "unpack it: bunzip2"),
    (b"\xfd7zXZ", "packed with xz", "unpack it: unxz"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as CSV in UTF-8"),
    (b"SQLite format 3", "a SQLite database", "attach it in source.setup and write a query"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"ARROW1", "an Arrow file", "write it as Parquet"),
    (b"\x80\x04", "a pickle of Python", "write it as Parquet"),
    (b"%PDF", "a PDF", "export the table that it was made of"),
    (b"<!DOCTYPE html", "a web page, maybe of a download that needs a login", "download the file itself"),
    (b"<html", "a web page, maybe of a download that needs a login", "download the file itself"),
    (b"version https://git-lfs", "a pointer of Git LFS", "get the file itself: git lfs pull"),
)
"""First bytes, what has them, and what mends it."""


def files_of(con: duckdb.DuckDBPyConnection, knob: str, pattern: str) -> tuple[list[str], int]:
    """The files that the pattern names, in order, and how many it names that are hidden.

    Raises:
        BadInput: there is none, or one is a link to nothing.
    """
    scheme = SCHEME.match(pattern)
    name = scheme.group(1).lower() if scheme else "file"
    if name != "file":
        _register(con, knob, name)
    if name in WITHOUT_GLOB:
        return [pattern], 0
    found = [file for (file,) in con.execute("SELECT file FROM glob(?) ORDER BY file", [pattern]).fetchall()]
    if not scheme:
        _refuse_dead_links(knob, pattern)
    files = [file for file in found if not _hidden(file, pattern)]
    if not files:
        raise BadInput(f"{knob}: no file matches {pattern if scheme else os.path.abspath(pattern)!r}{_hint(pattern, found)}")
    return files, len(found) - len(files)


def _register(con: duckdb.DuckDBPyConnection, knob: str, scheme: str) -> None:
    if con.filesystem_is_registered(scheme):
        return
    try:
        con.register_filesystem(fsspec.filesystem(scheme))
    except (ValueError, ImportError) as error:
        if scheme in READ_BY_DUCKDB:  # with an extension that it fetches itself
            return
        raise BadInput(f"{knob}: cannot read {scheme}:// addresses: {error}") from error


def _hidden(file: str, pattern: str) -> bool:
    """Below what the pattern says letter by letter. A partition may begin with `_`: `_dt=2024-01-01`."""
    fixed = pattern[: match.start()].rpartition("/")[0] if (match := GLOB.search(pattern)) else pattern
    parts = file[len(fixed) :].replace("\\", "/").split("/") if file.startswith(fixed) else []
    named = pattern.rpartition("/")[2]
    return any(
        part.startswith(".") or (part.startswith("_") and "=" not in part)
        for part in parts
        if not (part == parts[-1] and named.startswith(part[:1] or " "))
    )


def _refuse_dead_links(knob: str, pattern: str) -> None:
    """DuckDB's glob passes over them, and a part of the log would be missing."""
    for file in glob.iglob(pattern, recursive=True):
        if os.path.islink(file) and not os.path.exists(file):
            raise BadInput(
                f"{knob}: {file} is a link to {os.readlink(file)!r}, which is not there: bring it back, or remove the link"
            )


def _hint(pattern: str, hidden: Sequence[str]) -> str:
    if hidden:
        return f" but what is hidden, e.g. {hidden[0]}: rename it, or name it letter by letter"
    if os.path.isdir(pattern):
        endings = {_ending(name) for name in os.listdir(pattern)} & set(FORMATS)
        wanted = f"*.{max(endings, key=lambda ending: FORMATS[ending], default='parquet')}"
        return f"; it is a folder: write {os.path.join(pattern, wanted)!r}"
    if re.match(r"\s*\w+\s*\(", pattern):
        return f"; a query begins with FROM or SELECT: write 'FROM {pattern.strip()}'"
    if "{" in pattern or "," in pattern:
        return "; several files are a glob with *, ? or [ab], or a query: FROM read_parquet(['…', '…'])"
    return ""


def file_format(knob: str, pattern: str, files: Sequence[str] = ()) -> str:
    """Tells the format of files, `parquet`, `csv` or `json`: by the ending of the pattern, of all files, or by their first bytes.

    Raises:
        BadInput: it is another kind of file, or the files are of two kinds; says what to do.
    """
    for names in ([pattern], files):
        formats = {FORMATS.get(_ending(name)) for name in names}
        if len(formats) == 1 and (found := formats.pop()):
            for file in files:
                _refuse_other_content(knob, file, found)
            return found
    if files and {_begins(file)[0] for file in files} == {"parquet"}:
        return "parquet"
    if set(FORMATS.values()) & {*formats}:
        one = sorted(name for name in files if FORMATS.get(_ending(name)))[0]
        other = sorted(name for name in files if FORMATS.get(_ending(name)) != FORMATS.get(_ending(one)))[0]
        folder = pattern.rpartition("/")[0]
        wanted = f"{folder}/*.{_ending(one)}" if folder else f"*.{_ending(one)}"
        raise BadInput(f"{knob}: {pattern!r} names files of two kinds, e.g. {one} and {other}: write {wanted!r}")
    file = files[0] if files else pattern
    _refuse_other_content(knob, file, "")
    if mend := OTHERS.get(_ending(file)):
        raise BadInput(f"{knob}: {file} is neither Parquet nor CSV nor JSON: {mend.format(file=file)}")
    raise BadInput(
        f"{knob}: cannot tell the format of {pattern!r} by its ending: give the files the ending .parquet, .csv or .jsonl, "
        f"or write a query such as FROM read_csv({literal(pattern)}, all_varchar = true) or FROM read_json({literal(pattern)})"
    )


def _refuse_other_content(knob: str, file: str, taken: str) -> None:
    """What a file is whatever its name says, as far as it is on this machine and not packed."""
    kind, mend = _begins(file)
    if kind == "parquet" and taken in ("csv", "json"):
        raise BadInput(f"{knob}: {file} is a Parquet file: give it the ending .parquet")
    if mend:
        raise BadInput(f"{knob}: {file} is {kind}{', whatever its ending says' if taken else ''}: {mend}")


def _begins(file: str) -> tuple[str, str]:
    """What has the file's first bytes, and the mend; nothing where that cannot be said."""
    if SCHEME.match(file) or file.lower().endswith((".gz", ".zst")):
        return "", ""
    try:
        with Path(file).open("rb") as opened:
            head = opened.read(32)
    except OSError:
        return "", ""
    return next(((kind, mend) for begin, kind, mend in BEGINS if head.startswith(begin)), ("", ""))


def _ending(name: str) -> str:
    return re.sub(r"\.(gz|zst)$", "", name.split("?")[0].lower()).rpartition(".")[2]
