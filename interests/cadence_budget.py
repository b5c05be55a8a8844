"""What may be spent today, and what a loss must come to before it is worth a share of that (ADR 0023).

The budget is a bucket that fills evenly and begins with a month's. A refresh has a price in triples such that the days to
come use up what is left and what comes in, if they are like the days before. A loss that grows evenly adds up to t² in t
days, so that the root of what a table lost measures its days by the pace of the drift, and roots of different tables can be
added. Those of the past, over the refreshes that are affordable in as many days to come, are the root of the price. Where
drift is fast the price rises, and the budget lasts; where it stands the price falls, and what was saved waits for the day on
which it moves.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import groupby
from math import sqrt

from driftline.contracts import Cadence, Entry, MeasuredDay, Rule, Standing, Update

MONTH = 30
"""Days that the budget is for."""
PLANNED = 60
"""Days that a price looks back and ahead, and that may be saved for."""


def left(standing: Standing, cadence: Cadence) -> float | None:
    """Seconds that may be spent on the day."""
    return bank(standing.entries, cadence.budget, standing.day, standing.rule)


def bank(entries: Sequence[Entry], budget: float, today: date, rule: Rule) -> float | None:
    """Seconds that may be spent today: what the budget has brought, less what the record has spent; below 0 after an update that
    an interval forced.

    It begins with a month's on the first day of the record, and holds what 60 days bring; by rule 1, what 30 do. None: there is
    no limit.
    """
    if not budget:
        return None
    most = budget * (MONTH if rule == 1 else PLANNED) / MONTH
    there, last = budget, entries[0].day if entries else today
    for entry in entries:
        there = min(most, there + budget * (entry.day - last).days / MONTH) - entry.cost
        last = entry.day
    return min(most, there + budget * (today - last).days / MONTH)


def worth(days: Sequence[MeasuredDay]) -> float:
    """What the table's days call for, in triples: half of its newest loss a day, times the days since the refresh.

    That is what a loss would have come to that had grown evenly to where it is now: of two equal sums the one that still grows
    calls for more, because waiting costs more. The newest loss is the mean of the last quarter of the days.
    """
    newest = days[-max(1, len(days) // 4) :]
    return sum(_lost(day) for day in newest) / len(newest) * (len(days) - (len(newest) - 1) / 2) / 2


def price(standing: Standing, current: Sequence[MeasuredDay], cadence: Cadence, update: Update) -> float:
    """What an update must be worth in triples to be paid today; 0: nothing, where there is no limit or it is free."""
    cost, there = standing.costs.get(update, 0.0), left(standing, cadence)
    if there is None or not cost or standing.rule == 1:
        return 0.0
    coming = there - cost + cadence.budget * PLANNED / MONTH
    if standing.needs_model and "fine_tune" in cadence.updates:
        coming -= standing.costs.get("fine_tune", 0.0) * PLANNED / cadence.fine_tune_max_days
    since = max(standing.entries[0].day if standing.entries else standing.day, standing.day - timedelta(days=PLANNED))
    seen = (standing.day - since).days
    if not seen:
        return 0.0
    earlier = [day for day in (*standing.earlier, *standing.measured) if since <= day.day < current[0].day]
    pace = _roots(earlier, current) / seen
    return (pace * PLANNED / max(1.0, coming / cost)) ** 2


def _roots(earlier: Iterable[MeasuredDay], current: Sequence[MeasuredDay]) -> float:
    """Sum of the square roots of what each table lost."""
    cycles = [list(days) for _, days in groupby(earlier, key=lambda day: day.table)]
    return sum(sqrt(max(0, sum(map(_lost, days)))) for days in [*cycles, current])


def _lost(day: MeasuredDay) -> int:
    return day.fresh - day.stale
