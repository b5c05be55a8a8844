"""Does the counting model ever lose? Its recall beside popularity and plain pair frequency, over months and thinnings of one log.

python -m bench.thinning --at DATE [DATE …] [--per-pair 0.5 1 2 4 8 0] [--days 90 28 14] [--events FILE --items FILE]

A cell is a month, so many triples a pair (0: all), and the validation window that fits the strengths: thinned as much, or whole.
Needs no LLM. Cells of a month share their test window, so that they are not independent. Intervals are over users, 95 %.
"""

import dataclasses
import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.blending import COUNTED, SEED, Experiment, added, log_arguments, thinned, triples_in
from driftline.contracts import Windows
from driftline.interests import metrics, windows
from driftline.interests.counting_model import answers, counting_model, fit_strengths, shrunk_strengths
from driftline.interests.metrics.estimates import Estimate

LIKELIEST = "likeliest strengths"
BASELINES = ("popular", "pair frequency", LIKELIEST)


def main() -> None:
    asked = _arguments()
    keep = asked.keep.absolute()
    keep.mkdir(parents=True, exist_ok=True)
    os.environ["DRIFTLINE_HOME"] = str(keep)
    found = list(cells(Experiment(Namespace(**vars(asked) | {"at": asked.at[0]}), keep), asked))
    for cell in found:
        print(json.dumps(cell))
    Console(width=130).print(table(found))


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.thinning", description=__doc__)
    parser.add_argument("--per-pair", type=float, nargs="+", default=[0.5, 1.0, 2.0, 4.0, 8.0, 0.0])
    parser.add_argument("--at", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC), nargs="+", required=True)
    log_arguments(parser)
    parser.set_defaults(steps=1, prompts_per_interest=5, fit="", learn="", llm="none", draw=0)
    return parser.parse_args()


def cells(experiment: Experiment, asked: Namespace) -> Iterator[dict[str, Any]]:
    """Recall of the counting model, and its difference from each baseline."""
    n = asked.clusters
    for at in asked.at:
        experiment.windows = windows.split(at, Windows(*asked.days))
        assert experiment.windows.validation
        whole = [experiment.count(window) for window in (experiment.windows.train, experiment.windows.validation)]
        test = experiment.occurrences(experiment.windows.test)
        every = triples_in(whole[0])
        for per_pair in asked.per_pair:
            share = per_pair * n * (n - 1) / every if per_pair else 1.0
            if share > 1:
                continue
            known, validation = (thinned(counts, share, SEED + i) for i, counts in enumerate(whole))
            counts = added(known, validation)
            for fit, fits in {"thinned": validation, "whole": whole[1]}.items() if per_pair else [("all", validation)]:
                log_p = {
                    name: counting_model(counts, n, fitted(known, fits, n)).log_p
                    for name, fitted in ((COUNTED, shrunk_strengths), (LIKELIEST, fit_strengths))
                }
                arms = {name: answers(of, n) for name, of in log_p.items()}
                arms |= {"popular": metrics.most_popular(counts, n), "pair frequency": metrics.most_frequent(counts, n)}
                less = {name: experiment.recall(test, {COUNTED: arms[COUNTED], name: arms[name]}) for name in BASELINES}
                yield {
                    "at": f"{at:%Y-%m-%d}",
                    "per pair": per_pair,
                    "fit": fit,
                    "fitted on": triples_in(fits),
                    "test": len(test["pair"]),
                    "recall": experiment.recall(test, {COUNTED: arms[COUNTED]}).value,
                    "less": {name: dataclasses.asdict(estimate) for name, estimate in less.items()},
                }


def table(found: list[dict[str, Any]]) -> Table:
    """By triples a pair and fit: mean and worst difference, and in how many cells it is below and above 0 beyond noise."""
    drawn = Table(title=f"{len(found)} cells of {len({cell['at'] for cell in found})} months", title_justify="left")
    for name in ("triples a pair", "fitted on", "cells", *(f"− {name}" for name in BASELINES)):
        drawn.add_column(name, justify="right")
    groups = sorted({(cell["per pair"] or float("inf"), cell["fit"]) for cell in found})
    for per_pair, fit in [*groups, (0.0, "every cell")]:
        of = [cell for cell in found if fit == "every cell" or (cell["per pair"] or float("inf"), cell["fit"]) == (per_pair, fit)]
        drawn.add_row(
            f"{per_pair:g}" if per_pair else "",
            fit,
            f"{len(of)}",
            *(_shown([Estimate(**cell["less"][name]) for cell in of]) for name in BASELINES),
        )
    return drawn


def _shown(differences: list[Estimate]) -> str:
    values = [100 * (one.value or 0) for one in differences]
    below = sum(one.high is not None and one.high < 0 for one in differences)
    above = sum(one.low is not None and one.low > 0 for one in differences)
    return f"{sum(values) / len(values):+.2f}, worst {min(values):+.2f}; {below} below, {above} above"


if __name__ == "__main__":
    main()
