"""Every measure against a world whose truth is known: it finds what is there, and nothing where nothing is."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from bench.simulation import Drift, People, Simulated, World, simulate
from bench.simulation.log import counts_table
from bench.simulation.world import Ints
from driftline.contracts import Sequences, Source
from driftline.interests import blend, counting_model
from driftline.interests.experiments.difference import relative_difference
from driftline.interests.experiments.intervals import fixed, intervals
from driftline.interests.experiments.moments import moments_of
from driftline.interests.mapping import answers_of
from driftline.interests.metrics import hit_rates
from driftline.interests.metrics.drift import drift
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.hits import DatedMapping
from driftline.interests.pairs import pairs
from driftline.report.sentences import mattering
from driftline.sources.halves import sampled_successors
from tests.interests.drawn import all_scores

pytestmark = pytest.mark.long

PEOPLE = People(users=2500)


@pytest.mark.parametrize(
    ("moves", "frequency", "lift"),
    [
        (Drift(), False, False),
        (Drift("slow", period=90), True, True),
        (Drift("seasonal", period=90), True, True),
        (Drift("sudden", at=(45,)), True, True),
        (Drift("sudden", of="popularity", at=(45,)), True, None),
    ],
    ids=["none", "slow", "seasonal", "sudden", "popularity"],
)
def test_drift_is_found_when_and_only_when_it_is_there(moves: Drift, frequency: bool, lift: bool | None, tmp_path: Path) -> None:
    """Three windows of thirty days. A change of popularity is one of frequency; how much of it lift sees is not promised."""
    log = simulate(World(interests=16, days=90, drift=moves, people=PEOPLE, lifetime=60, seed=5))
    pq.write_table(log.events(), tmp_path / "events.parquet")
    source = Source(events=str(tmp_path / "events.parquet"))
    windows = [
        sampled_successors(source, Sequences("adjacent"), log.window(first, first + 30), log.assignment(), 5, 16)
        for first in (0, 30, 60)
    ]
    found = drift(windows, 16, (1, 2), 5, 5)

    assert all(lag.moved for curve in found.curves for lag in curve.lags)
    by_frequency, by_lift = (bool(mattering(list(curve.lags), found.margin)) for curve in found.curves)
    assert by_frequency == frequency
    assert lift is None or by_lift == lift


def test_recall_holds_the_truth_in_nineteen_of_twenty_intervals() -> None:
    """The truth is the mean of what the steps' own probabilities say; forty fortnights of other users each."""
    covered = []
    for seed in range(40):
        log = simulate(World(interests=8, days=28, people=People(users=150), seed=seed), what_if=True)
        answers = table_of(log, 0, 14)
        found = hit_rates(
            log.sequences(log.window(14, 28)),
            None,
            8,
            log.window(14, 28).start,
            log.window(14, 28).end,
            {"served": [DatedMapping(log.window(14, 28).start, answers)]},
            [],
        )
        recall = found.arms[0].recall
        assert recall is not None
        assert recall.low is not None
        assert recall.high is not None
        covered.append(recall.low <= expected_recall(log, answers) <= recall.high)
    # 95 % of 40, three standard errors below.
    assert sum(covered) >= 40 * 0.95 - 3 * np.sqrt(40 * 0.95 * 0.05)


def test_hit_rates_hold_that_of_all_users_in_nineteen_of_twenty_intervals() -> None:
    """Eighty parts of a town, each judged by itself; a hit is known only from what followed, so that the town is the truth."""
    parts = 80
    log = simulate(World(interests=8, days=28, people=People(users=150 * parts), seed=6))
    answers, window = table_of(log, 0, 14), log.window(14, 28)

    def rate(users: NDArray[np.bool_]) -> Estimate:
        there = pa.array(users[log.user[(log.day >= 14) & (log.day < 28)]])
        served = {"served": [DatedMapping(window.start, answers)]}
        found = hit_rates(log.sequences(window).filter(there), None, 8, window.start, window.end, served, [])
        return found.arms[0].rate

    part = np.arange(150 * parts) % parts
    truth = rate(np.ones(150 * parts, bool)).value
    assert truth is not None
    covered = 0
    for number in range(parts):
        found = rate(part == number)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    # 95 % of 80, three standard errors below.
    assert covered >= parts * 0.95 - 3 * np.sqrt(parts * 0.95 * 0.05)


@pytest.mark.parametrize("better", [False, True], ids=["null", "effect"])
def test_two_thousand_experiments_hold_what_the_better_table_does(better: bool) -> None:
    """Whether what was recommended was taken, by users who live through it with the same noise under either table."""
    world = World(interests=8, days=21, people=People(users=6000), seed=8)
    rng = np.random.default_rng(8)
    counted = table_of(simulate(world), 0, 14)
    second = np.array([rng.choice([c for c in range(8) if c not in pair]) for pair in zip(*pairs(8), strict=True)])
    control, treatment = (_taken(world, served) for served in ((second, counted) if better else (counted, counted)))
    truth = float(treatment[:, 0].sum() / treatment[:, 1].sum() / (control[:, 0].sum() / control[:, 1].sum()) - 1)
    assert (truth > 0.2) == better
    held, experiments = 0, 2000
    for _ in range(experiments):
        users = rng.permutation(6000)[:300]
        found = relative_difference(moments_of(control[users[:150]]), moments_of(treatment[users[150:]]))
        ends = intervals(found, fixed(found))
        held += bool(ends.low <= truth <= ends.high)
    assert held / experiments == pytest.approx(0.95, abs=0.01)


def _taken(world: World, answers: Ints) -> NDArray[np.float64]:
    """[users, 4]: recommendations taken, and given; no days before."""
    log = simulate(world, served=lambda _: answers)
    told = log.shown >= 0
    users = world.people.users
    taken, given = (np.bincount(log.user[rows], minlength=users) for rows in (told & (log.shown == log.cluster), told))
    return np.stack([taken, given, np.zeros(users), np.ones(users)], axis=1).astype(float)


@pytest.mark.parametrize("knows", [True, False])
def test_the_llm_has_a_say_in_a_blend_when_and_only_when_it_knows_something(knows: bool) -> None:
    """The affinities turn over within the log: an LLM that knows the new ones knows what counts of the old cannot."""
    world = World(interests=12, days=42, drift=Drift("sudden", at=(28,), depth=0.5), people=People(users=300), seed=2)
    log = simulate(world)
    known, later = (counts_of(log, *days) for days in ((0, 28), (28, 42)))
    _, first, second = world.tables().on(35)
    c1, c2 = pairs(12)
    truth = first[c1] + second[c2] if knows else np.random.default_rng(0).normal(size=(len(c1), 12))
    scores = all_scores(counting_model.log_normalised(truth.copy(), c1, c2), 12)
    model = counting_model.counting_model(known, 12, counting_model.fit_strengths(known, later, 12))
    alpha = blend.fit(model, scores, later).llm

    assert alpha.low is not None
    assert (alpha.low > 0) == knows


def expected_recall(log: Simulated, answers: Ints) -> float:
    """Of the triples whose three steps lie in the second half, from the probabilities and without the draws."""
    assert log.what_if is not None
    step, pair = log.what_if.step, log.what_if.pair
    inside = (log.day[step - 2] >= 14) & (log.user[step - 2] == log.user[step])
    p = log.what_if.natural()[inside]
    rows, pair = np.arange(len(p)), pair[inside]
    return float(p[rows, answers[pair]].sum() / (1 - p[rows, log.c1[step][inside]]).sum())


def table_of(log: Simulated, first: int, end: int) -> Ints:
    size = log.world.interests
    return answers_of(counting_model.counted(counts_of(log, first, end), size), size)


def counts_of(log: Simulated, first: int, end: int) -> pa.Table:
    return counts_table(log.daily()[first:end].sum(axis=0))
