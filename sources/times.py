"""Times: a typed column, or text in one format that every row of the log agrees on. What cannot be decided is refused.

`03/04/2024` is in March or in April, and `01/02/03` in any of three years: only other rows can tell, and only the owner where
they do not. The unit of a number since 1970 is proposed by its size.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product

from driftline.contracts import BadInput
from driftline.sources.columns import Column
from driftline.sources.relation import Relation
from driftline.sources.session import literal

FIRST = datetime(1990, 1, 1)
"""Logs of people who use a recommender are not older."""

CLOCK = (
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", ", %H:%M:%S", ", %I:%M:%S %p"),
    *(" %I:%M%p", " %I:%M:%S%p", ", %H:%M", ", %I:%M %p", "T%H:%M:%S", " %H:%M:%S %z", " %H:%M:%S%z", " %H:%M %z", " %H:%M:%SZ"),
)
DAY_FIRST = tuple(f"%d{sign}%m{sign}%Y{clock}" for sign, clock in product("/.-", CLOCK))
MONTH_FIRST = tuple(f"%m{sign}%d{sign}%Y{clock}" for sign, clock in product("/.-", CLOCK))
DECIDED = (
    *(f"%Y.%m.%d{clock}" for clock in CLOCK[:4]),
    *(f"%Y-%m-%d{clock}" for clock in CLOCK[4:6]),
    *(f"%Y/%m/%d{clock}" for clock in CLOCK[4:6]),
    *("%Y-%m-%d %H:%M:%S,%g", "%Y-%m-%dT%H:%M:%S,%g", "%Y-%m-%dT%H", "%Y-%m-%d %H", "%Y%m%dT%H%M%S"),
    *(f"{day}{clock}" for day in ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y") for clock in CLOCK[:6]),
    *("%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S"),
    # With a zone: web servers, mail, social networks, browsers, Snowflake.
    *("%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT", "%a %b %d %H:%M:%S %z %Y"),
    *("%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S.%f %z", "%Y/%m/%d %H:%M:%S %z", "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S%z"),
    # Chinese, Japanese and Korean dates, and those that count weeks.
    *(
        f"%Y年%m月%d日{clock}"
        for clock in ("", " %H:%M", " %H:%M:%S", "%H:%M", "%H:%M:%S", " %H時%M分", "%H時%M分", "%H時%M分%S秒")
    ),
    *("%Y年%m月%d日 %H時%M分%S秒", "%Y年%m月%d日%H时%M分%S秒", "%Y년 %m월 %d일", "%Y년 %m월 %d일 %H:%M:%S"),
    *(f"%Y. %m. %d.{clock}" for clock in CLOCK[:3]),
    "%G-W%V-%u",
)
"""In which the order of year, month and day is plain."""
SHORT_YEAR = re.compile(r"\s*(\d{1,2}[-/.]\d{1,2}[-/.]\d{2}|\d{1,2}[- ][A-Za-z]{3}[- ]\d{2})(?!\d)")
EITHER_ORDER = re.compile(r"\s*\d{1,2}([-/.])\d{1,2}\1\d{4}(?!\d)")
SHAPES = 1000
"""Kinds of texts that are looked at; a log has a few, and many where it holds other things than times."""

WHOLE_NUMBER = re.compile(r"\s*-?\d+(\.0*)?\s*")
TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d{2}")
NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER|\d+)?|U?INT\d+|DOUBLE|DECIMAL.*", re.I)
NARROW = ("FLOAT", "REAL", "HALFFLOAT")


TEXTS = (
    (r"'\d{4}-\d{3}'", "if it is the day of the year, write try_strptime({x}, '%Y-%j')"),
    (r"'\d{4}W\d{3}'", "if it is a week and its day, write try_strptime({x}, '%GW%V%u')"),
    (
        r"'\d{4}-\d{2}'",
        "a month puts nothing in order; if it has to do, write try_strptime({x} || '-01', '%Y-%m-%d')",
    ),
    (r"'\d{4}-?[Qq]\d'", "a quarter puts nothing in order: name a column of dates and times"),
    (
        r"'\d{4}-?W\d{2}'",
        "a week puts nothing in order; if it has to do, write try_strptime({x} || '-1', '%G-W%V-%u')",
    ),
    (r"'\d[\d,]+'", "write TRY_CAST(replace({x}, ',', '') AS BIGINT), and of that what the next message says"),
    (r"\[[A-Z]\w+/\w+\]'", "write TRY_CAST(regexp_replace({x}, '[[].*', '') AS TIMESTAMPTZ)"),
    (r" GMT[+-]\d{4} \(.*\)'", "write try_strptime(regexp_replace({x}, ' [(].*', ''), '%a %b %d %Y %H:%M:%S GMT%z')"),
    (r"\d(st|nd|rd|th) ", "write try_strptime(regexp_replace({x}, '(st|nd|rd|th) ', ' '), '%d %B %Y')"),
    (
        r"\\x[0-9a-f]{2}|\\u",
        "it holds characters that only look like blanks or digits: replace them, e.g. replace({x}, chr(160), ' ')",
    ),
)
"""What mends a text that is no time by itself, by what the message about it holds."""


@dataclass(frozen=True)
class Stamp:
    """SQL of the event's time in UTC, and what it was read as."""

    sql: str
    formats: tuple[str, ...]
    zone: str


@dataclass(frozen=True)
class Unit:
    """Numbers from `low` to `high` are likely to be such times: 1990 to the day after tomorrow."""

    name: str
    low: int
    high: int
    expression: str
    """In DuckDB's SQL, of `{x}`, a whole number of 64 bits."""
    digits: bool = False
    """Whether the number is a date to be read, YYYYMMDD…, and not counted."""
    per_second: float = 0
    """Of those that count since 1970."""


def latest() -> datetime:
    """Tomorrow and a year: clocks go wrong, and some log what is planned."""
    return datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=366)


def possible(ts: str, asked: datetime | None = None) -> str:
    """SQL: whether an event can have happened at `ts`. Sentinels (9999-12-31, 1970-01-01) and wrong units are out of it.

    `asked`: the end of a window (UTC, without zone), before which this machine's clock has no say: it may be years behind.
    """
    return f"{ts} >= TIMESTAMP '{FIRST}' AND {ts} < TIMESTAMP '{max(latest(), asked or FIRST)}'"


def timestamp(raw: Relation, stamp: Column) -> Stamp:
    """Plain casts, because DuckDB pushes a window through them into a Parquet scan.

    Raises:
        BadInput: The column is no time, or can be read as several; says what to write.
    """
    _refuse_narrow(raw, stamp)
    if stamp.kind in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"):
        # Twice, so that other engines can tell; DuckDB drops the first.
        return Stamp(f"CAST(CAST({stamp.sql} AS TIMESTAMPTZ) AS TIMESTAMP)", (stamp.kind,), "of the column, read as UTC")
    if stamp.kind.startswith("TIMESTAMP") or stamp.kind == "DATE":
        return Stamp(f"CAST({stamp.sql} AS TIMESTAMP)", (stamp.kind,), "none, so UTC")
    if stamp.kind == "VARCHAR":
        return _text(raw, stamp)
    raise not_a_time(raw, stamp, "it is " + stamp.kind, stamp.kind)


def _text(raw: Relation, stamp: Column) -> Stamp:
    # By way of TIMESTAMPTZ: a direct cast to TIMESTAMP ignores the zone that is written in the text.
    iso = f"CAST(TRY_CAST({stamp.sql} AS TIMESTAMPTZ) AS TIMESTAMP)"
    read = Stamp(iso, ("ISO 8601",), "the one that is written in the text, else UTC")
    try:
        # Two-digit years are dates of the first century to DuckDB.
        other = f"{stamp.sql} IS NOT NULL AND ({iso} IS NULL OR {iso} < TIMESTAMP '1000-01-01 00:00:00')"
        text = raw.example(stamp.sql, other)
        if text is None:
            return read
        some = raw.example(stamp.sql, f"{iso} >= TIMESTAMP '1000-01-01 00:00:00'")
        formats = _settle(raw, stamp, other, some)
    except _Undecided as error:
        raise _refused(raw, stamp, str(error)) from None
    except BadInput as error:
        raise BadInput(f"{stamp.knob} = {stamp.written!r}: {error}") from error
    if formats:
        listed = ", ".join(map(literal, formats))
        zoned = any("%z" in form for form in formats)
        # A list of which some have a zone makes instants, in UTC where there is none.
        sql = f"CAST(try_strptime({stamp.sql}, [{listed}]) AS TIMESTAMP)"
        return Stamp(sql, formats, "the one that is written in the text, else UTC" if zoned else "none, so UTC")
    if some is None:
        kind = "BIGINT" if WHOLE_NUMBER.fullmatch(text) else "TIME" if TIME_OF_DAY.match(text) else "VARCHAR"
        raise not_a_time(raw, stamp, f"no row can be read, e.g. {text!r}", kind)
    return read


class _Undecided(BadInput):
    """Rows that can be read in several ways, or in ways that exclude each other."""


def _settle(raw: Relation, stamp: Column, other: str, iso: str | None) -> tuple[str, ...]:
    """The formats of the texts that are not ISO 8601, from all of them; none where no format is known.

    `other`: the condition that a row's text is such a one. `iso`: a text that is none.
    """
    if not raw.strptime:
        return ()
    shapes = _shapes(raw, stamp, other)
    short = [one for one in shapes if SHORT_YEAR.match(one.low)]
    if short:
        raise _Undecided(
            f"{sum(one.rows for one in short):,} rows have a year of two digits, e.g. {short[0].low!r}: "
            "write an expression such as " + _either(stamp, *_short(short[0].low))
        )
    ordered = [one for one in shapes if EITHER_ORDER.match(one.low)]
    named = [(one, form) for one in shapes if one not in ordered and (form := _format(raw, one.low, DECIDED))]
    kinds = [text for text in (iso, *(one.low for one in ordered[:1]), *(one.low for one, _ in named[:1])) if text is not None]
    if len(kinds) > 1:
        forms = [form for one, form in named] + [_format(raw, one.low, DAY_FIRST) or "…" for one in ordered]
        tried = [f"TRY_CAST({stamp.spoken} AS TIMESTAMP)"] if iso is not None else []
        tried += [f"try_strptime({stamp.spoken}, {literal(form)})" for form in dict.fromkeys(forms)]
        raise _Undecided(
            f"the rows have several formats, e.g. {kinds[0]!r} and {kinds[1]!r}: write an expression such as "
            f"coalesce({', '.join(tried[:4])})" + (", with %m before %d if the month comes first" if ordered else "")
        )
    if not ordered:
        return tuple(dict.fromkeys(form for _, form in named))
    day = next((one.day for one in ordered if one.day), None)
    month = next((one.month for one in ordered if one.month), None)
    if day and month:
        raise _Undecided(
            f"in some rows the day comes first, e.g. {day!r}, and in some the month, e.g. {month!r}: "
            "write a query that reads the files one by one, each with its own strptime"
        )
    if not day and not month:
        both = (_format(raw, ordered[0].low, forms) for forms in (DAY_FIRST, MONTH_FIRST))
        raise _Undecided(
            f"no row tells whether the day or the month comes first, e.g. {ordered[0].low!r}: write an expression such as "
            + _either(stamp, *(form or "…" for form in both))
        )
    formats = (_format(raw, text, DAY_FIRST if day else MONTH_FIRST) for one in ordered for text in (one.low, one.high))
    return tuple(dict.fromkeys(form for form in formats if form))


@dataclass(frozen=True)
class _Shape:
    """Texts that differ in their digits only."""

    rows: int
    low: str
    high: str
    """The first and the last of them in the alphabet."""
    day: str | None
    month: str | None
    """One whose first number is no month, and one whose second is none."""


def _shapes(raw: Relation, stamp: Column, other: str) -> list[_Shape]:
    """The most frequent first."""
    x = stamp.sql
    numbers = f"[TRY_CAST(n AS INTEGER) FOR n IN regexp_extract_all({x}, '[0-9]+')[:2]]"
    return [
        _Shape(*row)
        for row in raw.rows(f"""
            SELECT count(*) AS n, min(x), max(x), min(x) FILTER (numbers[1] > 12), min(x) FILTER (numbers[2] > 12)
            FROM (SELECT {x} AS x, {numbers} AS numbers FROM {raw.sql} WHERE {other}) AS texts
            GROUP BY regexp_replace(regexp_replace(x, '[0-9]{{3,}}', '0', 'g'), '[0-9]{{1,2}}', '9', 'g')
            ORDER BY n DESC, min(x) LIMIT {SHAPES}""")
    ]


def _format(raw: Relation, text: str, formats: Sequence[str]) -> str | None:
    """The first that reads the text."""
    tried = ", ".join(f"try_strptime({literal(text)}, {literal(form)}) IS NOT NULL" for form in formats)
    ((*fits,),) = raw.rows(f"SELECT {tried}")
    return next((form for form, fit in zip(formats, fits, strict=True) if fit), None)


def _short(text: str) -> tuple[str, str]:
    """Formats of a date whose year has two digits, the day first and the month or the year first."""
    first, sign, second = re.findall(r"\w+|\W", text.strip())[:3]
    clock = _clock(text)
    month = "%b" if second[0].isalpha() else "%m"
    other = f"%m{sign}%d{sign}%y" if int(first) <= 12 and month == "%m" else f"%y{sign}{month}{sign}%d"
    return f"%d{sign}{month}{sign}%y{clock}", other + clock


def _clock(text: str) -> str:
    """The format of the time of day that follows a date."""
    found = re.search(r"(,? |T)\d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?", text)
    if not found:
        return ""
    hour = "%I" if found[3] else "%H"
    half = found[3][:-2] + "%p" if found[3] else ""
    return f"{found[1]}{hour}:%M{':%S' if found[2] else ''}{half}"


def _either(stamp: Column, one: str, another: str) -> str:
    return f"try_strptime({stamp.spoken}, {literal(one)}) or try_strptime({stamp.spoken}, {literal(another)})"


def _refused(raw: Relation, stamp: Column, why: str) -> BadInput:
    return BadInput(f"{stamp.knob} = {stamp.written!r} cannot be read for certain in {raw.where}: {why}")


def not_a_time(raw: Relation, stamp: Column, why: str, kind: str) -> BadInput:
    written = stamp.written
    spoken = stamp.spoken
    if kind.startswith("TIME"):
        advice = "a time of day without a date puts nothing in order: write an expression that adds the date"
    elif kind == "VARCHAR":
        advice = _text_advice(spoken, why)
    elif NUMBER.fullmatch(kind):
        advice = _unit_advice(raw, stamp)
    else:
        advice = "name a column of dates and times, or an expression that makes one"
    return BadInput(f"{stamp.knob} = {written!r} is not a date and time in {raw.where}: {why}; {advice}")


def _text_advice(written: str, why: str) -> str:
    """An expression for texts of a kind that is known and not taken, because it is no instant or has a part too many."""
    for pattern, mend in TEXTS:
        if re.search(pattern, why):
            return mend.format(x=written)
    return f"write an expression such as try_strptime({written}, '%d/%m/%Y %H:%M')"


def units() -> tuple[Unit, ...]:
    """Lists the units that logs write times in; a number is of the first whose span it is in."""
    last = latest() + timedelta(days=1)
    since = [int((time - datetime(1970, 1, 1)).total_seconds()) for time in (FIRST, last)]

    def counted(name: str, per_second: float, expression: str) -> Unit:
        return Unit(name, int(since[0] * per_second), int(since[1] * per_second), expression, per_second=per_second)

    def written(name: str, form: str) -> Unit:
        return Unit(name, int(f"{FIRST:{form}}"), int(f"{last:{form}}"), f"try_strptime(CAST({{x}} AS VARCHAR), '{form}')", True)

    return (
        written("YYYYMMDD", "%Y%m%d"),
        written("YYYYMMDDhhmmss", "%Y%m%d%H%M%S"),
        written("YYYYMMDDhhmm", "%Y%m%d%H%M"),
        written("YYYYMM", "%Y%m"),
        counted("seconds since 1970", 1, "to_timestamp({x})"),
        written("YYYYMMDDhh", "%Y%m%d%H"),
        counted("milliseconds since 1970", 1e3, "epoch_ms({x})"),
        counted("microseconds since 1970", 1e6, "make_timestamp({x})"),
        counted("nanoseconds since 1970", 1e9, "make_timestamp({x} // 1000)"),
        counted("days since 1970", 1 / 86400, "DATE '1970-01-01' + CAST({x} AS INTEGER)"),
        Unit("days since 1899, as Excel has them", 32874, 50000, "TIMESTAMP '1899-12-30' + to_seconds({x} * 86400)"),
    )


def unit_of(number: float) -> Unit | None:
    """The likeliest unit of a time that is a number."""
    return next(
        (unit for unit in units() if unit.low <= number <= unit.high and (not unit.digits or _is_date(int(number)))), None
    )


def _is_date(number: int) -> bool:
    year, month, day = str(number)[:4], str(number)[4:6], str(number)[6:8] or "1"
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _unit_advice(raw: Relation, stamp: Column) -> str:
    """Proposed by the size of the numbers, and not taken: nobody but the owner knows."""
    number = f"TRY_CAST({stamp.sql} AS DOUBLE)"
    text = raw.example(stamp.sql, f"{number} > 0")
    if text is None:
        return "numbers are no time since 1990 in any known unit: write an expression that makes a date and time of them"
    if (unit := unit_of(float(text))) is None:
        return (
            f"numbers like {text} are no time since 1990 in any known unit: write an expression that makes a date and time"
            f" of them{_digits_advice(stamp, text)}"
        )
    whole = raw.example(stamp.sql, f"{number} <> floor({number})") is None
    said = f"{text.removesuffix('.0')} looks like {unit.name}"
    odd = raw.example(stamp.sql, f"{number} > 0 AND NOT ({number} >= {unit.low} AND {number} <= {unit.high})")
    if odd is not None and (other := unit_of(float(odd))) and not unit.digits and not other.digits:
        low, high = sorted((unit, other), key=lambda one: one.low)
        small, large = (_expression(one, stamp, whole) for one in (low, high))
        return (
            f"{said}, and {odd.removesuffix('.0')} like {other.name}: write the expression "
            f"CASE WHEN {stamp.spoken} <= {low.high} THEN {small} ELSE {large} END"
        )
    return f"{said}: write the expression {_expression(unit, stamp, whole)}"


def _expression(unit: Unit, stamp: Column, whole: bool) -> str:
    """Writes SQL that makes a time of a number. `whole`: without fractions, which are the time of day of Excel's dates and the
    milliseconds of seconds."""
    kind = "BIGINT" if whole or unit.digits or unit.per_second > 1e6 else "DOUBLE"
    known = ("BIGINT", "INT64") if kind == "BIGINT" else ("DOUBLE",)
    x = stamp.spoken if stamp.kind in known else f"TRY_CAST({stamp.spoken} AS {kind})"
    if kind == "DOUBLE" and unit.per_second:
        # Microseconds: a cast of the number itself would round away the time of day.
        return f"make_timestamp(CAST({x} * {1_000_000 / unit.per_second:.0f} AS BIGINT))"
    return unit.expression.format(x=x)


def _digits_advice(stamp: Column, text: str) -> str:
    """Six or eight digits may be a date whose year is at the end or has two digits."""
    digits = text.removesuffix(".0")
    forms = {6: ("%y%m%d", "%d%m%y"), 8: ("%d%m%Y", "%m%d%Y")}.get(len(digits)) if digits.isdigit() else None
    own = stamp.spoken if stamp.kind == "VARCHAR" else f"CAST({stamp.spoken} AS VARCHAR)"
    return " such as " + " or ".join(f"try_strptime({own}, {literal(form)})" for form in forms) if forms else ""


def _refuse_narrow(raw: Relation, stamp: Column) -> None:
    """Seconds since 1970 as FLOAT are 128 s apart, in whatever expression."""
    named = set(re.findall(r"\w+", stamp.written.lower()))
    for name, kind in raw.columns.items():
        if kind in NARROW and name.lower() in named:
            raise BadInput(
                f"{stamp.knob} = {stamp.written!r}: column {name!r} is {kind} in {raw.where}, which holds seven digits: times "
                "would be minutes apart and out of order; write the log again with times as 64-bit whole numbers or as timestamps"
            )
