"""How a measured result is stored: JSON with a format number, so that tomorrow's code reads what was written today.

Format 1 (results without a number) names arms by their English labels. Format 2 names them by ids, which never change: SQL and
dashboards go by them. Format 3 has `with_line` for `told`, pairs with a retrieved line. A field that is added to a result needs a
default; another change of shape is another format here, and `tests/db/results/` keeps one stored result of each kind and format.
"""

import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from driftline.contracts import MeasurementKind
from driftline.interests.metrics.answers import AnswersCompared
from driftline.interests.metrics.arms import arm_id, arm_label
from driftline.interests.metrics.drift import Drift
from driftline.interests.metrics.hits import HitRates
from driftline.interests.metrics.policy import Policy
from driftline.interests.metrics.quality import Quality
from driftline.interests.metrics.staleness import Staleness
from driftline.interests.naming import Named

FORMAT = 3

NAMED = {"arms", "recalls"}
COMPARED = {"differences", "recall_differences", "uptake_differences"}

Result = Drift | Staleness | HitRates | AnswersCompared | Quality | Named | Policy
RESULTS: dict[MeasurementKind, type[Result]] = {
    "drift": Drift,
    "staleness": Staleness,
    "refresh": HitRates,
    "retrieval": HitRates,
    "answers": AnswersCompared,
    "quality": Quality,
    "names": Named,
    "policy": Policy,
}


def dump(result: Result) -> dict[str, Any]:
    """A result as JSON values of the newest format.

    Raises:
        ValueError: a number is not finite.
    """
    raw: dict[str, Any] = TypeAdapter(type(result)).dump_python(result, mode="json")
    json.dumps(raw, allow_nan=False)
    return {"format": FORMAT, **_rename(raw, arm_id)}


def load(kind: MeasurementKind, raw: dict[str, Any]) -> Any:
    """A stored result of any format as the class that `RESULTS` names.

    Raises:
        RuntimeError: it was stored by a newer release.
    """
    stored = dict(raw)
    number = stored.pop("format", 1)
    if number > FORMAT:
        raise RuntimeError(f"a {kind} measurement has format {number}, this release reads up to {FORMAT}: update it")
    if number < 3 and "told" in stored:
        stored["with_line"] = stored.pop("told")
    return TypeAdapter(RESULTS[kind]).validate_python(_rename(stored, arm_label) if number > 1 else stored)


def _rename(raw: dict[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """The result with its arms named anew, wherever it names one."""
    renamed = dict(raw)
    for field in NAMED & raw.keys():
        renamed[field] = [{**arm, "name": rename(arm["name"])} for arm in raw[field]]
    for field in COMPARED & raw.keys():
        renamed[field] = [{**d, "a": rename(d["a"]), "b": rename(d["b"])} for d in raw[field]]
    if "frontiers" in raw:
        renamed["frontiers"] = [{**line, "arms": [rename(arm) for arm in line["arms"]]} for line in raw["frontiers"]]
    if "levels" in raw:
        renamed["levels"] = [_rename(level, rename) for level in raw["levels"]]
    if "hits" in raw:
        renamed["hits"] = _rename(raw["hits"], rename)
    return renamed
