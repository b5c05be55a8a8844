"""Column settings: the name of a column or a DuckDB expression, checked against the columns that there are."""

import difflib
import re
from dataclasses import dataclass

from driftline.contracts import BadInput
from driftline.sources.relation import Relation
from driftline.sources.session import literal, quoted, spoken

NAME = re.compile(r"\w+")
CONSTANTS = {"true", "false"}


@dataclass(frozen=True)
class Column:
    """SQL over the relation, and its DuckDB type."""

    knob: str
    written: str
    sql: str
    kind: str
    spoken: str
    """The expression as it is written inside of a larger one."""


def resolve(relation: Relation, knob: str, written: str) -> Column:
    """A name in any case is that column, however odd; anything else must be an expression that DuckDB accepts.

    Raises:
        BadInput: No such column, or a bad expression; names the setting, the columns and the closest one.
    """
    for name, kind in relation.columns.items():
        if name.strip().lower() == written.strip().lower():
            # Qualified, because DuckDB takes a bare `user` for a function.
            sql = f"raw.{quoted(name)}"
            return Column(knob, written, sql, kind or relation.kind(sql), spoken(written.strip()))
    if NAME.fullmatch(written) and written.lower() not in CONSTANTS:
        raise _missing(relation, knob, written, "there is no such column")
    if not written.strip():
        raise _missing(relation, knob, written, "it is empty")
    sql = f"(\n{written}\n)"
    try:
        return Column(knob, written, sql, relation.kind(sql), written)
    except BadInput as error:
        raise _missing(relation, knob, written, str(error)) from error


def predicate(relation: Relation, knob: str, written: str) -> str:
    """SQL that is never null: what is unknown is not positive."""
    try:
        column = resolve(relation, knob, written)
    except BadInput as error:
        if "Cannot compare values of type VARCHAR" not in str(error) or (mend := _number_mend(relation, written)) is None:
            raise
        raise BadInput(f"{knob} = {written!r} compares text with a number in {relation.where}: {mend}") from error
    if column.kind != "BOOLEAN":
        value = relation.example(column.sql, f"{column.sql} IS NOT NULL") if column.kind == "VARCHAR" else None
        comparison = f"{column.spoken} > 0" if value is None else f"{column.spoken} = {literal(value)}"
        raise BadInput(
            f"{knob} = {written!r} is {column.kind} in {relation.where}; it must be true or false: "
            f"write a comparison such as {comparison}"
        )
    return f"COALESCE({column.sql}, false)"


def _number_mend(relation: Relation, written: str) -> str | None:
    """What makes numbers of the first text column of an expression that has other values, with one of them."""
    for name, kind in relation.columns.items():
        if kind == "VARCHAR" and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", written, re.I):
            own, plain = f"raw.{quoted(name)}", f"TRY_CAST({spoken(name)} AS DOUBLE)"
            value = relation.example(own, f"{own} IS NOT NULL AND TRY_CAST({own} AS DOUBLE) IS NULL")
            if value is None:
                return f"write {plain} for {name}"
            number = _number(spoken(name), value)
            mend = f"{number} for {name}" if number else f"{plain}, and it is null there"
            return f"{name} has {value!r} in a row: write {mend}"
    return None


def _number(name: str, value: str) -> str | None:
    """An expression for a number with separators of thousands, a decimal comma or a sign beside it."""
    digits = value.strip().strip("$€£¥% \u00a0")
    for pattern, inner in (
        (r"[-+]?\d{1,3}([ ']\d{3})+(\.\d+)?", "replace({x}, '" + ("''" if "'" in digits else " ") + "', '')"),
        (r"[-+]?\d{1,3}(,\d{3})+\.\d+", "replace({x}, ',', '')"),
        (r"[-+]?\d{1,3}(\.\d{3})+,\d+", "replace(replace({x}, '.', ''), ',', '.')"),
        (r"[-+]?\d+,\d{3}", "replace({x}, ',', '')"),
        (r"[-+]?\d+,\d+", "replace({x}, ',', '.')"),
        (r"[-+]?\d+(\.\d+)?", "{x}"),
    ):
        if re.fullmatch(pattern, digits):
            x = name if digits == value.strip() else f"trim({name}, '$€£¥% ')"
            either = " (or replace(…, ',', '.') if the comma is a decimal one)" if re.fullmatch(r"[-+]?\d+,\d{3}", digits) else ""
            return f"TRY_CAST({inner.format(x=x)} AS DOUBLE){either}"
    return None


def _missing(relation: Relation, knob: str, written: str, why: str) -> BadInput:
    by_lower = {name.lower(): name for name in relation.columns}
    close = difflib.get_close_matches(written.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"; did you mean {by_lower[close[0]]!r}?" if close else ""
    columns = ", ".join(relation.columns)
    return BadInput(f"{knob} = {written!r}: {why} in {relation.where}{hint} (columns: {columns})")
