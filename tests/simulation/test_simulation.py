"""The simulator is what it says: seeded, moving at the known rate, and with one answer to every "what if"."""

from itertools import pairwise

import numpy as np
import pytest

from bench.simulation import Drift, People, World, simulate
from bench.simulation.world import KINDS, Ints

SMALL = World(interests=8, days=20, people=People(users=200), lifetime=10, seed=3)


def test_the_same_world_gives_the_same_log_and_another_seed_another() -> None:
    one, same, other = (simulate(world) for world in (SMALL, SMALL, World(8, 20, people=People(users=200), seed=4)))

    assert one.events().equals(same.events())
    assert not np.array_equal(one.cluster[:100], other.cluster[:100])


def test_a_log_is_in_order_and_no_interest_is_repeated_in_a_row() -> None:
    log = simulate(SMALL)
    same = log.user[1:] == log.user[:-1]

    assert (log.time[1:] > log.time[:-1])[same].all()
    assert (log.cluster[1:] != log.cluster[:-1])[same].all()
    assert (log.c2[1:] == log.cluster[:-1])[same].all()


def test_items_come_and_go() -> None:
    log = simulate(SMALL)
    first, last = (set(log.item[log.day < 3]), set(log.item[log.day >= 17]))

    assert len(first & last) < len(first) / 2
    known = log.assignment(known_on=10)
    assert 0 < known.num_rows < log.assignment().num_rows


@pytest.mark.parametrize("of", ["affinity", "popularity"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_moves_moves_at_the_known_rate_and_the_rest_stands_still(kind: str, of: str) -> None:
    drift = Drift(kind, of, period=40, at=(15, 30))  # type: ignore[arg-type]
    world = World(interests=40, days=60, drift=drift)
    tables = world.tables()
    moving, standing = (1, 0) if of == "affinity" else (0, 1)
    for one, other in ((0, 10), (0, 20), (0, 35), (14, 15), (5, 55)):
        a, b = tables.on(one), tables.on(other)
        found = float(np.corrcoef(a[moving].ravel(), b[moving].ravel())[0, 1])
        assert found == pytest.approx(drift.correlation(one, other, 60), abs=0.1 if of == "affinity" else 0.45)
        assert np.array_equal(a[standing], b[standing])
    assert drift.correlation(0, 20, 60) == pytest.approx({"none": 1, "slow": np.cos(np.pi / 4)}.get(kind, 0), abs=1e-9)


def test_what_if_nothing_had_been_recommended_is_what_happened() -> None:
    log = simulate(SMALL, what_if=True)
    assert log.what_if is not None

    assert np.array_equal(log.what_if.score.argmax(axis=1), log.cluster[log.what_if.step])
    assert np.array_equal(log.what_if.step, np.flatnonzero(log.c1 >= 0))
    assert log.what_if.takes(log.cluster[log.what_if.step]).all()


def test_the_answer_to_what_if_is_what_the_exposed_would_do_with_the_same_noise() -> None:
    """The first recommendation that a user gets has the history that was without it, so its answer has to come true."""
    plain = simulate(SMALL, what_if=True)
    answers = _answers(8)
    exposed = simulate(SMALL, served=lambda _: answers)
    assert plain.what_if is not None
    # Until their first told step, both worlds of a user are one.
    first = _first_told(exposed.user, exposed.shown)
    rows = np.searchsorted(plain.what_if.step, first)
    told = exposed.shown[first]
    recommended = np.zeros(len(plain.what_if.step), dtype=np.int64)
    recommended[rows] = told

    took = exposed.cluster[first] == told
    assert np.array_equal(plain.what_if.takes(recommended)[rows], took)
    assert took.mean() == pytest.approx(plain.what_if.p()[rows, told].mean(), abs=4 * np.sqrt(0.25 / len(first)))
    assert took.mean() > (plain.cluster[first] == told).mean() + 0.05


def test_who_is_not_exposed_is_told_nothing() -> None:
    half = np.arange(200) % 2 == 0
    log = simulate(SMALL, served=lambda _: _answers(8), exposed=half)
    plain = simulate(SMALL)

    assert (log.shown[~half[log.user]] == -1).all()
    assert np.array_equal(log.cluster[~half[log.user]], plain.cluster[~half[plain.user]])


def test_daily_triples_are_those_of_the_sequences() -> None:
    log = simulate(SMALL)
    triples = [
        (int(a), int(b), int(c))
        for user in np.unique(log.user)
        for (a, b), (_, c) in pairwise(pairwise(log.cluster[log.user == user]))
        if a != c
    ]
    assert int(log.daily().sum()) == len(triples)
    assert int(log.daily()[:, 0, 2].sum()) == triples.count((0, 1, 2))


def _answers(size: int) -> Ints:
    c1, c2 = np.divmod(np.arange(size * (size - 1)), size - 1)
    c2 = c2 + (c2 >= c1)
    return np.array([next(c for c in range(size) if c not in (a, b)) for a, b in zip(c1, c2, strict=True)])


def _first_told(user: Ints, shown: Ints) -> Ints:
    told = np.flatnonzero(shown >= 0)
    return told[np.unique(user[told], return_index=True)[1]]
