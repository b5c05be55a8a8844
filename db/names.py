"""The names of a cluster set's clusters. The rest of a set is in `db.clusters`, which brings PyArrow."""

from sqlalchemy import Connection, select

from driftline.contracts import BadInput
from driftline.db.schema import cluster


def of(conn: Connection, cluster_set: int) -> tuple[str, ...]:
    """The short names, by id.

    Raises:
        BadInput: there is no such set.
    """
    rows = conn.execute(select(cluster.c.name).where(cluster.c.cluster_set == cluster_set).order_by(cluster.c.cluster))
    if not (named := tuple(rows.scalars())):
        raise BadInput(f"no cluster set {cluster_set}: see `driftline clusters show`")
    return named
