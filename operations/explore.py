"""One pair of interests: what is answered now and was in every version, and what users did in the window."""

from dataclasses import dataclass

from driftline.contracts import BadInput
from driftline.db import channels as db_channels
from driftline.db import pairs as db_pairs
from driftline.db import tables as db_tables
from driftline.db.pairs import PairAnswer, Successor
from driftline.db.tables import TransitionTable
from driftline.operations.changes import cluster_names
from driftline.operations.context import Context

VERSIONS, SUCCESSORS = 400, 12
"""How many are shown."""


@dataclass(frozen=True)
class NamedInterests:
    """The interests of the cluster set that is served, or of the newest table; `names` by id. `table`: of which they are."""

    table: TransitionTable
    names: tuple[str, ...]

    def find(self, text: str) -> int | None:
        """The interest of a name or an id; a name that only begins so, or holds it, if there is but one."""
        wanted = text.strip().casefold()
        number, _, _ = wanted.partition(" ")
        folded = [name.casefold() for name in self.names]
        if not wanted:
            return None
        if wanted in folded:
            return folded.index(wanted)
        if number.isdecimal() and len(number) < 9 and int(number) < len(folded):
            return int(number)
        for fits in (str.startswith, str.__contains__):
            if len(found := [i for i, name in enumerate(folded) if fits(name, wanted)]) == 1:
                return found[0]
        return None


@dataclass(frozen=True)
class Explored:
    """A pair. `seen`: its occurrences in the window of `NamedInterests.table`, most of which were followed by `successors`."""

    c1: int
    c2: int
    answers: list[PairAnswer]
    seen: int
    successors: list[Successor]


def interests(context: Context, channel: str | None = None) -> NamedInterests:
    """Names the interests of a channel's table. Raises BadInput: there is no table yet."""
    with context.engine.connect() as connection:
        served = db_channels.current(connection, channel or context.settings.channel)
        table = db_tables.get(connection, served or db_tables.newest(connection))
    return NamedInterests(table, cluster_names(context.engine, table.cluster_set))


def explore(context: Context, of: NamedInterests, c1: int, c2: int) -> Explored:
    """Reads one pair through all versions. Raises BadInput: these are not two different interests."""
    if c1 == c2:
        raise BadInput("the two interests have to differ")
    with context.engine.connect() as connection:
        answers = db_pairs.answers_of(connection, of.table.cluster_set, c1, c2, VERSIONS)
        seen, successors = db_pairs.successors(connection, of.table.counts_version, c1, c2, SUCCESSORS)
    return Explored(c1, c2, answers, seen, successors)
