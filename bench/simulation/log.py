"""The log of simulated users, and what they would have done."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.simulation.world import Ints, World
from driftline.contracts import Window
from driftline.interests.pairs import pair_number, pairs

Scores = NDArray[np.float32]
Served = Callable[[int], Ints | None]
"""From the day to the answers of the table that is served then, by the pair's number; None: nothing is recommended."""

START = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = np.timedelta64(86_400_000_000, "us")


@dataclass(frozen=True)
class WhatIf:
    """Of the steps of users who had made two before: what each would have done, had an interest been recommended."""

    step: Ints
    """Rows of the log."""
    pair: Ints
    """Number of (c1, c2)."""
    logit: Scores
    """[steps, |C|] of the next interest if nothing is recommended; −inf for c2."""
    score: Scores
    """[steps, |C|] with the step's noise: the highest is taken."""
    nudge: float

    def takes(self, recommended: Ints) -> NDArray[np.bool_]:
        """Whether the recommended interest is the next one, bool [steps]."""
        rows = np.arange(len(self.step))
        own = self.score[rows, recommended] + self.nudge
        others = self.score.copy()
        others[rows, recommended] = -np.inf
        taken: NDArray[np.bool_] = own > others.max(axis=1)
        return taken

    def p(self) -> Scores:
        """The probability that c is taken if it is recommended, [steps, |C|]."""
        weight = np.exp(self.logit - self.logit.max(axis=1, keepdims=True))
        raised = weight * np.float32(np.exp(self.nudge))
        p: Scores = raised / (weight.sum(axis=1, keepdims=True) - weight + raised)
        return p

    def natural(self) -> Scores:
        """The probability that c comes next if nothing is recommended, [steps, |C|]."""
        weight = np.exp(self.logit - self.logit.max(axis=1, keepdims=True))
        p: Scores = weight / weight.sum(axis=1, keepdims=True)
        return p


@dataclass(frozen=True)
class Simulated:
    """The log, ordered by user and time. All columns are [steps]."""

    world: World
    user: Ints
    cluster: Ints
    item: Ints
    day: Ints
    time: NDArray[np.datetime64]
    c1: Ints
    """What the user had shown two steps before; −1: nothing."""
    c2: Ints
    shown: Ints
    """What was recommended for this step; −1: nothing."""
    what_if: WhatIf | None

    def events(self) -> pa.Table:
        """As a log has them: user, item: string; ts: timestamp[us] in UTC."""
        return pa.table({"user": _names("u", self.user), "item": _names("i", self.item), "ts": pa.array(self.time)})

    def assignment(self, known_on: int | None = None) -> pa.Table:
        """item: string, cluster: int32; of all items, or of those that anybody had taken before a day."""
        there = slice(None) if known_on is None else self.day < known_on
        item, first = np.unique(self.item[there], return_index=True)
        return pa.table({"item": _names("i", item), "cluster": pa.array(self.cluster[there][first].astype(np.int32))})

    def sequences(self, window: Window) -> pa.Table:
        """As `sources.sequences.read_sequences` reads them, without repeats in a row."""
        begin, end = (np.datetime64(time.replace(tzinfo=None), "us") for time in (window.start, window.end))
        there = (self.time >= begin) & (self.time < end)
        cluster = pa.array(self.cluster[there].astype(np.int32))
        return pa.table({"user": _names("u", self.user[there]), "cluster": cluster, "ts": pa.array(self.time[there])})

    def window(self, first: int, end: int) -> Window:
        """Of days by number."""
        return Window(START + timedelta(days=first), START + timedelta(days=end))

    def daily(self) -> Ints:
        """Triples by the day of their last step, [days, pairs, |C|]."""
        size, days = self.world.interests, self.world.days
        there = (self.c1 >= 0) & (self.c1 != self.cluster)
        pair = pair_number(self.c1[there], self.c2[there], size)
        place = (self.day[there] * size * (size - 1) + pair) * size + self.cluster[there]
        return np.bincount(place, minlength=days * size * (size - 1) * size).reshape(days, size * (size - 1), size)


def simulate(
    world: World, what_if: bool = False, served: Served | None = None, exposed: NDArray[np.bool_] | None = None
) -> Simulated:
    """A log of all days; the same world gives the same log.

    Args:
        what_if: also keep what every step would have been. Two float32 per step and interest.
        served: what is recommended; the noise of a day's n-th step of a user does not depend on it.
        exposed: bool [users]: to whom; None: to all.
    """
    size, people, tables = world.interests, world.people, world.tables()
    rng = np.random.default_rng([world.seed, 1])
    rate = rng.gamma(1.5, people.steps_per_day / 1.5, people.users)
    likes = (rng.normal(size=(people.users, size)) * people.likes).astype(np.float32)
    curious = (rng.beta(2, 4, people.users) * people.curiosity).astype(np.float32)
    lifetime = rng.gamma(4, world.lifetime / 4, (size, world.shelf)) + 1 if world.lifetime else np.full((size, world.shelf), 1e9)
    phase = rng.random((size, world.shelf)) * lifetime if world.lifetime else np.zeros((size, world.shelf))
    rank = np.cumsum(1 / np.arange(1, world.shelf + 1))

    last = np.full((people.users, 2), -1)
    had = np.zeros((people.users, size), dtype=np.float32)
    new = np.ones((people.users, size), dtype=np.float32)
    columns: list[tuple[NDArray[Any], ...]] = []
    kept: list[tuple[Scores, Scores]] = []
    for day in range(world.days):
        rng = np.random.default_rng([world.seed, 2, day])
        popularity, first, second = (part.astype(np.float32) for part in tables.on(day))
        # A user without steps before has no affinities to follow.
        first, second = (np.vstack([part, np.zeros((1, size), np.float32)]) for part in (first, second))
        answers = served(day) if served else None
        steps = rng.poisson(rate)
        had *= np.float32(0.5 ** (1 / people.half_life))
        for n in range(int(steps.max(initial=0))):
            who = np.flatnonzero(steps > n)
            c1, c2 = last[who].T
            rows = np.arange(len(who))
            logit = popularity + first[c1] + second[c2] + likes[who]
            logit += curious[who, None] * new[who] - np.float32(people.satiation) * had[who]
            logit[rows[c2 >= 0], c2[c2 >= 0]] = -np.inf
            noise = np.maximum(rng.standard_exponential(logit.shape, dtype=np.float32), np.finfo(np.float32).tiny)
            score = logit - np.log(noise)
            shown = np.full(len(who), -1)
            nudged = score
            if answers is not None:
                told = (c1 >= 0) & (exposed[who] if exposed is not None else True)
                shown[told] = answers[pair_number(c1[told], c2[told], size)]
                nudged = score.copy()
                nudged[rows[told], shown[told]] += np.float32(people.nudge)
            taken = nudged.argmax(axis=1)
            if what_if:
                asked = c1 >= 0
                kept.append((logit[asked], score[asked]))
            slot = np.searchsorted(rank, rng.random(len(who)) * rank[-1])
            born = ((day + phase[taken, slot]) // lifetime[taken, slot]).astype(np.int64)
            item = (born * size + taken) * world.shelf + slot
            of_day = ((n + rng.random(len(who))) / steps[who] * _DAY.astype(np.int64)).astype("timedelta64[us]")
            time = np.datetime64(START.replace(tzinfo=None), "us") + day * _DAY + of_day
            columns.append((who, taken, item, np.full(len(who), day), time, c1, c2, shown))
            last[who, 0], last[who, 1] = c2, taken
            had[who, taken] += 1
            new[who, taken] = 0
    return _ordered(world, columns, kept if what_if else None)


def _ordered(world: World, columns: list[tuple[NDArray[Any], ...]], kept: list[tuple[Scores, Scores]] | None) -> Simulated:
    """By user and time, which is the order of their steps."""
    whole = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    order = np.lexsort((whole[4], whole[0]))
    user, cluster, item, day, time, c1, c2, shown = (column[order] for column in whole)
    found = None
    if kept is not None:
        logit, score = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        step = np.flatnonzero(c1 >= 0)
        # Where the step was before it was put in order, among those that two steps precede.
        row = (np.cumsum(whole[5] >= 0) - 1)[order[step]]
        pair = pair_number(c1[step], c2[step], world.interests)
        found = WhatIf(step, pair, logit[row], score[row], world.people.nudge)
    return Simulated(world, user, cluster, item, day, time, c1, c2, shown, found)


def _names(prefix: str, numbers: Ints) -> pa.Array:
    distinct, place = np.unique(numbers, return_inverse=True)
    return pa.DictionaryArray.from_arrays(place.astype(np.int32), pa.array([f"{prefix}{n:07d}" for n in distinct])).cast(
        pa.string()
    )


def counts_table(dense: Ints) -> pa.Table:
    """Counts [pairs, |C|] as the method reads them: c1, c2, c_next: int32, n: int64; by pair."""
    pair, c_next = np.nonzero(dense)
    c1, c2 = pairs(dense.shape[1])
    ids = {"c1": c1[pair], "c2": c2[pair], "c_next": c_next}
    columns = {name: pa.array(column.astype(np.int32)) for name, column in ids.items()}
    return pa.table(columns | {"n": pa.array(dense[pair, c_next].astype(np.int64))})
