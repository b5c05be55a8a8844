from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from scipy.special import logsumexp

from driftline.interests.counting_model import (
    HIGHEST,
    Strengths,
    answers,
    counted,
    counting_model,
    fit_strengths,
    shrunk_strengths,
)
from driftline.interests.metrics import most_frequent, most_popular
from driftline.interests.pairs import pairs
from tests.interests.drawn import World
from tests.interests.tables import Counts, counts_of, recall, table


def test_probabilities_by_hand() -> None:
    """Successors: 2 four times, 3 twice. π = (1, 1, 5, 3) / 10. With s = 10 and m = 2, of the pair (0, 1), seen 4 times:

    p(·|c1=0) = (n + 10π) / 14: 2 → (3+5)/14, 3 → (1+3)/14, and p(·|c2=1) = (n + 10π) / 16: 2 → (4+5)/16, 3 → (2+3)/16.
    """
    model = counting_model(table({(0, 1, 2): 3, (0, 1, 3): 1, (3, 1, 2): 1, (2, 1, 3): 1}), 4, Strengths(10, 2))
    two, three = 8 / 14 * 9 / 16 / 0.5, 4 / 14 * 5 / 16 / 0.3
    backoff = np.array([two, three]) / (two + three)

    assert np.exp(model.log_popularity) == pytest.approx([0.1, 0.1, 0.5, 0.3])
    assert np.exp(model.log_backoff(np.array([0]))[0]) == pytest.approx([0, 0, *backoff])
    assert model.seen(np.array([0]))[0].tolist() == [0, 0, 3, 1]
    assert np.exp(model.log_p(np.array([0]))[0]) == pytest.approx([0, 0, *((np.array([3, 1]) + 2 * backoff) / 6)])


@given(counts_of(5))
def test_every_pair_has_a_distribution_over_its_novel_clusters(counts: Counts) -> None:
    if not counts:
        return
    model = counting_model(table(counts), 5, Strengths(3.0, 0.5))
    c1, c2 = pairs(5)
    log_p = model.log_p(np.arange(20))

    assert logsumexp(log_p, axis=1) == pytest.approx(np.zeros(20), abs=1e-12)
    assert np.isneginf(log_p[np.arange(20), c1]).all()
    assert np.isneginf(log_p[np.arange(20), c2]).all()
    assert np.isfinite(log_p).sum() == 20 * 3


def test_fitted_strengths_are_likelier_than_others() -> None:
    """Held-out likelihood, worked out the long way, falls to either side of both strengths."""
    world = World(12, seed=1)
    counts, validation = world.draw(4000), world.draw(2000)
    found = fit_strengths(counts, validation, 12)
    later = world.dense(validation)

    def likelihood(single: float, pair: float) -> float:
        log_p = counting_model(counts, 12, Strengths(single, pair)).log_p(np.arange(12 * 11))
        return float((later[later > 0] * log_p[later > 0]).sum())

    best = likelihood(found.single, found.pair)
    assert best >= max(likelihood(found.single * by, found.pair) for by in (0.7, 1.4))
    assert best >= max(likelihood(found.single, found.pair * by) for by in (0.7, 1.4))


def test_thin_counts_lean_on_the_backoff_and_rich_ones_on_themselves() -> None:
    """The pair's own counts deviate from the back-off: with many of them m is small beside n(c1, c2, ·), with few it is not."""
    world = World(10, seed=2, pair=1.0)
    thin, rich = (fit_strengths(world.draw(n), world.draw(5000), 10).pair * 90 / n for n in (180, 90_000))

    assert rich < 0.1 < thin


def test_nothing_to_count_is_refused() -> None:
    none, some = table({}), table({(0, 1, 2): 1})
    for refused in (partial(counting_model, strengths=Strengths(1, 1)), partial(shrunk_strengths, validation=some), counted):
        with pytest.raises(ValueError, match="widen the window"):
            refused(none, n_clusters=3)
    with pytest.raises(ValueError, match="validation window"):
        fit_strengths(some, none, 3)


def test_leaving_out_one_triple_in_turn_is_what_the_long_way_comes_to() -> None:
    """Every occurrence is asked of the counts of all others, with popularity and the back-off's norm as they are of all."""
    size, n = 12, Counter[tuple[int | None, ...]]()
    drawn = World(size, seed=1).draw(2000)
    for row in drawn.to_pylist():
        c1, c2, c = row["c1"], row["c2"], row["c_next"]
        for key in ((c1, c2, c), (c1, None, c), (None, c2, c), (c1, c2, None), (c1, None, None), (None, c2, None)):
            n[key] += row["n"]

    def likelihood(strengths: Strengths) -> float:
        whole, found = counting_model(drawn, size, strengths), 0.0
        popularity = np.exp(whole.log_popularity)
        for row in drawn.to_pylist():
            c1, c2, c = row["c1"], row["c2"], row["c_next"]
            s, m = strengths.single, strengths.pair
            first = (n[c1, None, c] - 1 + s * popularity[c]) / (n[c1, None, None] - 1 + s)
            second = (n[None, c2, c] - 1 + s * popularity[c]) / (n[None, c2, None] - 1 + s)
            novel = ~np.isin(np.arange(size), (c1, c2))
            norm = np.exp(whole.log_first[c1] + whole.log_second[c2] - whole.log_popularity)[novel].sum()
            b = first * second / popularity[c] / norm
            found += row["n"] * np.log((n[c1, c2, c] - 1 + m * b) / (n[c1, c2, None] - 1 + m))
        return float(found)

    best = fit_strengths(drawn, None, size)
    around = [Strengths(best.single * s, best.pair * m) for s in (0.8, 1.0, 1.25) for m in (0.8, 1.0, 1.25)]
    assert max(around, key=likelihood) == best


def test_where_there_is_nothing_but_popularity_the_answer_is_the_most_popular() -> None:
    """Eight logs of two triples a pair: likeliest strengths tilt near ties, and lose by it."""
    lost = {fit_strengths: 0.0, shrunk_strengths: 0.0}
    for seed in range(8):
        world = World(12, seed, pair=0, single=0)
        counts, validation, test = world.draw(264), world.draw(50), world.draw(20_000)
        best = recall(most_popular(counts, 12), test) or 0
        for fit in lost:
            log_p = counting_model(counts, 12, fit(counts, validation, 12)).log_p
            lost[fit] += (best - (recall(answers(log_p, 12), test) or 0)) / 8

    assert lost[shrunk_strengths] < 0.001 < 0.003 < lost[fit_strengths]


def test_where_there_is_more_than_popularity_it_is_kept() -> None:
    ratios = []
    for seed in range(8):
        world = World(12, seed)
        counts, validation, test = world.draw(400), world.draw(80), world.draw(20_000)
        likeliest, shrunk = (fit(counts, validation, 12) for fit in (fit_strengths, shrunk_strengths))
        found = [recall(answers(counting_model(counts, 12, of).log_p, 12), test) or 0 for of in (likeliest, shrunk)]
        ratios.append(found[1] / found[0])
    assert np.mean(ratios) > 0.98


def test_both_strengths_are_raised_by_one_factor_and_not_at_all_where_triples_are_many() -> None:
    world = World(12, seed=1)
    thin, rich = world.draw(400), world.draw(60_000)
    likeliest, shrunk = (fit(thin, None, 12) for fit in (fit_strengths, shrunk_strengths))
    assert shrunk.single / likeliest.single == pytest.approx(shrunk.pair / likeliest.pair)
    assert shrunk.single > 1.2 * likeliest.single
    likeliest, shrunk = (fit(rich, None, 12) for fit in (fit_strengths, shrunk_strengths))
    assert shrunk.single < 1.2 * likeliest.single


def test_a_handful_of_pairs_tells_nothing() -> None:
    assert shrunk_strengths(table({(0, 1, 2): 9, (1, 2, 3): 9}), None, 4) == Strengths(HIGHEST, HIGHEST)


@pytest.mark.parametrize("n", [400, 4000, 40_000])
def test_without_later_days_strengths_are_found_by_leaving_out_one_triple_in_turn(n: int) -> None:
    """The likelihood of days to come is within 1 % of what those days themselves would have chosen."""
    world = World(10, seed=5)
    counts, test = world.draw(n), world.draw(20_000)
    every = np.arange(90)

    def likelihood(strengths: Strengths) -> float:
        log_p = counting_model(counts, 10, strengths).log_p(every)
        there = world.dense(test) > 0
        return float((world.dense(test)[there] * log_p[there]).sum())

    chosen, best = fit_strengths(counts, None, 10), fit_strengths(counts, test, 10)
    assert likelihood(best) * 1.01 < likelihood(chosen) <= likelihood(best)


def test_the_baseline_beats_plain_frequency_where_pairs_are_thin() -> None:
    world = World(12, seed=6)
    counts, test = world.draw(400), world.draw(20_000)
    found = counted(counts, 12)
    assert found.column_names == ["c1", "c2", "c_next", "score"]
    ours, plain = recall(found, test), recall(most_frequent(counts, 12), test)
    assert ours is not None
    assert plain is not None
    assert ours > 1.05 * plain
