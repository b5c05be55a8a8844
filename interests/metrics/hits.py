"""Hit rate, recall, uptake: does what a mapping predicts come true in the user's real sequence (design §3.9, paper §3.1)?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts import BadInput
from driftline.interests.metrics.baselines import chance
from driftline.interests.metrics.estimates import Difference, Estimate, ratio
from driftline.interests.metrics.frontier import Frontier, frontier
from driftline.interests.metrics.occurrences import Occurrences, find, period, utc
from driftline.interests.metrics.spread import effective_clusters
from driftline.interests.metrics.support import LEVELS, Level, Tally, by_support, level_of
from driftline.interests.pairs import Ints, pair_count


@dataclass(frozen=True)
class DatedMapping:
    """An arm's mapping from `since` on, until its next version."""

    since: datetime
    answers: Ints
    """int64 [|C|·(|C|−1)]: the answer of every ordered pair, by number."""


@dataclass(frozen=True)
class ArmHits:
    """One mapping, or one that is renewed along the way."""

    name: str
    rate: Estimate
    """Over the whole period; the interval is over users."""
    daily: tuple[Estimate, ...]
    """By day of the period; `value` is None on a day without an occurrence."""
    novel: Estimate
    """Share of occurrences whose predicted cluster the user had not shown before, in the period or in the history before it."""
    uptake: Estimate | None = None
    """Share of occurrences whose predicted cluster is novel to the user and comes true: an interest that the user takes up."""
    recall: Estimate | None = None
    """Share of triples whose c_next was predicted (design §3.8); the interval is over users."""
    recall_low: float | None = None
    """Lower end of that interval at the confidence of the gates; None: not asked for, or too few users."""
    effective_clusters: float | None = None
    """2 ** entropy of its answers to all pairs, those of all versions together."""


@dataclass(frozen=True)
class HitRates:
    """Metrics 3 and 6."""

    days: tuple[date, ...]
    """Every UTC day that the period touches."""
    users: int
    """Users with an occurrence that counts."""
    occurrences: int
    """(user, pair) occurrences that something follows in the user's sequence."""
    last_pairs: int
    """Occurrences that nothing follows; they are not counted."""
    chance: float | None
    """Hit rate of a novel cluster drawn at random for each occurrence."""
    arms: tuple[ArmHits, ...]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...] = ()
    daily_chance: tuple[float | None, ...] = ()
    """`chance` by day. It falls towards the end of the period, where less of a sequence is left, and every hit rate with it."""
    uptake_chance: float | None = None
    """Uptake of a novel cluster drawn at random for each occurrence."""
    triples: int = 0
    """Occurrences whose next step makes them a triple: what recall is of."""
    recall_differences: tuple[Difference, ...] = ()
    uptake_differences: tuple[Difference, ...] = ()
    frontiers: tuple[Frontier, ...] = ()
    levels: tuple[Level, ...] = ()
    """By how often a pair was seen in the window that the arms knew when the period began; empty where that was not given."""


def hit_rates(
    steps: pa.Table,
    history: pa.Table | None,
    n_clusters: int,
    start: datetime,
    end: datetime,
    arms: Mapping[str, Sequence[DatedMapping]],
    differences: Sequence[tuple[str, str]],
    support: Ints | None = None,
    confidence: float | None = None,
) -> HitRates:
    """The share of predictions that come true, of one mapping or of several on the same occurrences.

        hit rate = Σ [the predicted cluster of (c1, c2) is in the rest]  /  occurrences
        uptake   = Σ [it is in the rest, and new to the user]            /  occurrences
        recall   = Σ [it is the next step]                               /  occurrences whose next step is not c1 again

    The sequences are those of the held-out period [start, end). An occurrence is two neighbouring steps (c1, c2) of one user's
    sequence; its day is the UTC day of c2. The rest is everything after c2 in the period. The prediction is that of the version
    that serves at the time of c2. Occurrences that nothing follows say nothing yet: they are counted apart, as `last_pairs`, and
    are in no rate. A prediction is novel to the user if neither the history nor the period up to and including c2 has it.

        chance = mean over occurrences of (distinct clusters of the rest other than c1 and c2) / (|C| − 2)

    All intervals are over users, who are resampled with all their occurrences; a difference is paired.

    Args:
        steps: user: string; cluster: int32; ts: timestamp[us] in UTC, of the period, ordered by user and place in the sequence.
        history: the same columns, before `start`, in any order; only users of `steps` matter. None: nothing is known before.
        arms: by name, versions in any order. The newest whose `since` is not after c2 serves.
        differences: (a, b) for rate(a) − rate(b), and the same of recall and uptake.
        support: n(c1, c2, ·) of the window that the arms knew when the period began, int64 [|C|·(|C|−1)] by the pair's number.
        confidence: of the gates, which want `recall_low` of each arm.

    Raises:
        BadInput: fewer than 3 clusters, `steps` or `history` is not as above, a version does not answer every pair, an arm has
            no version for an occurrence, or a difference names an unknown arm.
    """
    random = chance(n_clusters)
    for name in sorted({name for pair in differences for name in pair} - set(arms)):
        raise BadInput(f"cannot compare {name!r}: there is no such arm among {', '.join(map(repr, arms))}")
    asked = find(steps, history, n_clusters, start, end)
    n_users, n_days = len(asked.of_user), len(asked.days)
    unit, unit_of = np.unique(asked.day * n_users + asked.user, return_inverse=True)
    of_unit = np.bincount(unit_of, minlength=len(unit))
    of_day = np.searchsorted(unit, np.arange(n_days + 1) * n_users)
    level = level_of(np.zeros(pair_count(n_clusters), np.int64) if support is None else support)
    if len(level) != pair_count(n_clusters):
        raise BadInput(f"the support of {len(level)} pairs is not that of {n_clusters} clusters: count the same cluster set")
    everything = Tally(_by_level(asked, level, slice(None)), _by_level(asked, level, asked.next >= 0))
    triples = everything.nexts.sum(axis=0)

    tallies: dict[str, Tally] = {}
    uptake: dict[str, Ints] = {}
    measured = []
    for name, versions in arms.items():
        judged = asked.judge(_predicted(name, versions, asked, n_clusters))
        hits = np.bincount(unit_of[judged.hit], minlength=len(unit))
        tallies[name] = Tally(_by_level(asked, level, judged.hit), _by_level(asked, level, judged.next))
        uptake[name] = asked.by_user(judged.hit & judged.novel)
        nexts = tallies[name].nexts.sum(axis=0)
        measured.append(
            ArmHits(
                name=name,
                rate=ratio(tallies[name].hits.sum(axis=0), asked.of_user),
                daily=tuple(ratio(hits[a:b], of_unit[a:b]) for a, b in pairwise(of_day)),
                novel=ratio(asked.by_user(judged.novel), asked.of_user),
                uptake=ratio(uptake[name], asked.of_user),
                recall=ratio(nexts, triples),
                recall_low=None if confidence is None else _low(nexts, triples, confidence),
                effective_clusters=effective_clusters(np.concatenate([version.answers for version in versions]))
                if n_users
                else None,
            )
        )

    def compared(sums: Mapping[str, Ints], out_of: Ints) -> tuple[Difference, ...]:
        return tuple(Difference(a, b, ratio(sums[a] - sums[b], out_of)) for a, b in differences)

    n, users = len(asked.user), int(np.count_nonzero(asked.of_user))
    return HitRates(
        days=asked.days,
        users=users,
        occurrences=n,
        last_pairs=asked.last_pairs,
        chance=float(asked.rest.mean()) * random if n else None,
        arms=tuple(measured),
        differences=compared({name: tally.hits.sum(axis=0) for name, tally in tallies.items()}, asked.of_user),
        missing=_missing(n, users, start, end),
        daily_chance=_daily_chance(asked, random),
        uptake_chance=float(asked.fresh.mean()) * random if n else None,
        triples=int(triples.sum()),
        recall_differences=compared({name: tally.nexts.sum(axis=0) for name, tally in tallies.items()}, triples),
        uptake_differences=compared(uptake, asked.of_user),
        frontiers=_frontiers(measured),
        levels=() if support is None else by_support(level, everything, tallies, differences),
    )


def _by_level(asked: Occurrences, level: Ints, there: NDArray[np.bool_] | slice) -> Ints:
    """How many of these occurrences there are, by level of the pair and by user: int64 [levels, users]."""
    users = len(asked.of_user)
    found = np.bincount(level[asked.pair[there]] * users + asked.user[there], minlength=LEVELS * users)
    return found.reshape(LEVELS, users)


def _low(nexts: Ints, triples: Ints, confidence: float) -> float | None:
    found = ratio(nexts, triples, confidence=confidence)
    return found.low if found.enough else None


def _frontiers(arms: Sequence[ArmHits]) -> tuple[Frontier, ...]:
    """Against the number of interests answered, and against novelty to the user."""
    known = [arm for arm in arms if arm.recall and arm.recall.value is not None and arm.effective_clusters is not None]
    recall = {arm.name: arm.recall.value or 0.0 for arm in known if arm.recall}
    spread = {arm.name: (recall[arm.name], arm.effective_clusters or 0.0) for arm in known}
    novel = {arm.name: (recall[arm.name], arm.novel.value or 0.0) for arm in known}
    return (Frontier("effective_clusters", frontier(spread)), Frontier("novel", frontier(novel))) if known else ()


def _daily_chance(asked: Occurrences, random: float) -> tuple[float | None, ...]:
    of_day = np.bincount(asked.day, minlength=len(asked.days))
    to_come = np.bincount(asked.day, asked.rest, len(asked.days))
    return tuple(float(rest / n) * random if n else None for rest, n in zip(to_come, of_day, strict=True))


def _predicted(name: str, versions: Sequence[DatedMapping], asked: Occurrences, n_clusters: int) -> Ints:
    """The answer to each occurrence, of the version that serves at its time."""
    ordered = sorted(versions, key=lambda version: utc(version.since))
    for version in ordered:
        answers = version.answers
        if answers.shape != (pair_count(n_clusters),) or answers.min() < 0 or answers.max() >= n_clusters:
            raise BadInput(
                f"{name!r} since {version.since:%Y-%m-%d}: not every pair is answered with one of {n_clusters} clusters"
            )
    serving = np.searchsorted(np.array([utc(version.since) for version in ordered], "datetime64[us]"), asked.time, "right") - 1
    if (serving < 0).any():
        raise BadInput(f"{name!r} has no version yet at {asked.time.min()}: one must serve when the held-out period starts")
    return np.stack([version.answers for version in ordered])[serving, asked.pair] if ordered else asked.pair


def _missing(n: int, users: int, start: datetime, end: datetime) -> tuple[str, ...]:
    where = f"in the held-out period {period(start, end)}"
    if not n:
        return (f"not enough data: n = 0 pairs with a rest {where}; a user needs three steps there",)
    return (f"not enough data: n = 1 user with such pairs {where}; an interval needs two",) if users == 1 else ()
