"""One frozen `Settings`, read once at the edge: `driftline.toml` in the working directory, overridden by `DRIFTLINE_*`.

Nested values are reached with two underscores, e.g. `DRIFTLINE_TRAINING__STEPS=1`. Where state lives is `DRIFTLINE_HOME`; a
`driftline.toml` in there (the demo leaves one) is read where the working directory has none.
"""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from driftline.contracts import (
    QUERY,
    Cadence,
    Children,
    Clusters,
    Counting,
    Experiment,
    Gates,
    Generation,
    Measures,
    Name,
    Notify,
    Recommender,
    Retrieval,
    Samples,
    Sequences,
    Source,
    Training,
)
from driftline.settings.dashboards import Dashboards
from driftline.settings.file import SECRETS, Toml, problems, settings_file
from driftline.settings.retention import Retention
from driftline.settings.serving import Serving
from driftline.settings.updates import FineTuneWindows, RagRefreshWindows, Schedule
from driftline.settings.web import Web

__all__ = ["SECRETS", "Dashboards", "Retention", "Schedule", "Serving", "Settings", "Web", "problems", "settings_file"]


class Settings(BaseSettings):
    """Everything an engineer can set. Unknown keys are an error, so that a typo is not a default."""

    model_config = SettingsConfigDict(
        env_prefix="DRIFTLINE_", env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    home: Path = Path(".driftline")
    """Artifacts, logs and the embedded servers' state."""
    artifacts: Annotated[str, Field(pattern=r"^$|^[a-z][a-z0-9+]*://[^?#@]+$")] = ""
    """Where artifacts are kept, as fsspec writes it, e.g. `s3://bucket/driftline`: workers then need no shared file
    system. Empty: in the home, which all workers must share."""
    postgres_url: str = Field(default="", repr=False)
    """Empty: the embedded Postgres."""
    temporal_address: str = ""
    """Empty: the embedded Temporal."""
    temporal_namespace: Name = "default"
    """Temporal's namespace. `driftline up` makes it where it is missing."""
    temporal_tls: bool = False
    """An API key implies it."""
    temporal_api_key: str = Field(default="", repr=False)
    """For Temporal Cloud; better in the environment than in a file."""
    temporal_profile: str = ""
    """Profile of Temporal's own client configuration (`temporal.toml`, `TEMPORAL_*`): address, namespace, client certificate,
    private CA, API key. What is set here goes before."""
    temporal_keys: Path | None = None
    """File of keys that encrypt what Temporal stores: a line `id key` each, the key 32 bytes in base64. The first encrypts, all
    decrypt."""
    temporal_accept_plain: bool = False
    """With `temporal_keys`: also take what is not encrypted, while runs of before go on."""
    temporal_versioning: bool = False
    """Workers register as a version of the deployment `driftline`, to be made the current one; runs go on with the newest."""
    temporal_ui: str = ""
    """Where Temporal's web UI is, for the links that the command line prints."""
    metrics_host: Name = "127.0.0.1"
    """Where the worker's metrics port listens."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Prometheus port of a worker; 0 takes a free one."""
    drain: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=1))] = timedelta(seconds=30)
    """How long a worker that was asked to stop lets its activities finish."""
    channel: Name = "default"
    """The channel that runs publish on, and that `lookup` and `tables` read."""

    source: Source = Source()
    clusters: Clusters = Clusters()
    sequences: Sequences = Sequences()
    counting: Counting = Counting()
    samples: Samples = Samples()
    training: Training = Training()
    retrieval: Retrieval = Retrieval()
    generation: Generation = Generation()
    gates: Gates = Gates()
    children: Children = Children()
    fine_tune: FineTuneWindows = FineTuneWindows()
    rag_refresh: RagRefreshWindows = RagRefreshWindows()
    measures: Measures = Measures()
    recommender: Recommender = Recommender()
    schedule: Schedule = Schedule()
    cadence: Cadence = Cadence()
    retention: Retention = Retention()
    web: Web = Web()
    serving: Serving = Serving()
    notify: Notify = Notify()
    dashboards: Dashboards = Dashboards()
    experiment: Experiment = Experiment()

    def temporal(self) -> dict[str, Any]:
        """Arguments of Temporal's `Client.connect`."""
        arguments: dict[str, Any] = {"target_host": self.temporal_address, "namespace": self.temporal_namespace}
        if self.temporal_profile:
            arguments |= _profile(self.temporal_profile)
        for field, argument in (("temporal_address", "target_host"), ("temporal_namespace", "namespace")):
            if field in self.model_fields_set:
                arguments[argument] = getattr(self, field)
        if self.temporal_api_key:
            arguments |= {"api_key": self.temporal_api_key}
            arguments.setdefault("tls", True)
        if self.temporal_tls:
            arguments.setdefault("tls", True)
        return arguments

    @model_validator(mode="before")
    @classmethod
    def _address_of_profile(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Fills in a profile's address, so that its server is not taken for the embedded one."""
        if values.get("temporal_profile") and not values.get("temporal_address"):
            return values | {"temporal_address": _profile(values["temporal_profile"]).get("target_host", "")}
        return values

    @model_validator(mode="after")
    def _blend_has_scores(self) -> "Settings":
        for name, update in (("fine_tune", self.fine_tune), ("rag_refresh", self.rag_refresh)):
            if update.answers == "blend" and self.generation.engine == "vllm":
                raise ValueError(f'{name}.answers "blend" needs scores, which vLLM does not give: set generation.engine = "trie"')
        return self

    @field_validator("home")
    @classmethod
    def _a_folder(cls, home: Path) -> Path:
        if home == Path() or (home.exists() and not home.is_dir()):
            raise ValueError(f"{str(home)!r} is no folder: name another, or remove what lies there")
        return home

    @field_validator("source")
    @classmethod
    def _absolute_files(cls, source: Source) -> Source:
        """Makes paths of files absolute: a worker may run elsewhere than the command that reads the file."""
        return replace(source, events=_located(source.events), items=_located(source.items))

    @field_validator("experiment")
    @classmethod
    def _absolute_exposures(cls, experiment: Experiment) -> Experiment:
        return replace(experiment, exposures=_located(experiment.exposures), outcomes=_located(experiment.outcomes))

    @field_validator("training")
    @classmethod
    def _absolute_base_model(cls, training: Training) -> Training:
        return replace(training, base_model=_folder(training.base_model))

    @field_validator("clusters")
    @classmethod
    def _absolute_embedding_model(cls, clusters: Clusters) -> Clusters:
        return replace(clusters, embedding_model=_folder(clusters.embedding_model))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, Toml(settings_cls, settings_file())


def _profile(name: str) -> dict[str, Any]:
    """Reads the arguments of `Client.connect` from a profile of Temporal's client configuration.

    Raises:
        ValueError: there is no such profile, or it is wrong.
    """
    from temporalio.envconfig import ClientConfigProfile

    try:
        return dict(ClientConfigProfile.load(name).to_client_connect_config())
    except RuntimeError as error:
        raise ValueError(f"temporal_profile = {name!r}: {error}") from None


def _folder(model: str) -> str:
    """A model's folder made absolute; a hub name as it is."""
    path = Path(model).expanduser()
    return str(path.absolute()) if path.is_dir() else model


def _located(where: str) -> str:
    """A relative path made absolute; queries and URIs as they are."""
    if not where or QUERY.match(where) or re.match(r"[a-z][a-z0-9+.-]*://", where, re.IGNORECASE):
        return where
    return str(Path(where).expanduser().absolute())
