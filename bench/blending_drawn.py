"""Does the blend take up what names tell? Recall on drawn users whose next interest depends on what the names mean.

python -m bench.blending_drawn [--per-pair 1] [--names shuffled] [--kin 0.3] [--seed 0]

Forty interests in eight families of five, named by words that any LLM has read. Of a user who has shown c1 and then c2, the
next interest is, with probability `--kin`, another one of c1's family, and else anyone's; within both, by a popularity that has
nothing to do with families. With `--names shuffled` the same users go the same ways, and the names stand for other interests:
then there is nothing that names tell. No evidence about real users: it says what a blend does *where* an LLM knows something.
Everything else is that of `bench.blending`.
"""

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.blending import Experiment, blend_arguments, compare
from driftline.contracts import Window
from driftline.interests.pairs import pair_number

FAMILIES = (
    ("apples", "pears", "bananas", "oranges", "grapes"),
    ("milk", "cheese", "butter", "yogurt", "cream"),
    ("beef", "pork", "chicken", "lamb", "sausages"),
    ("beer", "wine", "whiskey", "vodka", "rum"),
    ("hammers", "saws", "drills", "wrenches", "screwdrivers"),
    ("shirts", "trousers", "jackets", "socks", "hats"),
    ("dogs", "cats", "hamsters", "parrots", "rabbits"),
    ("guitars", "pianos", "violins", "drums", "flutes"),
)
NAMES = [name for family in FAMILIES for name in family]
FAMILY = np.repeat(np.arange(len(FAMILIES)), len(FAMILIES[0]))
STEPS = 12
"""Interests that a user shows in a window."""
USERS = (12_000, 2_000, 4_000)
"""Of the training, the validation and the test window: 77 triples a pair, 13 and 26."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.blending_drawn", description=__doc__)
    parser.add_argument("--names", choices=("telling", "shuffled"), default="telling")
    parser.add_argument("--kin", type=float, default=0.3, help="how often the next interest is of c1's family")
    parser.add_argument("--seed", type=int, default=0, help="of the users, of what is popular, and of shuffled names")
    parser.add_argument("--keep", type=Path, default=Path(".driftline/bench-blending-drawn"))
    blend_arguments(parser)
    at = datetime(2024, 6, 1, tzinfo=UTC)
    parser.set_defaults(at=at, days=(90, 28, 14), clusters=len(NAMES), events="drawn", items="drawn", source=[])
    compare(DrawnExperiment, parser.parse_args())


class DrawnExperiment(Experiment):
    """Users are drawn for each window, others for each."""

    def also(self) -> list[Any]:
        return [self.asked.names, self.asked.kin, self.asked.seed]

    def read(self) -> list[str]:
        shuffled = np.random.default_rng(self.asked.seed).permutation(NAMES).tolist()
        return shuffled if self.asked.names == "shuffled" else NAMES

    def count(self, window: Window) -> pa.Table:
        kinds, n = np.unique(self._triples(window)[:, :3], axis=0, return_counts=True)
        named = zip(("c1", "c2", "c_next"), kinds.T.astype(np.int32), strict=True)
        return pa.table(dict(named)).append_column("n", pa.array(n))

    def occurrences(self, window: Window) -> dict[str, Any]:
        c1, c2, c_next, user = self._triples(window).T
        return {"pair": pair_number(c1, c2, len(NAMES)), "c_next": c_next, "user": user}

    def _triples(self, window: Window) -> Ints:
        """c1, c2, c_next and user of every step of the window."""
        popular = np.random.default_rng(self.asked.seed).permutation(np.arange(1, len(NAMES) + 1) ** -0.5)
        users = USERS[(self.windows.train, self.windows.validation, self.windows.test).index(window)]
        return steps(popular, self.asked.kin, users, np.random.default_rng([self.asked.seed, users]))


def steps(popular: Floats, kin: float, users: int, chance: np.random.Generator) -> Ints:
    """Draws every user's interests, `STEPS` each: c1, c2, c_next and user, [users · (STEPS − 2), 4]."""
    n, all_users = len(NAMES), np.arange(users)
    c1 = chance.choice(n, users, p=popular / popular.sum())
    c2 = (c1 + chance.integers(1, n, users)) % n
    made = []
    for _ in range(STEPS - 2):
        at_home = (chance.random(users) < kin)[:, None] & (FAMILY[c1][:, None] != FAMILY)
        weight = np.where(at_home, 0.0, popular)
        weight[all_users, c1] = weight[all_users, c2] = 0
        upto = weight.cumsum(axis=1)
        c_next = (upto < (chance.random(users) * upto[:, -1])[:, None]).sum(axis=1)
        made.append(np.stack([c1, c2, c_next, all_users], axis=1))
        c1, c2 = c2, c_next
    return np.concatenate(made)


if __name__ == "__main__":
    main()
