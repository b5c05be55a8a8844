"""What a job costs over all of its attempts. Each keeps an account in the job's folder, so that a killed one counts as well."""

import json
import shutil
import time
import uuid
from pathlib import Path

import torch

from driftline.contracts import Cost
from driftline.engines import child
from driftline.system.files import atomic_file

EVERY = 1.0  # seconds between two entries: the most that a kill hides


class Account:
    """Adds up tokens and seconds of a job, the start of the process and the loading of the model included.

    Args:
        folder: of this job's accounts and nothing else.
        alone: False for a process that shares the job with another one, whose wall time is the job's.
    """

    def __init__(self, folder: Path, alone: bool = True) -> None:
        self.tokens = 0
        self._folder = folder
        self._file = folder / f"{uuid.uuid4().hex}.json"
        self._cpu, self._wall = child.began()
        self._alone = alone
        self.close()  # the start alone, with its imports, may cost more than the work before the first entry

    def enter(self) -> None:
        """Keeps what was spent up to now; called after every piece of work, it writes once a second."""
        if time.monotonic() - self._entered >= EVERY:
            self.close()

    def close(self) -> None:
        """Keeps what was spent up to now."""
        self._entered = time.monotonic()
        wall = self._entered - self._wall
        spent = {
            "tokens": self.tokens,
            "cpu_seconds": time.process_time() - self._cpu,
            "gpu_seconds": wall if torch.cuda.is_initialized() else 0.0,
            "wall_seconds": wall if self._alone else 0.0,
        }
        with atomic_file(self._file) as aside:
            aside.write_text(json.dumps(spent))

    def total(self) -> Cost:
        """The sum over all attempts, this one included."""
        self.close()
        attempts = [json.loads(path.read_text()) for path in sorted(self._folder.glob("*.json"))]
        sums = {name: sum(attempt[name] for attempt in attempts) for name in attempts[0]}
        return Cost(**{name: round(value, 2) for name, value in sums.items()})

    def clear(self) -> None:
        """Removes the accounts of all attempts."""
        shutil.rmtree(self._folder)
