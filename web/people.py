"""Who somebody is, and what they may do: viewers look, reviewers also give verdicts, operators also move channels."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from driftline.contracts import KnownBy
from driftline.settings import Web

Role = Literal["viewer", "reviewer", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "reviewer", "operator")
"""Each may do what those before it may."""
EVERYBODY = "*"


@dataclass(frozen=True)
class Person:
    """Somebody who has logged in; `role` is None where the settings name them nowhere."""

    name: str
    known_by: KnownBy
    role: Role | None

    def may(self, role: Role) -> bool:
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)


def person(name: str, groups: Collection[str], known_by: KnownBy, web: Web) -> Person:
    """Gives somebody the highest role in which the settings name them or a group of theirs; the owner of the home may do
    everything."""
    if known_by == "login":
        return Person(name, known_by, "operator")
    named: dict[Role, tuple[str, ...]] = {"viewer": web.viewers, "reviewer": web.reviewers, "operator": web.operators}
    held = [role for role in ROLES if _listed(name, groups, named[role])]
    return Person(name, known_by, held[-1] if held else None)


def _listed(name: str, groups: Collection[str], entries: tuple[str, ...]) -> bool:
    """A name that begins with @ is not taken for a group."""
    by_name = name in entries and not name.startswith("@")
    return EVERYBODY in entries or by_name or any(f"@{group}" in entries for group in groups)
