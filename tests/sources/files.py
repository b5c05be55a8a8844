"""What is read of files, for the tests of this room."""

from datetime import datetime
from typing import Any

import pytest

from driftline.contracts import BadInput, Source
from driftline.sources.log import open_source

DAY = datetime(2024, 1, 2)
Files = dict[str, str | bytes]


def rows(source: Source) -> list[tuple[Any, ...]]:
    with open_source(source) as con:
        return con.execute('SELECT "user", item, ts FROM driftline_events ORDER BY ALL').fetchall()


def faults(source: Source) -> dict[str, int]:
    with open_source(source) as con:
        return dict(con.execute("SELECT fault, count(*) FROM driftline_log WHERE fault IS NOT NULL GROUP BY fault").fetchall())


def refusal(source: Source) -> str:
    with pytest.raises(BadInput, match=r".") as caught:
        rows(source)
    return str(caught.value)


def log(*lines: str) -> str:
    return "\n".join(("user,item,ts", *lines)) + "\n"
