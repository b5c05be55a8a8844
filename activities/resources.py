"""What every activity is given once, when its worker starts."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from activities.allowed import Allowed
from activities.artifacts import Artifacts


@dataclass(frozen=True)
class Resources:
    """
    Attributes:
        engine: connections to Postgres.
        home: the state folder; workers that share runs must share it.
    """

    engine: Engine
    home: Path

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.home / "artifacts")

    @property
    def allowed(self) -> Allowed:
        return Allowed(self.home)

    def work(self, step: str, key: str) -> Path:
        """The folder in which a step keeps what it has finished so far. The same key finds it again after a crash."""
        path = self.home / "work" / f"{step}-{key}"
        path.mkdir(parents=True, exist_ok=True)
        return path
