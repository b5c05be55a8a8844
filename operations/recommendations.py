"""Items for many users at once: the interest that the channel's table names for each, and the recommender's items of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import CSVWriter

from driftline.contracts import BadInput, Sequences, Window
from driftline.db import clusters as db_clusters
from driftline.db import serving as db_serving
from driftline.db.serving import LoadedTable, Pointer
from driftline.interests.back_off import next_interests, sequence
from driftline.interests.recommender import histories, trained
from driftline.interests.recommender.index import by_cluster
from driftline.interests.recommender.recommend import recommend as items_of
from driftline.interests.recommender.trained import Trained
from driftline.operations import artifacts
from driftline.operations.context import Context
from driftline.sources.log import span
from driftline.sources.profile import offered
from driftline.sources.sequences import read_sequences
from driftline.sources.table import read_table

AT_ONCE = 4096
"""Users that are answered together; a group of rows in the file."""
ROWS = pa.schema(
    [
        ("user", pa.string()),
        ("interest", pa.int32()),
        ("how", pa.string()),
        ("place", pa.int32()),
        ("item", pa.string()),
        ("score", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Recommended:
    """A file of recommendations that was written. `without`: users for whom nothing was left that they have not had."""

    channel: str
    table: int
    recommender: int
    users: int
    without: int
    rows: int
    file: str


def users_in(file: Path) -> pa.Array:
    """The users of a file, Parquet or CSV, each once.

    Raises:
        BadInput: it has no column `user`.
    """
    return read_table(str(file), {"user": "user"}, knob="--users")["user"].unique().drop_null()


def recommend(context: Context, out: Path, users: pa.Array | None, top: int, channel: str | None = None) -> Recommended:
    """Write up to `top` items of the next novel interest of each user to a file, best first: CSV by its name, else Parquet.

    What the user has had in all of the log is left out, and what the catalogue no longer has.

    Args:
        users: None: all of the log. One without an event gets what is popular.

    Raises:
        BadInput: nothing is published on the channel, there is no recommender of its cluster set, or its files are lost.
    """
    pointer, table = _served(context, channel or context.settings.channel)
    assert pointer.recommender_uri is not None
    assert pointer.recommender_hash is not None
    model = trained.read(artifacts.reader(context.settings)(pointer.recommender_uri, pointer.recommender_hash))
    source = context.settings.source
    with context.engine.connect() as connection:
        index = by_cluster(db_clusters.items(connection, pointer.cluster_set, pointer.assignment), pointer.clusters)
    first, last = span(source)
    whole = Window(first.astimezone(UTC) - timedelta(days=1), max(last, datetime.now(UTC)) + timedelta(days=1))
    taken = histories.read(read_sequences(source, Sequences(dedup="adjacent"), whole, index.assignment(), users))
    rows = model.rows(index.items.to_pylist())
    hidden = _withdrawn(model, offered(source)) if source.items.strip() else np.empty(0, np.int32)
    clusters, asked = index.clusters, taken.users if users is None else users
    number = {user: place for place, user in enumerate(taken.users.to_pylist())}
    without = written = 0
    with CSVWriter(out, ROWS) if out.suffix == ".csv" else pq.ParquetWriter(out, ROWS) as writer:
        for part in _parts(asked):
            own = [taken.of(number[user]) if user in number else np.empty(0, np.int32) for user in part]
            nexts = [
                next_interests(table.answers, table.ranking, sequence(clusters[items].tolist(), pointer.dedup))[0]
                for items in own
            ]
            found = items_of(
                model,
                [known[known >= 0] for known in (rows[items] for items in own)],
                np.arange(len(part)),
                np.array([interest for interest, _ in nexts], np.int64),
                [hidden] * len(part),
                top,
            )
            user, place = np.nonzero(found.rows >= 0)
            chosen = found.rows[user, place]
            columns = [
                [part[n] for n in user],
                [nexts[n][0] for n in user],
                [nexts[n][1] for n in user],
                place + 1,
                [model.item(row) for row in chosen],
                found.scores[user, place],
            ]
            writer.write_table(pa.table(dict(zip(ROWS.names, columns, strict=True)), schema=ROWS))
            without += len(part) - len(np.unique(user))
            written += len(user)
    return Recommended(pointer.channel, pointer.version, pointer.recommender or 0, len(asked), without, written, str(out))


def _served(context: Context, channel: str) -> tuple[Pointer, LoadedTable]:
    """What the channel serves."""
    with context.engine.connect() as connection:
        raw = db_serving.raw(connection)
        pointer = next((one for one in db_serving.pointers(raw) if one.channel == channel), None)
        if pointer is None:
            raise BadInput(f"nothing is published on channel {channel!r}: see `driftline tables list`")
        if pointer.recommender is None:
            raise BadInput(f"there is no recommender of cluster set {pointer.cluster_set}: run `driftline run recommender`")
        return pointer, db_serving.read_table(raw, pointer)


def _withdrawn(model: Trained, there: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Rows of the recommender's items that the catalogue does not have now."""
    rows = model.rows(there.to_pylist())
    gone = np.ones(len(model.vectors), dtype=bool)
    gone[rows[rows >= 0]] = False
    return np.flatnonzero(gone).astype(np.int32)


def _parts(users: pa.Array) -> Iterator[list[str]]:
    for first in range(0, len(users), AT_ONCE):
        yield users[first : first + AT_ONCE].to_pylist()
