"""The minimum detectable effect: what an experiment of this size would find, if it is there."""

import numpy as np
from scipy.special import ndtri

from driftline.interests.experiments.difference import unit_variance
from driftline.interests.experiments.intervals import ALPHA, always_valid
from driftline.interests.experiments.moments import Floats, Moments

POWER = 0.8


def detectable(
    users: Moments, control: float, treatment: float, sequential: float | None = None, alpha: float = ALPHA, power: float = POWER
) -> Floats:
    """The smallest relative difference that is detected with this power, of as many users who behave as these do; NaN: unknown.

    Args:
        users: of days before the experiment.
        control, treatment: weights of the arms among all users.
        sequential: plan for an interval that is valid every day, narrowest at so many users; None: for one look at the end.
    """
    total = control + treatment
    value, variance = unit_variance(users)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(variance / users.n * (total / control + total / treatment)) / np.abs(value)
        look = -ndtri(alpha / 2) if sequential is None else always_valid(users.n, sequential, alpha)
        found = (look + -ndtri(1 - power)) * error
        return np.asarray(np.where(found < 1, found / (1 - found), np.nan))  # what grows by a factor scatters as much more
