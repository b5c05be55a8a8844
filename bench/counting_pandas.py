"""The counts with pandas: step by step as the SQL has them, and tuned by hand."""

import hashlib
from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from driftline.contracts import Window


def plain(path: str, window: Window, assignment: pa.Table, dedup: str) -> pd.DataFrame:
    """Columns c1, c2, c_next, n, in order. `path`: a log of `bench.synthetic`."""
    log = _positives(path, window).merge(assignment.to_pandas(), on="item")
    visits = _visits(log, dedup)
    visits["tie"] = _hashes(visits["user"], _micros(visits), visits["cluster"])
    visits = visits.sort_values(["user", "ts", "tie"])
    if dedup == "adjacent":
        visits = visits[visits["cluster"] != visits.groupby("user")["cluster"].shift(1)]
    clusters = visits.groupby("user")["cluster"]
    triples = pd.DataFrame({"c1": clusters.shift(2), "c2": clusters.shift(1), "c_next": visits["cluster"]}).dropna()
    return _counted(triples[triples["c1"] != triples["c_next"]])


def tuned(path: str, window: Window, assignment: pa.Table, dedup: str) -> pd.DataFrame:
    """The same. Ids become integers first, only ties are hashed, and users are told apart without grouping."""
    log = _positives(path, window)
    cluster = pd.Index(assignment["item"].to_pandas()).get_indexer(log.pop("item"))
    log = log[cluster >= 0].assign(cluster=assignment["cluster"].to_numpy()[cluster[cluster >= 0]])
    log["user"], users = pd.factorize(log["user"])
    visits = _visits(log, dedup)
    tied = visits.duplicated(["user", "ts"], keep=False)
    visits["tie"] = ""
    visits.loc[tied, "tie"] = _hashes(users[visits.loc[tied, "user"]], _micros(visits[tied]), visits.loc[tied, "cluster"])
    visits = visits.sort_values(["user", "ts", "tie"])
    if dedup == "adjacent":
        visits = visits[(visits["user"] != visits["user"].shift()) | (visits["cluster"] != visits["cluster"].shift())]
    user, cluster = visits["user"], visits["cluster"]
    triples = pd.DataFrame({"c1": cluster.shift(2), "c2": cluster.shift(1), "c_next": cluster})
    return _counted(triples[(user == user.shift(2)) & (triples["c1"] != triples["c_next"])])


def _positives(path: str, window: Window) -> pd.DataFrame:
    log = pd.read_parquet(path, columns=["user", "item", "ts", "seconds"])
    start, end = (pd.Timestamp(time).tz_localize(None) for time in (window.start, window.end))
    return log.loc[(log["seconds"] >= 10) & (log["ts"] >= start) & (log["ts"] < end), ["user", "item", "ts"]]


def _visits(log: pd.DataFrame, dedup: str) -> pd.DataFrame:
    if dedup == "first":
        return log.groupby(["user", "cluster"], sort=False, as_index=False)["ts"].min()
    return log[["user", "cluster", "ts"]].drop_duplicates()


def _micros(visits: pd.DataFrame) -> pd.Series:
    return visits["ts"].astype("datetime64[us]").astype("int64")


def _hashes(*columns: Iterable[object]) -> list[str]:
    return [hashlib.md5(f"{user} {time} {cluster}".encode()).hexdigest() for user, time, cluster in zip(*columns, strict=True)]


def _counted(triples: pd.DataFrame) -> pd.DataFrame:
    return triples.astype("int32").groupby(["c1", "c2", "c_next"]).size().reset_index(name="n")
