"""Every measure against a world whose truth is known: it finds what is there, and nothing where nothing is."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.simulation import Drift, People, Simulated, World, simulate
from bench.simulation.log import counts_table
from bench.simulation.world import Ints
from driftline.contracts import Sequences, Source
from driftline.interests import blend, counting_model
from driftline.interests.mapping import answers_of
from driftline.interests.metrics import hit_rates
from driftline.interests.metrics.drift import drift
from driftline.interests.metrics.hits import Version
from driftline.interests.pairs import pairs
from driftline.report.sentences import mattering
from driftline.sources.halves import sampled_successors
from tests.interests.drawn import all_scores

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

    by_frequency, by_lift = (bool(mattering(list(curve.lags), found.margin)) for curve in found.curves)
    assert by_frequency == frequency
    assert lift is None or by_lift == lift


def test_recall_and_hit_rates_hold_the_truth_in_nineteen_of_twenty_intervals() -> None:
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
            {"served": [Version(log.window(14, 28).start, answers)]},
            [],
        )
        recall = found.arms[0].recall
        assert recall is not None
        assert recall.low is not None
        assert recall.high is not None
        covered.append(recall.low <= expected_recall(log, answers) <= recall.high)
    # 95 % of 40, three standard errors below.
    assert sum(covered) >= 40 * 0.95 - 3 * np.sqrt(40 * 0.95 * 0.05)


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
