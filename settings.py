"""One frozen `Settings`, read once at the edge: `driftline.toml` in the working directory, overridden by `DRIFTLINE_*`.

Nested values are reached with two underscores, e.g. `DRIFTLINE_TRAINING__STEPS=1`. Where state lives is `DRIFTLINE_HOME`; a
`driftline.toml` in there (the demo leaves one) is read where the working directory has none.
"""

import dataclasses
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic.dataclasses import dataclass
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from driftline.contracts import (
    QUERY,
    STRICT,
    AnswersFrom,
    Cadence,
    Children,
    Clusters,
    Counting,
    Days,
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
    WholeDays,
    Windows,
)


@dataclass(frozen=True, config=STRICT)
class Update(Windows):
    """One of the two updates, and what its table is made of."""

    answers: AnswersFrom = "llm"

    @property
    def windows(self) -> Windows:
        """Where counts have a say, at least a fifth of the days choose."""
        fitted = self.validation_days or (0 if self.answers == "llm" else max(1, self.days // 5))
        return Windows(self.days, self.test_days, fitted)


@dataclass(frozen=True, config=STRICT)
class FineTuneWindows(Update):
    days: Days = 90
    """Days of log to learn from."""
    test_days: Days = 28
    """Days after them, up to the run's nominal time, that judge the candidate and are never learned from."""
    validation_days: Annotated[int, Field(ge=0, le=36_525)] = 14
    """The newest of `days`: they decide when training stops and which checkpoint is kept, and are never learned from. 0: none."""
    answers: AnswersFrom = "llm"
    """What its table is made of, as in `rag_refresh`; `counts` trains nothing."""


@dataclass(frozen=True, config=STRICT)
class RagRefreshWindows(Update):
    days: Days = 28
    """Days of log to retrieve from."""
    test_days: Days = 7
    """Days after them, up to the run's nominal time, that judge the candidate and are never retrieved from."""
    validation_days: Annotated[int, Field(ge=0, le=36_525)] = 0
    """The newest of `days`: nothing is retrieved from them, so that they can choose. 0: none; a fifth of `days`
    where `answers` is not `llm`."""
    answers: AnswersFrom = "llm"
    """What its table is made of. `llm`: the LLM's greedy answers, as in the paper. `counts`: the pair's own counts where there
    are enough, else the successors of both interests; no model and no LLM is needed. `blend`: the likeliest answer under both;
    its weights, fitted on the validation window, say whether the LLM knows what counting does not."""


@dataclass(frozen=True, config=STRICT)
class Schedule:
    """When the two updates start by themselves (UTC)."""

    fine_tune_day: int = Field(default=1, ge=1, le=28)
    """Day of the month."""
    rag_refresh_every: WholeDays = timedelta(days=2)
    """Time between two starts, counted from 1970. Whole days; see the note below."""
    hour: int = Field(default=3, ge=0, le=23)
    """Hour (UTC) at which both updates start. A run's data ends at the midnight before, so that late events arrive."""
    recommender: bool = False
    """Also train the sequence recommender, on the day of the fine-tune."""
    catchup: Annotated[timedelta, Field(ge=timedelta(seconds=10), le=timedelta(days=365))] = timedelta(days=2)
    """How late a start that was missed (Temporal was down) is still made up for."""


@dataclass(frozen=True, config=STRICT)
class Retention:
    """What `driftline prune` keeps beside what something needs."""

    days: Annotated[int, Field(ge=7, le=36_525)] = 30
    """Everything of the last so many days; a channel can go back to every table that it served in them."""


@dataclass(frozen=True, config=STRICT)
class Web:
    """The page for the people who decide (docs/web.md)."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: int = Field(default=8244, ge=0, le=65_535)
    """Its port; 0 takes a free one. `driftline up` takes another one where this one is taken."""
    url: str = ""
    """Where browsers find it, e.g. `https://driftline.example.com`; other host names are refused. Empty: only by
    the names of this machine itself."""
    login: Literal["token", "proxy", "oidc"] = "token"
    """How people are known: by a link of `driftline web open`, by a header of a proxy, or by OpenID Connect."""
    viewers: tuple[str, ...] = ()
    """Who may look: names, `@group`, or `*` for whoever can log in. The owner of a token may do everything."""
    reviewers: tuple[str, ...] = ()
    """Who may look and give verdicts."""
    operators: tuple[str, ...] = ()
    """Who may look, give verdicts and move channels."""
    two_persons: bool = False
    """Approving against a failed gate takes two people."""
    session: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(hours=12)
    """How long a login lasts."""
    proxies: tuple[str, ...] = ()
    """Proxy: addresses or networks whose header is believed, e.g. `10.0.0.7` or `10.0.0.0/28`; all others are refused."""
    user_header: str = "X-Forwarded-User"
    """Proxy: header with the name of who logged in. The proxy has to remove it from what browsers send."""
    groups_header: str = "X-Forwarded-Groups"
    """Proxy: header with that person's groups, with commas between them."""
    issuer: str = ""
    """OpenID Connect: the provider's address, below which `/.well-known/openid-configuration` is."""
    client_id: str = ""
    """OpenID Connect: what the provider calls this page."""
    client_secret: str = Field(default="", repr=False)
    """OpenID Connect: read from the environment only."""
    name_claim: str = "email"
    """OpenID Connect: the claim that is a person's name. `email` counts only where the provider has verified it."""
    groups_claim: str = "groups"
    """OpenID Connect: the claim that lists a person's groups."""
    session_secret: str = Field(default="", repr=False)
    """Signs the logins; read from the environment only. Empty: a new one at each start, so that everybody logs in again."""


@dataclass(frozen=True, config=STRICT)
class Serving:
    """`driftline serve`: look-ups by HTTP."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8480
    """0 takes a free one."""
    processes: Annotated[int, Field(ge=1, le=256)] = 2
    """About one per core."""
    channels: dict[str, Annotated[float, Field(ge=0)]] = dataclasses.field(default_factory=dict)
    """Channels and their weights, e.g. `{default = 0.9, treatment = 0.1}`: a request that names a user and no channel gets one by
    a hash of the user. Empty: always `channel`."""
    salt: str = "driftline"
    """Goes into that hash. Another salt is another split of the users."""
    items: bool = False
    """Also recommend items of the interests where a request asks for some, by the newest recommender of the cluster set."""
    poll: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=3)
    """Time between two looks for a publication, should its notification be lost."""

    def __post_init__(self) -> None:
        if self.channels and not any(self.channels.values()):
            raise ValueError("serving.channels: at least one weight has to be above 0")


@dataclass(frozen=True, config=STRICT)
class Dashboards:
    """Grafana (docs/monitoring.md)."""

    url: str = ""
    """Its address, e.g. `https://grafana.example.com`."""
    token: str = Field(default="", repr=False)
    """Of a service account that may edit; read from the environment only."""
    postgres: str = ""
    """Where Grafana finds Postgres, e.g. `postgresql://db.example.com:5432/driftline`. Empty: as `postgres_url`."""
    user: str = "driftline_grafana"
    """Whom it logs in as: the role that a migration makes, or another member of `driftline_reader`."""
    password: str = Field(default="", repr=False)
    """That user's; read from the environment only."""
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = "require"
    """How it connects to Postgres."""
    prometheus: str = ""
    """Where Grafana finds the Prometheus that scrapes the workers; without it there is no board of the workers."""


SECRETS = {"web": ("client_secret", "session_secret"), "dashboards": ("token", "password")}
"""Settings that no file may hold."""


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
        """So that a profile's server is not taken for the embedded one."""
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
        """A worker may run elsewhere than the command that reads the file."""
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
        return init_settings, env_settings, _Toml(settings_cls, settings_file())


def settings_file() -> Path:
    """Where the settings are read from; it need not be there.

    Raises:
        ValueError: something else lies there: a folder, or a link to nowhere.
    """
    file = Path("driftline.toml")
    found = file if os.path.lexists(file) else Path(os.environ.get("DRIFTLINE_HOME", ".driftline")) / file
    if os.path.lexists(found) and not found.is_file():
        raise ValueError(f"{found} is no file: rename it, or remove it")
    return found


def problems(error: ValidationError) -> Iterator[tuple[list[str], str, str]]:
    """Of each setting that is wrong: its path, what is wrong, and where it was set if not by a caller's argument."""
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        names = ["DRIFTLINE_" + "__".join(path[:depth]).upper() for depth in range(len(path), 0, -1)]
        yield path, problem["msg"], next((name for name in names if name in os.environ), str(settings_file()))


class _Toml(TomlConfigSettingsSource):
    """Also of a file that Notepad saved, which begins with a byte order mark or is UTF-16."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        try:
            content = file_path.read_bytes()
        except OSError as error:
            raise ValueError(f"{file_path} cannot be read ({error.strerror}): let this user read it, or remove it") from None
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            found = tomllib.loads(content.decode(encoding))
        except ValueError as error:
            raise ValueError(f"{file_path}: {error}") from None
        for group, names in SECRETS.items():
            for name in set(names) & set(found.get(group, {})):
                variable = f"DRIFTLINE_{group}__{name}".upper()
                raise ValueError(f"{file_path}: {group}.{name} is a secret: remove it, and set {variable} in the environment")
        return found


def _profile(name: str) -> dict[str, Any]:
    """
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
