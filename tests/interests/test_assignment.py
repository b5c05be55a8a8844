from collections import Counter

import pytest
from scipy.stats import chisquare, contingency

from driftline.interests.assignment import channel_of, share

USERS = [f"user-{number}" for number in range(20_000)]


def test_a_user_stays_where_the_hash_says() -> None:
    """Written down: another release must not move anybody."""
    weights = {"default": 0.9, "treatment": 0.1}
    assert [channel_of(user, weights, "2026-11") for user in ("ada", "ben", "jürgen", "", "jürgen")] == [
        "default",
        "default",
        "treatment",
        "default",
        "treatment",
    ]


def test_channels_get_their_weights() -> None:
    weights = {"default": 7.0, "off": 0.0, "treatment": 2.0, "other": 1.0}
    found = Counter(channel_of(user, weights, "salt") for user in USERS)
    assert set(found) == {"default", "treatment", "other"}
    observed = [found[name] for name in ("default", "treatment", "other")]
    assert chisquare(observed, [len(USERS) * part for part in (0.7, 0.2, 0.1)]).pvalue > 0.001


def test_another_salt_is_another_experiment() -> None:
    weights = {"a": 1.0, "b": 1.0}
    both = Counter((channel_of(user, weights, "one"), channel_of(user, weights, "two")) for user in USERS)
    table = [[both[first, second] for second in "ab"] for first in "ab"]
    assert contingency.chi2_contingency(table).pvalue > 0.001


def test_more_weight_moves_nobody_else() -> None:
    small = {user for user in USERS if channel_of(user, {"default": 0.9, "treatment": 0.1}, "s") == "treatment"}
    large = {user for user in USERS if channel_of(user, {"default": 0.7, "treatment": 0.3}, "s") == "treatment"}
    assert small < large


@pytest.mark.parametrize("user", USERS[:50])
def test_shares_are_below_one(user: str) -> None:
    assert 0 <= share(user, "x") < 1
