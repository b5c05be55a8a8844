"""What every activity is given once, when its worker starts."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from driftline.activities.allowed import Allowed
from driftline.activities.artifacts import Artifacts, LocalArtifacts
from driftline.contracts import Children, Gates, Notify


@dataclass(frozen=True)
class Resources:
    """What the activities of this worker share: connections, folders and settings.

    Attributes:
        engine: connections to Postgres.
        home: the state folder; workers that share runs must share it.
        gates: who may decide on a candidate, by the settings of this worker.
        notify: whom to tell what, by the settings of this worker.
        web_url: where browsers find the page; empty: where `driftline up` has started it, if it has.
        children: how this worker keeps its child processes.
        principals: whether the sender's name that Temporal stamps on events is believed. The embedded server asks nobody for a
            login, and whoever reaches its inner ports writes any name there.
        store: where artifacts are kept, by the settings of this worker; empty: in the home.
    """

    engine: Engine
    home: Path
    gates: Gates = field(default_factory=Gates)
    notify: Notify = field(default_factory=Notify)
    web_url: str = ""
    children: Children = field(default_factory=Children)
    principals: bool = False
    store: str = ""

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def artifacts(self) -> Artifacts:
        return artifacts_of(self._present(), self.store)

    @property
    def allowed(self) -> Allowed:
        return Allowed(self._present())

    def work(self, step: str, key: str) -> Path:
        """The folder in which a step keeps what it has finished so far. The same key finds it again after a crash."""
        path = self._present() / "work" / f"{step}-{key}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _present(self) -> Path:
        """Checks that the home is there. One that is gone is not made anew: what a worker wrote there would not be in the one
        that comes back.

        Raises:
            FileNotFoundError: it is gone; another attempt may find it again.
        """
        if not self.home.is_dir():
            raise FileNotFoundError(f"the home {self.home} is gone: bring it back, and the run goes on")
        return self.home


def artifacts_of(home: Path, store: str) -> Artifacts:
    """Where the artifacts of a home are: in it, or at the address of a store."""
    if not store:
        return LocalArtifacts(home / "artifacts")
    from driftline.activities.remote import RemoteArtifacts

    return RemoteArtifacts(store.rstrip("/"), home / "cache" / "artifacts")
