"""What this worker's children compute with: asked of a child once, because the worker itself loads no torch."""

from pathlib import Path

from pydantic import TypeAdapter

from driftline.activities.child import run_child
from driftline.activities.resources import Resources
from driftline.contracts import Computed, ResolveJob
from driftline.contracts.knobs import Precision

_computed = TypeAdapter(Computed)
FILE = "computed.json"
_known: dict[tuple[str, str], Computed] = {}


async def resolve(resources: Resources, engine: str, precision: Precision) -> Computed:
    """Resolves the engine's precision, device and versions on this machine; `precision` is the knob (`auto`, too)."""
    if (engine, precision) not in _known:
        with resources.artifacts.folder() as work:
            job = ResolveJob(engine, precision, str(work / FILE))
            await run_child("driftline.engines.machine", job, work, resources.home, resources.children)
            _known[engine, precision] = _computed.validate_json((work / FILE).read_bytes())
    return _known[engine, precision]


def read(folder: Path) -> Computed | None:
    """Reads what made a child's folder (`Computed`); None where it was made before that was kept."""
    path = folder / FILE
    return _computed.validate_json(path.read_bytes()) if path.exists() else None


def forget() -> None:
    """Ask again the next time: a child found the machine other than it was."""
    _known.clear()
