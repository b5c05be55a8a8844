"""A log replayed under cadences: every day's table against every later day, so that any choice of days has a known outcome.

Tables are of counts, which are cheap; that a refresh costs 1 is all that is said of costs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from bench.simulation.log import counts_table
from driftline.contracts import Cadence, Entry, MeasuredDay, Standing
from driftline.interests.cadence import decide
from driftline.interests.cadence_budget import MONTH, PLANNED
from driftline.interests.counting_model import counting_model, fit_strengths

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FITTED = 7
"""Days of the first window that choose the strengths, once for all."""
FIRST = date(2024, 1, 1)
"""What the first day is called."""


@dataclass(frozen=True)
class Backtest:
    """Days before the first window's end have no table. A row is the day on which a table was made, a column a day on which it
    serves; below the diagonal nothing is."""

    window: int
    """Days of log that a table is of."""
    value: Floats
    """[days, days]: hits, or what is expected of them."""
    asked: Floats
    """[days]: occurrences; `value` over them is a hit rate."""
    gain: Ints
    """[days, days]: triples that the column's own table predicts more than the row's."""
    apart: Ints
    """[days, days]: triples that one of both predicts."""
    triples: Ints
    """[days]"""

    @property
    def days(self) -> int:
        return len(self.triples)

    def hits(self, made: Sequence[int]) -> float:
        """Hit rates of the tables made on these days, the first of which is the first possible one."""
        ends = [*made[1:], self.days]
        return float(sum(self.value[begin, begin:end].sum() for begin, end in zip(made, ends, strict=True)))

    def rate(self, made: Sequence[int]) -> float:
        return self.hits(made) / float(self.asked[self.window :].sum())


def backtest(daily: Ints, reward: NDArray[np.float32], asked: Floats, window: int) -> Backtest:
    """
    Args:
        daily: triples by the day of their last step, [days, pairs, |C|].
        reward: [days, pairs, |C|]: what it is worth to answer a pair with c on a day, summed over the day's occurrences.
        asked: occurrences of each day.
    """
    days, n_pairs, size = daily.shape
    known = np.concatenate([np.zeros((1, n_pairs, size), np.int64), np.cumsum(daily, axis=0)])
    before, held_out = counts_table(known[window - FITTED]), counts_table(known[window] - known[window - FITTED])
    strengths = fit_strengths(before, held_out, size)
    pairs, answers = np.arange(n_pairs), np.zeros((days, n_pairs), dtype=np.int64)
    value, gain, apart = np.zeros((days, days)), np.zeros((days, days), np.int64), np.zeros((days, days), np.int64)
    for day in range(window, days):
        counts = counts_table(known[day] - known[day - window])
        answers[day] = counting_model(counts, size, strengths).log_p(pairs).argmax(axis=1)
        older = slice(window, day + 1)
        value[older, day] = reward[day][pairs, answers[older]].sum(axis=1, dtype=np.float64)
        stale, fresh = daily[day][pairs, answers[older]], daily[day][pairs, answers[day]]
        other = answers[older] != answers[day]
        gain[older, day] = ((fresh - stale) * other).sum(axis=1)
        apart[older, day] = ((fresh + stale) * other).sum(axis=1)
    return Backtest(window, value, asked, gain, apart, daily.sum(axis=(1, 2)))


def adaptive(of: Backtest, cadence: Cadence) -> list[int]:
    """The days on which the cadence acts, as production decides."""
    made, entries, seen = [of.window], [Entry(_date(of.window), "none")], list[MeasuredDay]()
    for day in range(of.window + 1, of.days):
        served, past = made[-1], day - 1
        gain, apart = int(of.gain[served, past]), int(of.apart[served, past])
        seen.append(MeasuredDay(_date(past), int(of.triples[past]), gain, 0, apart, table=served))
        standing = Standing(
            _date(day),
            _date(served),
            needs_model=False,
            measured=tuple(found for found in seen if found.table == served),
            earlier=tuple(found for found in seen[-PLANNED:] if found.table != served),
            entries=tuple(entries),
            costs={"counts": 1.0},
        )
        found = decide(standing, cadence)
        entries.append(Entry(_date(day), found.action, found.cost))
        if found.action != "none":
            made.append(day)
    return made


def monthly(refreshes: float, of: Backtest) -> float:
    """The budget of a month under which no more than so many refreshes can be made: it begins with a month's."""
    return max(1.0, refreshes * MONTH / (of.days - of.window + MONTH))


def every(of: Backtest, interval: int) -> list[int]:
    """The fixed cadence."""
    return list(range(of.window, of.days, interval))


def even(of: Backtest, refreshes: int) -> list[int]:
    """So many refreshes after the first table, at even distances."""
    return [int(day) for day in np.unique(np.round(np.linspace(of.window, of.days, refreshes + 2)[:-1]).astype(int))]


def cumulative(of: Backtest, threshold: float) -> list[int]:
    """CARA's cumulative threshold: acts when the triples lost since the last refresh reach it."""
    made, lost = [of.window], 0
    for day in range(of.window + 1, of.days):
        lost += int(of.gain[made[-1], day - 1])
        if lost >= threshold:
            made.append(day)
            lost = 0
    return made


def tuned(of: Sequence[Backtest], refreshes: int) -> float:
    """The lowest threshold at which the cumulative threshold makes at most so many refreshes in each."""
    low, high = 0.0, float(max(found.triples.sum() for found in of))
    while high - low > 1:
        middle = (low + high) / 2
        spent = max(len(cumulative(found, middle)) - 1 for found in of)
        low, high = (middle, high) if spent > refreshes else (low, middle)
    return high


def oracle(of: Backtest, refreshes: int) -> list[int]:
    """The best days for at most so many refreshes after the first table, with all of the future known (dynamic programming)."""
    first, days = of.window, of.days
    served = np.concatenate([np.zeros((days, 1)), np.cumsum(of.value, axis=1)], axis=1)
    best = np.full((refreshes + 2, days + 1), -np.inf)
    came = np.zeros((refreshes + 2, days + 1), dtype=np.int64)
    best[0, first] = 0.0
    for tables in range(1, refreshes + 2):
        for end in range(first + 1, days + 1):
            begin = np.arange(first, end)
            total = best[tables - 1, begin] + served[begin, end] - served[begin, begin]
            came[tables, end] = begin[total.argmax()]
            best[tables, end] = total.max()
    tables, made, end = int(best[:, days].argmax()), [], days
    while tables:
        end, tables = int(came[tables, end]), tables - 1
        made.append(end)
    return made[::-1]


Baseline = Callable[[Backtest], list[int]]


def _date(day: int) -> date:
    return FIRST + timedelta(days=day)
