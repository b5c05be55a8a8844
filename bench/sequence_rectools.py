"""python -m bench.sequence_rectools FOLDER: rectools' SASRec, as its defaults have it, on what `bench.sequence` wrote there.

It runs in an environment of its own. The time is that of its training; lists come with `items_to_recommend` and `filter_viewed`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from bench.spent import report

AT = 10


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "taken.npz") as file:
        columns = {Columns.User: file["user"], Columns.Item: file["item"], Columns.Datetime: file["time"]}
        clusters, cases = file["clusters"], pd.DataFrame({"user": file["case_user"], "cluster": file["case_cluster"]})
    taken = pd.DataFrame(columns).assign(**{Columns.Weight: 1.0})
    dataset = Dataset.construct(taken)
    import pytorch_lightning

    pytorch_lightning.seed_everything(0)
    model = SASRecModel(deterministic=True)

    def train() -> None:
        model.fit(dataset)

    report(train)
    known = set(taken[Columns.Item])
    rows = np.full((len(cases), AT), -1, np.int32)
    for cluster, asked in cases.groupby("cluster"):
        items = None if cluster < 0 else [row for row in np.flatnonzero(clusters == cluster) if row in known]
        users = asked["user"].unique()
        if items is not None and not items:
            continue
        found = model.recommend(users, dataset, AT, True, items, on_unsupported_targets="ignore")
        of = {user: part[Columns.Item].to_numpy() for user, part in found.groupby(Columns.User)}
        for case, user in asked["user"].items():
            best = of.get(user, [])
            rows[case, : len(best)] = best
    np.save(folder / "rectools.npy", rows)


if __name__ == "__main__":
    main()
