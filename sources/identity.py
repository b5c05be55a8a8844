"""Ids: text or a whole number, the same in the log and in the catalogue, in every file and every engine.

`12346.0` and `12346` never meet, and neither do `a` and `a `. So an id of any other kind is refused, blanks around one are taken
away, and what no owner of a log means by an id is a fault of its row.
"""

import re
from dataclasses import dataclass

from driftline.contracts import BadInput
from driftline.sources.columns import Column, resolve
from driftline.sources.relation import Relation
from driftline.sources.session import literal

WHOLE = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER|8|16|32|64)?|U?INT\d+|DECIMAL(128|256)?\(\d+, ?0\)", re.I)
TEXT = re.compile(
    r'(LARGE_)?(VARCHAR|STRING(_VIEW)?|TEXT|UTF8)|UUID|ENUM\(.*\)|DICTIONARY<VALUES=(LARGE_)?STRING.*|"?NULL"?', re.I | re.S
)
FLOAT = re.compile(r"DOUBLE|FLOAT|REAL|HALFFLOAT|DECIMAL(128|256)?\(.*\)", re.I)
BLOB = re.compile(r"BLOB|(LARGE_)?BINARY", re.I)
DAY = re.compile(r"DATE|TIMESTAMP.*", re.I)
"""Of a basket only: `basket = "date"` is a day's shopping."""
EXACT = {"FLOAT": 1 << 24, "REAL": 1 << 24, "DOUBLE": 1 << 53}
"""Whole numbers above it are not all there."""


WIDE_BLANKS = "".join(
    map(chr, (0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x200E, 0x200F, 0x2028, 0x2029, 0x202F, 0x205F, 0x2060))
)
BLANKS = " \t\r\n\v\f" + WIDE_BLANKS + "\u3000\ufeff"
"""Around an id they are no part of it, neither those that are seen nor those of no width."""
WORDS = (
    *("nan", "none", "null", "undefined", "n/a", "na", "nil", "<na>", "#n/a"),
    *("nat", "\\n", "(null)", "<null>", "(not set)", "[null]", "00000000-0000-0000-0000-000000000000"),
)
NUMBERS = ("-1", "0")
"""What stands for a missing user or item where it is heavy (`sources.missing`)."""
FLOAT_ID = "^-?[0-9]+([.]0*|([.][0-9]+)?[eE][+][0-9]+)$"


@dataclass(frozen=True)
class Identifier:
    """SQL of an id as text, or null; and whether it was text before, so that it may be badly written."""

    sql: str
    column: Column
    was_text: bool


@dataclass(frozen=True)
class Missing:
    """Ids that stand for none."""

    users: tuple[str, ...] = ()
    items: tuple[str, ...] = ()


NONE = Missing()


def identifier(relation: Relation, knob: str, written: str, day: bool = False, plain: bool = False) -> Identifier:
    """Resolves a setting to the column of an id. `day`: whether a date will do, too; `plain`: as if no id needed care.

    Raises:
        BadInput: The column is neither text nor a whole number; says what to write.
    """
    column = resolve(relation, knob, written)
    _refuse_lost_digits(relation, column)
    if TEXT.fullmatch(column.kind):
        if plain:
            return Identifier(f"CAST({column.sql} AS VARCHAR)", column, True)
        return Identifier(f"NULLIF({relation.trimmed(f'CAST({column.sql} AS VARCHAR)')}, '')", column, True)
    if WHOLE.fullmatch(column.kind) or (day and DAY.fullmatch(column.kind)):
        return Identifier(f"CAST({column.sql} AS VARCHAR)", column, False)
    raise BadInput(
        f"{knob} = {written!r} is {column.kind} in {relation.where}; an id is text or a whole number: {_advice(relation, column)}"
    )


class Unclean(Exception):
    """A log was read as if its ids needed no care, and some do: it has to be read again."""


def needs_care(name: str, missing: bool) -> str:
    """DuckDB's SQL: whether an id has blanks around it, or is a fault, or (`missing`) may stand for none."""
    among = f"lower({name}) IN ({', '.join(map(literal, (*WORDS, *NUMBERS)))})" if missing else "false"
    return (
        f"({name} < '!' OR trim({name}, {literal(BLANKS)}) <> {name} OR contains({name}, chr(0)) OR {among} "
        f"OR regexp_matches({name}, {literal(FLOAT_ID)}))"
    )


def badly_written(name: str) -> str:
    """SQL: whether an id, the column `name`, is a whole number that was a float for a while: `12346.0`, `1.2346e+18`."""
    likely = f"{name} LIKE '%.0%' OR {name} LIKE '%.' OR {name} LIKE '%e+%' OR {name} LIKE '%E+%'"
    return f"(({likely}) AND regexp_matches({name}, {literal(FLOAT_ID)}))"


def _refuse_lost_digits(relation: Relation, column: Column) -> None:
    """An expression that makes a whole number of a float may have merged ids already."""
    named = set(re.findall(r"\w+", column.written.lower()))
    for name, kind in relation.columns.items():
        if kind in EXACT and name.lower() in named:
            digits = f"{column.knob} = {column.written!r}: column {name!r} in {relation.where} is {kind}"
            place = 'raw."' + name.replace('"', '""') + '"'
            # Neither NaN, which is greater than all numbers, nor infinity.
            found = relation.example(place, f"abs({place}) > {EXACT[kind]} AND abs({place}) < 1e300")
            if found is not None:
                raise BadInput(
                    f"{digits}, which cannot tell whole numbers above {EXACT[kind]:,} apart, e.g. {found}: "
                    "write the log again with this id as text or as a 64-bit whole number"
                )


def _advice(relation: Relation, column: Column) -> str:
    written, kind = column.spoken, column.kind
    if FLOAT.fullmatch(kind):
        broken = relation.example(column.sql, f"{column.sql} <> floor({column.sql}) AND abs({column.sql}) < 1e300")
        if broken is not None:
            return f"{broken} is no whole number: name another column"
        return f"write an expression such as TRY_CAST({written} AS BIGINT)"
    if BLOB.fullmatch(kind):
        return f"write an expression such as decode({written}) if it is text, or hex({written})"
    if kind.endswith("[]") or kind.upper().startswith("LIST"):
        return f"write an expression such as {written}[1], or a query with unnest({written})"
    if kind.upper().startswith("MAP"):
        return f"name a key of it, e.g. {written}['id']"
    if kind.upper().startswith("STRUCT"):
        return f"name a field of it, e.g. {written}.{_field(kind)}"
    return f"write an expression such as CAST({written} AS VARCHAR) if its values tell users or items apart"


def _field(kind: str) -> str:
    found = re.search(r"[(<]\s*\"?(\w+)", kind)
    return found.group(1) if found else "field"


def fields(kind: str) -> str:
    """The names of a struct's fields."""
    return ", ".join(re.findall(r"[(,<]\s*\"?(\w+)\"?[: ]", kind)) or "field"
