"""Cadences of a refresh: by measured loss, at fixed intervals, by the cumulative threshold, and with the future known."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import t

from bench.backtest import Backtest, Floats, Ints, adaptive, backtest, cumulative, even, every, monthly, oracle, tuned
from bench.recipe import interests
from bench.rows import ResultRow, row
from bench.simulation import Drift, People, World, simulate
from driftline.contracts import Cadence, Clusters, Sequences, Source, Window
from driftline.interests.metrics import occurrences
from driftline.interests.pairs import pair_number
from driftline.settings import Settings
from driftline.sources.demo import write_demo
from driftline.sources.log import span
from driftline.sources.sequences import read_sequences

PACKAGES = ("numpy",)
NOTE = """
Tables of counts; a refresh costs 1, measuring a day nothing. What it comes to is in [cadence.md](cadence.md#what-it-is-worth).

In the simulator (`bench/simulation`: 24 interests, 10,000 users, 180 days, five seeds that nothing was chosen on; ± is a 95 %
interval over them) *never* keeps the first table and the *oracle* chooses the best days, knowing the future. Both may refresh
as often as the row says; ours has a budget that fills evenly, and constants of other seeds. The bar is a tenth of what lies
between never and the oracle. The cumulative threshold is tuned on another seed of the same drift and budget: it knows what ours
has to find out.

On real logs misses are 1 − hit rate within 28 days. The peer is the best in hindsight of all intervals and even distances that
cost no more than ours; beside it, the best on every other 28 days, judged on those between. Nothing of ours was chosen on these
logs. ± is a 95 % interval of the difference. The logs are those of `DRIFTLINE_ONLINE_RETAIL` and `DRIFTLINE_IFDB`, where set.
"""

KEEP = Path(".driftline/bench-cadence")
INTERVALS = (1, 2, 4, 7, 14)
FIXED = 2
"""Days between two refreshes by the project's own calendar, as in the paper."""
WINDOW, PERIOD, HORIZON = 28, 28, 180
SEEDS = (401, 402, 403, 404, 405)
ADAPTIVE = Cadence(policy="adaptive", updates=("counts",))
"""The defaults; only the budget is set."""
DRIFTS = {
    "no drift": Drift(),
    "slow": Drift("slow", period=180),
    "seasonal": Drift("seasonal", period=120),
    "sudden": Drift("sudden", at=(WINDOW + 82,)),
    "slow, popularity": Drift("slow", "popularity", period=180),
    "seasonal, popularity": Drift("seasonal", "popularity", period=120),
    "sudden, popularity": Drift("sudden", "popularity", at=(WINDOW + 82,)),
}


def rows(small: bool) -> list[ResultRow]:
    found = list(_speed(small))
    for name, drift in DRIFTS.items():
        worlds = [simulated(drift, seed, 1000 if small else 10_000) for seed in SEEDS[: 1 if small else None]]
        found += _against_the_oracle(name, worlds, tuning=[simulated(drift, 99, 1000 if small else 10_000)])
    for name, days, source in [] if small else _logs(KEEP):
        found += _against_fixed(name, logged(source, days, KEEP / name.replace(" ", "-")))
    return found


def simulated(drift: Drift, seed: int, users: int) -> Backtest:
    """Hits are those expected of being recommended."""
    world = World(days=WINDOW + HORIZON, drift=drift, people=People(users=users), seed=seed)
    log = simulate(world, what_if=True)
    assert log.what_if
    pairs, size = world.interests * (world.interests - 1), world.interests
    day = log.day[log.what_if.step]
    reward = np.zeros((world.days, pairs, size), dtype=np.float32)
    order = np.argsort(day * pairs + log.what_if.pair, kind="stable")
    cell, start = np.unique((day * pairs + log.what_if.pair)[order], return_index=True)
    reward.reshape(-1, size)[cell] = np.add.reduceat(log.what_if.p()[order], start, axis=0)
    return backtest(log.daily(), reward, np.bincount(day, minlength=world.days).astype(float), WINDOW)


def logged(source: Source, window: int, work: Path, clusters: int = 24, most: int = 1000) -> Backtest:
    """A real log under built interests; of a long one, the newest `most` days."""
    work = work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    os.environ["DRIFTLINE_HOME"] = str(work)
    settings = Settings(source=source, clusters=Clusters(fan_out=(clusters,)), home=work)
    assignment, _ = interests(work, settings)
    first, last = (_midnight(time) for time in span(source))
    end = last + timedelta(days=1)
    first = max(first, end - timedelta(days=most))
    steps = read_sequences(source, Sequences("adjacent"), Window(first, end), assignment)
    days, n_pairs = (end - first).days, clusters * (clusters - 1)
    reward, asked = np.zeros((days, n_pairs, clusters), np.float32), np.zeros(days)
    for begin in range(0, days, PERIOD):
        start, stop = (first + timedelta(days=min(day, days)) for day in (begin, begin + PERIOD))
        inside = pc.and_(*(compare(steps["ts"], pa.scalar(t.replace(tzinfo=None))) for compare, t in _bounds(start, stop)))
        place = occurrences.find(steps.filter(inside), None, clusters, start, stop)
        cell = (begin + place.day) * n_pairs + place.pair
        asked += np.bincount(begin + place.day, minlength=days)
        for c in range(clusters):
            hit = place.judge(np.full(len(cell), c)).hit
            reward[:, :, c] += np.bincount(cell[hit], minlength=days * n_pairs).reshape(days, n_pairs)
    return backtest(_daily(steps, first, days, clusters), reward, asked, window)


def _daily(steps: pa.Table, first: datetime, days: int, clusters: int) -> Ints:
    user = steps["user"].combine_chunks().dictionary_encode().indices.to_numpy()
    cluster = steps["cluster"].to_numpy().astype(np.int64)
    day = ((steps["ts"].to_numpy() - np.datetime64(first.replace(tzinfo=None))) // np.timedelta64(1, "D")).astype(np.int64)
    kept = (user[:-2] == user[2:]) & (cluster[:-2] != cluster[2:])
    pair = pair_number(cluster[:-2][kept], cluster[1:-1][kept], clusters)
    n_pairs = clusters * (clusters - 1)
    place = (day[2:][kept] * n_pairs + pair) * clusters + cluster[2:][kept]
    return np.bincount(place, minlength=days * n_pairs * clusters).reshape(days, n_pairs, clusters)


def _against_the_oracle(name: str, worlds: list[Backtest], tuning: list[Backtest]) -> Iterator[ResultRow]:
    for interval in INTERVALS[1:]:
        refreshes = len(every(worlds[0], interval)) - 1
        made = [adaptive(of, _budget(refreshes, of)) for of in worlds]
        spent = float(np.mean([len(days) - 1 for days in made]))
        if name == "no drift":
            if interval == FIXED:
                yield row("cadence", f"{name}: refreshes in {HORIZON} days", spent, refreshes, f"every {interval} days", "≤ 0.1")
            continue
        best = [of.hits(oracle(of, refreshes)) for of in worlds]
        never = [of.hits([of.window]) for of in worlds]
        each = np.array([b - of.hits(days) for b, of, days in zip(best, worlds, made, strict=True)])
        lost, between = float(each.sum()), sum(best) - sum(never)
        where = f"{name}, {refreshes} refreshes: hits lost against the oracle"
        give = within(each / (np.array(best) - never))
        yield row("cadence", f"{where} ({spent:.0f} made, ± {give:.3f})", lost, between, "oracle − never", "≤ 0.1")
        fixed = sum(b - of.hits(every(of, interval)) for b, of in zip(best, worlds, strict=True))
        yield row("cadence", where, lost, fixed, f"every {interval} days", "≤")
        threshold = tuned(tuning, refreshes)
        summed = sum(b - of.hits(cumulative(of, threshold)) for b, of in zip(best, worlds, strict=True))
        cost = float(np.mean([len(cumulative(of, threshold)) - 1 for of in worlds]))
        yield row("cadence", where, lost, summed, f"cumulative threshold ({cost:.0f} made)", "≤")


def _against_fixed(name: str, of: Backtest) -> Iterator[ResultRow]:
    yield row(
        "cadence", f"{name}: misses, never refreshed", 1 - of.rate([of.window]), 1 - of.rate(every(of, 1)), "every day", "≤"
    )
    for interval in INTERVALS[1:]:
        made = adaptive(of, _budget(len(every(of, interval)) - 1, of))
        spent = len(made) - 1
        peers = {f"every {days} days": every(of, days) for days in range(1, of.days)}
        affordable = {peer: days for peer, days in peers.items() if len(days) - 1 <= spent}
        affordable["even distances"] = even(of, spent)
        ours, theirs = _by_period(of, made), {peer: _by_period(of, days) for peer, days in affordable.items()}
        best = max(theirs, key=lambda peer: theirs[peer].sum())
        asked = float(of.asked[of.window :].sum())
        metric = f"{name}: misses, budget of every {interval} days ({spent} refreshes)"

        def against(peer: Floats, who: str, of_all: float = asked, ours: Floats = ours, metric: str = metric) -> ResultRow:
            give = within(ours - peer) * len(ours) / of_all
            return row(
                "cadence", metric, float(1 - ours.sum() / of_all), float(1 - peer.sum() / of_all), f"{who} ± {give:.4f}", "≤ 1"
            )

        yield against(theirs[best], f"{best}, in hindsight")
        crossed = np.zeros(len(ours))
        for own, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
            chosen = max(theirs, key=lambda peer, there=other: theirs[peer][there].sum())  # type: ignore[misc]
            crossed[own] = theirs[chosen][own]
        yield against(crossed, "best of the other periods")
        fixed = 1 - of.rate(every(of, interval))
        yield row("cadence", metric, 1 - of.rate(made), fixed, f"every {interval} days ({len(every(of, interval)) - 1})", "≤")


def within(found: Floats) -> float:
    """Half of a 95 % interval of their mean."""
    return float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else float("nan")


def _by_period(of: Backtest, made: list[int]) -> Floats:
    """Hits in each 28 days."""
    table = np.repeat(made, np.diff([*made, of.days]))
    days = np.arange(of.window, of.days)
    hits: Floats = np.bincount((days - of.window) // PERIOD, weights=of.value[table, days]).astype(float)
    return hits


def _budget(refreshes: int, of: Backtest) -> Cadence:
    return Cadence(**{**ADAPTIVE.__dict__, "budget": monthly(refreshes, of)})


def _speed(small: bool) -> Iterator[ResultRow]:
    world = World(days=100, people=People(users=1000 if small else 10_000), drift=Drift("slow"))
    begin = time.process_time()
    events = len(simulate(world).user)
    yield row("cadence", f"CPU-seconds to simulate {events:,} events", time.process_time() - begin, 10, "what may be", "≤ 1")


def _logs(work: Path) -> Iterator[tuple[str, int, Source]]:
    """Name, days of a window, and where it is. A window of a thin log is a year."""
    with suppress(ImportError):
        yield "the demo's log", WINDOW, write_demo(work / "demo")
    for name, days, variable, more in (
        ("Online Retail II", WINDOW, "DRIFTLINE_ONLINE_RETAIL", {"basket": "basket"}),
        ("IFDB", 365, "DRIFTLINE_IFDB", {}),
    ):
        if folder := os.environ.get(variable):
            yield name, days, Source(f"{folder}/events.parquet", f"{folder}/items.parquet", **more)


def _bounds(start: datetime, stop: datetime):  # type: ignore[no-untyped-def]
    return (pc.greater_equal, start), (pc.less, stop)


def _midnight(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
