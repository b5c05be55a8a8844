"""Knobs of notifications: who is told of what."""

import re
from datetime import timedelta
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import STRICT, Share

Level = Literal["info", "warning", "failure"]
LEVELS: tuple[Level, ...] = get_args(Level)

Event = Literal[
    "review_opened",
    "review_reminder",
    "review_expires",
    "published",
    "superseded",
    "revoked",
    "aborted",
    "expired",
    "run_failed",
    "start_skipped",
    "start_missed",
    "table_old",
    "drift",
    "unknown_items",
    "guardrail_worse",
    "sample_ratio_mismatch",
    "test",
]
"""The words of `Outcome` are ends of runs."""

_urgent: dict[Event, Level] = {
    "review_opened": "warning",
    "review_reminder": "warning",
    "review_expires": "failure",
    "expired": "failure",
    "run_failed": "failure",
    "start_skipped": "warning",
    "start_missed": "warning",
    "table_old": "failure",
    "drift": "warning",
    "unknown_items": "warning",
    "guardrail_worse": "failure",
    "sample_ratio_mismatch": "failure",
}


def level_of(event: Event) -> Level:
    return _urgent.get(event, "info")


def _variable(url: str) -> str:
    """The message does not repeat what was written: it may be the secret."""
    if not re.fullmatch(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", url):
        raise ValueError(
            "must be `${NAME}`, the variable that holds the address in the environment of the workers of role `notify`: "
            "an address is a secret and stands in no file"
        )
    return url


@dataclass(frozen=True, config=STRICT)
class Target:
    """Where notifications are sent, and which. An empty tuple means all."""

    url: Annotated[str, AfterValidator(_variable)]
    """`${NAME}`: the environment variable with Apprise's URL; several URLs with blanks between them."""
    level: Level = "info"
    """The least urgent that it hears of."""
    events: tuple[Event, ...] = ()
    tags: tuple[str, ...] = ()
    """Only of these channels and kinds of runs (`fine_tune`, `rag`); what is about neither is heard all the same."""

    @property
    def variable(self) -> str:
        return self.url[2:-1]

    def hears(self, event: Event, tags: tuple[str, ...]) -> bool:
        if event == "test":
            return True
        wanted = not self.events or event in self.events
        urgent = LEVELS.index(level_of(event)) >= LEVELS.index(self.level)
        return wanted and urgent and (not self.tags or not tags or bool({*self.tags} & {*tags}))


TargetName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


@dataclass(frozen=True, config=STRICT)
class Notify:
    """Notifications: their targets and thresholds (docs/monitoring.md). The settings of the workers of role `notify` count."""

    targets: dict[TargetName, Target] = Field(default_factory=dict)
    """By name, e.g. `[notify.targets.ops]` with `url = "${OPS_URL}"`, `level`, `events` and `tags`. Empty: nobody is told."""
    table_age: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(days=7)
    """How old a served table's nominal time may be; told again whenever as much time has passed."""
    unknown_share: Share = 0.05
    """Share of the positive events of a window whose item has no cluster from which on it is told."""
    every: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=1)
    """How often it is looked for what no run says: served tables too old, starts skipped, reviews about to expire."""
