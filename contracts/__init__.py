"""The dataclasses that cross a workflow or activity boundary: ids, hashes, URIs and small numbers only.

Names are found where they are asked for: a command that only reads loads the knobs, and none of what runs tell each other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftline.contracts.cadence import *
    from driftline.contracts.errors import *
    from driftline.contracts.experiments import *
    from driftline.contracts.jobs import *
    from driftline.contracts.knobs import *
    from driftline.contracts.knobs.cadence import *
    from driftline.contracts.knobs.experiments import *
    from driftline.contracts.knobs.notifications import *
    from driftline.contracts.knobs.recommenders import *
    from driftline.contracts.lines import *
    from driftline.contracts.notifications import *
    from driftline.contracts.recommenders import *
    from driftline.contracts.reviews import *
    from driftline.contracts.runs import *
    from driftline.contracts.steps import *
    from driftline.contracts.versions import *

MODULES = (
    *("errors", "lines", "knobs", "knobs.cadence", "knobs.experiments", "knobs.notifications", "knobs.recommenders"),
    *("versions", "reviews", "steps", "runs", "jobs", "recommenders", "experiments", "notifications", "cadence"),
)
"""Each of them loads only some that are before it."""


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        for module in MODULES:
            found = vars(import_module(f"{__name__}.{module}"))
            if name in found:
                return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
