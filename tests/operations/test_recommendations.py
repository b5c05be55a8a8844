"""The batch: everybody's next novel interest, and its items that they have not had and the catalogue still has."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest

from driftline.contracts import BadInput
from driftline.db import channels
from driftline.operations import recommendations
from driftline.operations.context import Context
from driftline.settings import Settings
from tests.activities.chain import TEST, Chain, onward
from tests.db import world
from tests.end_to_end.shop import NAMES
from tests.serving.recommender import D, add_recommender


def test_items_of_the_next_interest_for_everybody(postgres_url: str, tmp_path: Path) -> None:
    chain = Chain(postgres_url, tmp_path)
    items = [f"{name}-{i}" for name in NAMES for i in range(4)]
    vectors = np.zeros((32, D + 1), np.float32)
    vectors[:, -1] = np.tile([0, 3, 2, 1], 8)
    settings = Settings(
        home=chain.resources.home, postgres_url=postgres_url, source=chain.source, channel="batch", temporal_address="nowhere:1"
    )
    context, out = Context(settings), tmp_path / "items.parquet"
    with pytest.raises(BadInput, match="nothing is published"):
        recommendations.recommend(context, out, None, 3)
    table = chain.stored(onward, nominal=TEST.end + timedelta(days=3)).version
    with chain.engine.begin() as connection:
        world.evaluate(connection, table)
        channels.publish(connection, table, "batch", "test", force=True)
    with pytest.raises(BadInput, match="driftline run recommender"):
        recommendations.recommend(context, out, None, 3)
    add_recommender(chain.engine, chain.resources.home, chain.cluster_set, vectors, items, list(range(0, 33, 4)))

    # The catalogue no longer has the best item of any interest.
    lines = (tmp_path / "items.csv").read_text().splitlines()
    (tmp_path / "items.csv").write_text("\n".join(line for line in lines if "-1," not in line))
    done = recommendations.recommend(context, out, None, 3)
    rows = pq.read_table(out).to_pylist()
    assert (done.users, done.rows, done.table) == (300, len(rows), table)
    had = chain_history(tmp_path)
    for row in rows:
        assert row["item"].startswith(NAMES[row["interest"]])
        assert row["item"] not in had[row["user"]]
        assert not row["item"].endswith("-1")
    assert {row["place"] for row in rows} <= {1, 2, 3}

    recommendations.recommend(context, tmp_path / "lists.csv", None, 3)
    with psycopg.connect(postgres_url) as site, site.cursor() as cursor:
        site.execute('CREATE TEMP TABLE lists ("user" text, interest int, how text, place int, item text, score real)')
        with cursor.copy("COPY lists FROM STDIN CSV HEADER") as copy:
            copy.write((tmp_path / "lists.csv").read_bytes())
        assert site.execute("SELECT * FROM lists").fetchall() == [tuple(row.values()) for row in rows]

    (tmp_path / "asked.csv").write_text("user\nu7\nnobody\nu7\n")
    done = recommendations.recommend(context, out, recommendations.users_in(tmp_path / "asked.csv"), 2)
    again = pq.read_table(out).to_pylist()
    assert done.users == 2
    assert [row for row in again if row["user"] == "u7"] == [row for row in rows if row["user"] == "u7" and row["place"] <= 2]
    assert [(row["how"], row["item"][-2:]) for row in again if row["user"] == "nobody"] == [("popular", "-2"), ("popular", "-3")]
    (tmp_path / "wrong.csv").write_text("name,age\nann,7\n")
    with pytest.raises(BadInput, match="user"):
        recommendations.users_in(tmp_path / "wrong.csv")


def chain_history(folder: Path) -> dict[str, set[str]]:
    """What each user has had, of the events that count."""
    had: dict[str, set[str]] = {}
    for line in (folder / "events.csv").read_text().splitlines()[1:]:
        user, item, _, quantity = line.split(",")
        if int(quantity) > 0:
            had.setdefault(user, set()).add(item)
    return had
