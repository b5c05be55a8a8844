import numpy as np
import pytest
from scipy.stats import norm

from driftline.interests.metrics.estimates import Estimate
from driftline.interests.metrics.significance import detected, p_value

Z = norm.isf(0.025)


def at(z: float, n: int = 100) -> Estimate:
    """An estimate that lies z standard errors above 0."""
    return Estimate(z, z - Z, z + Z, n)


def test_p_values_are_those_of_a_normal_distribution() -> None:
    assert p_value(at(Z)) == pytest.approx(0.05)
    assert p_value(at(-3)) == pytest.approx(2 * norm.sf(3))
    assert p_value(Estimate(0.5, None, None, 1)) is None
    assert p_value(Estimate(0.5, 0.5, 0.5, 50)) == 0
    assert p_value(Estimate(0.0, 0.0, 0.0, 50)) == 1


def test_holm_by_hand() -> None:
    """p = 0.001, 0.02, 0.04 lie below 0.05 / 3, 0.05 / 2 and 0.05. With 0.03 in the middle the test ends there."""
    z = {p: float(norm.isf(p / 2)) for p in (0.001, 0.02, 0.03, 0.04)}

    assert detected([at(z[0.04]), at(z[0.001]), at(-z[0.02])]) == (True, True, True)
    assert detected([at(z[0.04]), at(z[0.001]), at(z[0.03])]) == (False, True, False)
    assert detected([at(z[0.04])]) == (True,)
    assert detected([]) == ()


def test_estimates_of_few_units_count_for_nothing() -> None:
    p = float(norm.isf(0.04 / 2))
    assert detected([at(p), at(9, n=9), Estimate(None, None, None, 0)]) == (True, False, False)


def test_of_many_families_of_zeros_one_in_twenty_is_called_anything() -> None:
    families = np.random.default_rng(0).normal(size=(2000, 5))
    wrong = sum(any(detected([at(z) for z in family])) for family in families) / len(families)
    one_by_one = (np.abs(families) > Z).any(axis=1).mean()

    assert wrong <= 0.065
    assert one_by_one > 0.2  # what the family of tests is there to prevent
