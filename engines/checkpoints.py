"""Checkpoints of a training run. The newest complete one is the truth; anything half-written or damaged is passed over."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from driftline.system.files import atomic_folder, sha256

KEEP = 2
STATE, MANIFEST = "state.pt", "manifest.json"


def save(work: Path, step: int, run: str, state: dict[str, Any]) -> None:
    """Writes the state after `step` steps of `run` (a hash of its inputs) at once, then removes all but the newest ones."""
    with atomic_folder(work / f"step-{step:08d}") as aside:
        packed = io.BytesIO()  # torch's own writer says of a full disk only that a position is unexpected
        torch.save(state, packed)
        (aside / STATE).write_bytes(packed.getbuffer())
        manifest = {"step": step, "run": run, "sha256": sha256(aside / STATE)}
        (aside / MANIFEST).write_text(json.dumps(manifest))
    for old in _newest_first(work)[KEEP:]:
        shutil.rmtree(old)


def clear(work: Path) -> None:
    """Removes all checkpoints, half-written ones too."""
    for folder in [*work.glob("step-*"), *work.glob(".step-*")]:
        shutil.rmtree(folder)


def newest(work: Path, run: str, tidy: bool = True) -> dict[str, Any] | None:
    """The state of the newest complete checkpoint of this very run, or None. Its tensors are on the CPU, wherever they were.

    Args:
        tidy: remove what a killed writer left half-written; one of several processes does.
    """
    for aside in work.glob(".step-*") if tidy else ():
        shutil.rmtree(aside)
    for folder in _newest_first(work):
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            data = (folder / STATE).read_bytes()
        except (OSError, ValueError):
            continue
        if manifest.get("run") == run and manifest.get("sha256") == sha256(folder / STATE):
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return None


def _newest_first(work: Path) -> list[Path]:
    return sorted(work.glob("step-*"), reverse=True)
