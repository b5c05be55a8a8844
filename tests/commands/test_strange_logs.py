"""Three logs of three trades, as their owners have them: `doctor` leads from the first refusal to a run that can start."""

import gzip
import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.commands.conftest import Call

START = datetime(2024, 1, 1)
DAYS = 150


def music(rng: random.Random) -> dict[str, str]:
    """A stream's plays: JSON lines, packed, a record in records, and guests whose id is text."""
    Path("plays").mkdir()
    for day in range(0, DAYS, 5):
        played = [int((START + timedelta(days=day, minutes=n)).timestamp() * 1000) for n in range(40)]
        records = [
            {
                "account": {"id": rng.randrange(90) if day else f"guest-{n}"},
                "track": {"id": f"t:{rng.randrange(60):04x}"},
                "at": at,
            }
            for n, at in enumerate(played)
        ]
        Path(f"plays/{day:03}.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in records).encode()))
    Path("tracks.jsonl").write_text(
        "".join(json.dumps({"id": f"t:{n:04x}", "title": f"Night song {n}"}) + "\n" for n in range(60))
    )
    return {"events": "plays/*.jsonl.gz", "items": "tracks.jsonl", "catalogue_item": "id", "text": "title", "user": "account",
            "item": "track", "timestamp": "at"}  # fmt: skip


def shop(rng: random.Random) -> dict[str, str]:
    """A Japanese shop's sales: Shift-JIS, a file a month, dates with 年, thousands with commas, ids with zeros in front."""
    for month in range(1, 6):
        rows = [
            f'{rng.randrange(90):05},{n % 40:04},2024年{month}月{n % 28 + 1}日 {n % 24}時05分,"{n * 97:,}"' for n in range(200)
        ]
        Path(f"売上_{month}.csv").write_bytes("\r\n".join(["顧客,商品,日時,金額", *rows, ""]).encode("cp932"))
    Path("商品.csv").write_bytes(("商品,名\r\n" + "".join(f"{n:04},緑茶 {n}\r\n" for n in range(40))).encode("cp932"))
    return {"events": "売上_*.csv", "items": "商品.csv", "catalogue_item": "商品", "text": "名", "user": "顧客", "item": "商品",
            "timestamp": "日時", "positive": "金額 > 500"}  # fmt: skip


def news(rng: random.Random) -> dict[str, str]:
    """A news site's clicks: a folder a day, ids that a missing one made floats, text without its mark, and a job's marker."""
    for day in range(0, DAYS, 3):
        time = START + timedelta(days=day)
        folder = Path(f"clicks/year={time:%Y}/month={time:%m}/day={time:%d}")
        folder.mkdir(parents=True)
        cookies = [None if rng.random() < 0.05 else float(rng.randrange(90)) for _ in range(30)]
        articles = pa.array([f"/a/{rng.randrange(50)}".encode() for _ in range(30)], pa.binary())
        pq.write_table(pa.table({"cookie": cookies, "article": articles}), folder / "part-0.snappy.parquet")
        (folder / "_SUCCESS").touch()
    titles = {"url": [f"/a/{n}" for n in range(50)], "headline": [f"<b>Storm</b> &amp; city {n}" for n in range(50)]}
    pq.write_table(pa.table(titles), "articles.parquet")
    named = {"catalogue_item": "url", "text": "headline", "user": "cookie", "item": "article"}
    return named | {"events": "clicks/*/*/*/*", "items": "articles.parquet", "timestamp": "make_date(year, month, day)"}


def in_utf8() -> None:
    for file in Path().glob("*.csv"):
        file.write_bytes(file.read_bytes().decode("cp932").encode())


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (
            music,
            [
                (["source.user = 'account'", "name a field of it, e.g. account.id"], {"user": "account.id"}),
                (["source.item = 'track'", "track.id"], {"item": "track.id"}),
                (["source.timestamp = 'at'", 'write the expression epoch_ms("at")'], {"timestamp": 'epoch_ms("at")'}),
            ],
        ),
        (
            shop,
            [
                (["売上_1.csv, line 1: it is not UTF-8", "'顧客,商品,日時,金額' in CP932", "iconv -f "], in_utf8),
                (
                    ["source.positive = '金額 > 500'", "金額 has ", "TRY_CAST(replace(金額, ',', '') AS DOUBLE)"],
                    {"positive": "TRY_CAST(replace(金額, ',', '') AS DOUBLE) > 500"},
                ),
            ],
        ),
        (news, [(["source.user = 'cookie' is DOUBLE", "TRY_CAST(cookie AS BIGINT)"], {"user": "TRY_CAST(cookie AS BIGINT)"})]),
    ],
)
def test_each_message_names_the_mend(
    call: Call,
    make: Callable[[random.Random], dict[str, str]],
    steps: list[tuple[list[str], dict[str, str] | Callable[[], None]]],
) -> None:
    source = make(random.Random(5))
    for words, mend in [*steps, ([], {})]:
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in source.items()]
        Path("driftline.toml").write_text("\n".join(["[source]", *lines, "[clusters]", "fan_out = [4]"]))
        done = call("doctor", "--json")
        assert "Traceback" not in done.stderr
        found = json.loads(done.stdout)
        said = [check["message"] for check in found["checks"] if check["about"] == "source"]
        assert (done.exit_code, bool(said)) == ((1, True) if words else (0, False)), [
            one for one in found["checks"] if one["level"] == "error"
        ]
        assert all(word in said[0] for word in words), said
        if callable(mend):
            mend()
        else:
            source |= mend
    profile = found["profile"]
    assert profile["unknown_events"] == 0
    assert profile["users"] >= 80
    assert set(profile["dropped"]) <= {"events_without_user"}
