"""What has moved, beyond what users differ by: by hand, against the truth of drawn users, and how often it errs."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from driftline.interests.metrics import moved as module
from driftline.interests.metrics.moved import NOTHING, SIXTEENTHS, Crowds, compared, moved
from driftline.interests.metrics.significance import holm
from driftline.interests.pairs import pair_count, pairs

CLUSTERS = 8
Dense = NDArray[np.int64]


def crowds(n: Dense) -> Crowds:
    """Of occurrences [sixteenths, pairs, |C|]."""
    pair, c_next = np.nonzero(n.any(axis=0))
    return Crowds(pair.astype(np.int32), c_next.astype(np.int32), n[:, pair, c_next].astype(np.int32), n.sum(axis=(0, 1)))


def drawn(rng: np.random.Generator, interest: NDArray[np.float64], taste: NDArray[np.float64], volume: float) -> Crowds:
    """Everybody has a taste of their own, [users, 1, |C|], and keeps it; few have most of the occurrences."""
    users = len(taste)
    found = np.zeros((SIXTEENTHS, *interest.shape), dtype=np.int64)
    novel = np.ones(interest.shape, dtype=bool)
    for cluster in pairs(CLUSTERS):
        novel[np.arange(len(novel)), cluster] = False
    for user, activity in enumerate(np.random.default_rng(users).gamma(0.7, volume / 0.7, users)):
        p = np.where(novel, np.exp(interest + taste[user]), 0)
        n = rng.poisson(activity, len(p))
        found[user % SIXTEENTHS] += rng.multinomial(n, p / p.sum(axis=1, keepdims=True))
    return crowds(found)


def world(seed: int, moves: float, volumes: tuple[float, ...] = (0.4, 0.4, 0.4, 0.4), users: int = 120) -> list[Crowds]:
    rng = np.random.default_rng(seed)
    interest = rng.normal(size=(pair_count(CLUSTERS), CLUSTERS))
    taste = rng.normal(scale=0.7, size=(users, 1, CLUSTERS))
    windows = []
    for volume in volumes:
        windows.append(drawn(rng, interest, taste, volume))
        interest = interest + rng.normal(scale=moves, size=interest.shape)
    return windows


def test_by_hand() -> None:
    """Every sixteenth shows (0, 1) twice, followed by 2 and then, a window later, by 3: of four clusters two are novel. Nothing
    of the distance from a uniform choice is left: distance 2, structures ½ and ½."""
    one, other = (np.zeros((SIXTEENTHS, pair_count(4), 4), dtype=np.int64) for _ in range(2))
    one[:, 0, 2] = other[:, 0, 3] = 2
    found = moved([crowds(one), crowds(other)], 1, 5)

    assert found["frequency"].share.value == pytest.approx(2.0)
    assert found["frequency"].p == pytest.approx(2 / 2 ** (SIXTEENTHS - 1), rel=1)
    assert found["frequency"].share.n == SIXTEENTHS
    same = moved([crowds(one), crowds(one)], 1, 5)
    assert same["frequency"].share.value == pytest.approx(0.0)
    assert same["frequency"].p > 0.5


@pytest.mark.long
def test_where_nothing_moves_one_log_in_twenty_is_called_moving() -> None:
    """Sixty logs, three lags each, looked at together. Neither unequal windows nor unequal users are drift."""
    called, shares = {"frequency": 0, "lift": 0}, []
    for seed in range(60):
        windows = world(seed, 0, (0.2, 0.4, 0.6, 0.8))
        found = [moved(windows, lag, 5) for lag in (1, 2, 3)]
        for ranking in called:
            called[ranking] += any(holm([of[ranking].p for of in found]))  # type: ignore[index]
        shares.append([of["frequency"].share.value or 0 for of in found])

    # 5 % of 60, and three standard errors.
    assert max(called.values()) <= 3 + 3 * np.sqrt(60 * 0.05 * 0.95)
    assert np.abs(np.mean(shares, axis=0)).max() < 0.005


def test_what_moves_is_found_and_its_size_is_known() -> None:
    """Logits of variance 1 that take a step of variance v are correlated by 1 / sqrt(1 + v) afterwards."""
    shares = []
    for seed in range(5):
        found = moved(world(seed, 0.5), 1, 5)
        assert found["frequency"].p < 0.01
        assert found["lift"].p < 0.01
        assert found["frequency"].share.low is not None
        assert found["frequency"].share.low > 0.02
        shares.append(found["frequency"].share.value or 0)
    assert np.mean(shares) == pytest.approx(1 - 1 / np.sqrt(1.25), abs=0.035)


def test_a_change_of_popularity_is_less_by_lift() -> None:
    rng = np.random.default_rng(1)
    interest = rng.normal(size=(pair_count(CLUSTERS), CLUSTERS))
    taste = rng.normal(scale=0.5, size=(160, 1, CLUSTERS))
    later = interest + rng.normal(size=CLUSTERS)
    found = moved([drawn(rng, interest, taste, 0.5), drawn(rng, later, taste, 0.5)], 1, 5)

    assert found["lift"].share.value is not None
    assert found["frequency"].share.value is not None
    assert found["lift"].share.value < 0.6 * found["frequency"].share.value


def test_one_user_who_changes_is_noise() -> None:
    """One sixteenth has half of all occurrences and turns round; the other fifteen stay."""
    rng = np.random.default_rng(2)
    n = rng.poisson(rng.gamma(1.0, 3.0, (pair_count(CLUSTERS), CLUSTERS)), (SIXTEENTHS, pair_count(CLUSTERS), CLUSTERS))
    for cluster in pairs(CLUSTERS):
        n[:, np.arange(n.shape[1]), cluster] = 0
    one, other = n.copy(), n.copy()
    one[0] *= 15
    other[0] = one[0][:, ::-1] * (n[0] > 0)
    found = moved([crowds(one), crowds(other)], 1, 5)
    assert found["frequency"].p > 0.05


def test_too_few_users_are_not_measured() -> None:
    few = [replace(window, n=window.n * (np.arange(SIXTEENTHS) < 2)[:, None]) for window in world(0, 0)]
    assert moved(few, 1, 5)["frequency"] == NOTHING
    assert moved([], 1, 5)["lift"] == NOTHING
    assert moved(world(0, 0), 1, 10**6)["frequency"] == NOTHING
    assert not NOTHING.share.enough


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = world(3, 0.3)
    before = moved(windows, 1, 5)
    monkeypatch.setattr(module, "CELLS", 16 * CLUSTERS * 5)
    after = moved(windows, 1, 5)
    assert after["lift"].share.value == pytest.approx(before["lift"].share.value)
    assert after["lift"].p == pytest.approx(before["lift"].p, abs=1e-3)


def test_of_many_pairs_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS", 10)
    assert compared(CLUSTERS).sum() == 10
    monkeypatch.setattr(module, "PAIRS", 100)
    assert compared(CLUSTERS).all()
