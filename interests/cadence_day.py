"""How much of one day's triples counts of different age predict: the cheap measure that a cadence decides by."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from driftline.interests import triples
from driftline.interests.counting_model import counting_model, fit_strengths, likeliest
from driftline.interests.pairs import Ints


@dataclass(frozen=True)
class DayHits:
    """Hits among the triples that end on the day; see `contracts.MeasuredDay`."""

    triples: int
    fresh: int
    stale: int
    apart: int
    learned: int | None
    learned_apart: int | None
    changed: float | None


def of_day(wide: pa.Table, narrow: pa.Table) -> pa.Table:
    """The triples that end on the last day of a window: those of the whole, less those of the window without that day.

    A sequence is only ever longer by a day more, so that its triples of before stay. All: c1, c2, c_next: int32, n: int64.
    """
    names = ["c1", "c2", "c_next"]
    less = narrow.set_column(3, "n", pa.array(-narrow["n"].to_numpy()))
    summed = pa.concat_tables([wide.select([*names, "n"]), less.select([*names, "n"])]).group_by(names).aggregate([("n", "sum")])
    found = summed.rename_columns([*names, "n"])
    return found.filter(pa.array(found["n"].to_numpy() > 0)).sort_by([(name, "ascending") for name in names])


def day_hits(day: pa.Table, fresh: pa.Table, stale: pa.Table, learned: pa.Table | None, n_clusters: int) -> DayHits:
    """How many of a day's triples the counting model predicts from counts of different age.

    Args:
        day: c1, c2, c_next: int32, n: int64; the triples that end on the day.
        fresh: the same of the newest window before it; stale: of the served table; learned: of the model.

    Raises:
        BadInput: one of the windows has no triple.
    """
    asked = triples.read(day, n_clusters)
    pairs, place = np.unique(asked.pair(n_clusters), return_inverse=True)

    def right(counts: pa.Table) -> tuple[Ints, Ints]:
        """The answer to each triple's pair, and how many are right, row by row."""
        model = counting_model(counts, n_clusters, fit_strengths(counts, None, n_clusters))
        answer = likeliest(model.log_p, pairs, n_clusters)[0][place]
        return answer, np.where(answer == asked.c_next, asked.n, 0)

    total = int(asked.n.sum())
    (new, new_right), (old, old_right) = right(fresh), right(stale)
    taught_right = right(learned)[1] if learned is not None else None
    return DayHits(
        triples=total,
        fresh=int(new_right.sum()),
        stale=int(old_right.sum()),
        apart=int(np.abs(new_right - old_right).sum()),
        learned=None if taught_right is None else int(taught_right.sum()),
        learned_apart=None if taught_right is None else int(np.abs(new_right - taught_right).sum()),
        changed=float(asked.n[new != old].sum() / total) if total else None,
    )
