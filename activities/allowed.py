"""What a worker may read: what its own settings name, or what a command of the home's owner has named there.

A run's input says which SQL, files, URLs and models to read, so that histories say it, too. But whoever reaches Temporal can
write an input. So every step that reads asks here first. An owner's command leaves a note in `allowed/` in the home for what its
settings name (`--set` included); a worker that shares the home finds it there. Elsewhere the worker's own settings decide: they
are read afresh, so that a worker needs no restart.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from driftline.contracts import BadInput, Counting, Experiment, Source
from driftline.settings import Settings
from driftline.system.files import atomic_file

Kind = Literal["source", "counting.engine", "model", "experiment"]

HARMLESS: dict[Kind, set[str]] = {
    "source": set(),
    "counting.engine": {"duckdb"},
    "model": {"smollm2", "minilm"},
    "experiment": {"{}"},
}
"""What comes with Driftline."""


@dataclass(frozen=True)
class Allowed:
    home: Path

    def add(self, settings: Settings) -> None:
        """Leave a note for everything that these settings name. For the commands of the home's owner."""
        for kind, values in _named(settings).items():
            for value in values - HARMLESS[kind]:
                note = self._note(kind, value)
                if not note.exists():
                    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    with atomic_file(note) as aside:
                        aside.touch(mode=0o600)
                        aside.write_text(json.dumps({kind: value}, indent=2) + "\n")

    def check_source(self, source: Source, counting: Counting | None = None) -> None:
        """Refuses a log, or a database to count in, that this worker's settings do not name.

        Raises:
            BadInput: a run's input brought a log, or a database to count in, that nobody allowed. Not retried.
            RuntimeError: the worker's settings cannot be read.
        """
        self._check("source", _canonical(source))
        if counting is not None:
            self._check("counting.engine", counting.engine)

    def check_model(self, name: str) -> None:
        """The same of a base model or an embedding model."""
        self._check("model", name)

    def check_experiment(self, experiment: Experiment) -> None:
        """The same of an experiment's exposures, outcomes and metrics."""
        self._check("experiment", _canonical(experiment))

    def _check(self, kind: Kind, value: str) -> None:
        if value in HARMLESS[kind] or self._note(kind, value).exists():
            return
        try:
            ours = Settings()
        except ValueError as error:
            raise RuntimeError(f"whether this {kind} is allowed is unknown: the worker's settings are wrong: {error}") from None
        if value not in _named(ours)[kind]:
            raise BadInput(
                f"this {kind} is refused: it came with the run's input, and neither the worker's settings nor a `driftline` "
                f"command of {self.home} has named it; start the run there, or put it in the worker's driftline.toml"
            )

    def _note(self, kind: Kind, value: str) -> Path:
        return self.home / "allowed" / f"{kind}-{hashlib.sha256(value.encode()).hexdigest()[:32]}.json"


def _named(settings: Settings) -> dict[Kind, set[str]]:
    models = {settings.training.base_model, settings.clusters.embedding_model}
    return {
        "source": {_canonical(settings.source)},
        "counting.engine": {settings.counting.engine},
        "model": models,
        "experiment": {_canonical(settings.experiment)},
    }


def _canonical(knobs: Source | Experiment) -> str:
    """All that differs from the defaults, so that a field which is added later changes no note."""
    default = type(knobs)()
    changed = {name: value for name, value in dataclasses.asdict(knobs).items() if value != getattr(default, name)}
    return json.dumps(changed, sort_keys=True, default=str)
