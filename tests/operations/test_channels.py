from typing import cast

import pytest

from driftline.operations import channels
from driftline.operations.context import Context

NOBODY = cast(Context, None)
"""Refused before anything is asked of Postgres."""


@pytest.mark.parametrize(
    ("actor", "reason", "said"),
    [
        ("   ", "", "name"),
        ("a\u0000b", "", "name"),
        ("a\x1b[2J", "", "name"),
        ("x" * 201, "", "name"),
        ("ada", "two\nlines", "reason"),
    ],
)
def test_a_channel_is_moved_under_a_printable_name_only(actor: str, reason: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"the {said} of whoever moves a channel"):
        channels.publish(NOBODY, 1, None, actor, reason=reason)
    with pytest.raises(ValueError, match=f"the {said} of whoever moves a channel"):
        channels.roll_back(NOBODY, None, None, actor, reason=reason)
