"""Jobs: the input of a child process in `engines/`. Paths are local to the worker."""

from pydantic.dataclasses import dataclass

from driftline.contracts.knobs import EngineName, Generation, Precision, Training
from driftline.contracts.steps import Sampling
from driftline.contracts.versions import Computed


@dataclass(frozen=True)
class ResolveJob:
    """Finds out what an engine computes with on this machine. `precision`: as asked, `auto` too. `out`: where the engine's
    `Computed` is written."""

    engine: str
    precision: Precision
    out: str


@dataclass(frozen=True)
class EmbedJob:
    """Embeds texts. `texts`: Parquet with a column `text`. `out`: `.npy`, float32 [texts, dimensions], rows of length 1; beside
    it `computed.json`."""

    texts: str
    model: str
    out: str


@dataclass(frozen=True)
class NameJob:
    """Chooses the keywords that name each cluster, and measures how much they say. `texts`: Parquet with row (of `embeddings`, as
    `EmbedJob` writes it), cluster and items of each distinct text of a cluster. `clusters`: Parquet with cluster, keywords,
    description and, as of `naming.Candidates`, start. `count`: most keywords of a description; 0: the descriptions are as they
    should be, and only measured. `out`: a folder."""

    texts: str
    clusters: str
    embeddings: str
    model: str
    out: str
    count: int = 0


@dataclass(frozen=True)
class WriteNamesJob:
    """Lets an LLM name each cluster. `clusters`: Parquet with cluster, description and examples: list<str>, the texts nearest to
    the cluster's mean. `out`: Parquet with cluster and name, as the LLM wrote it."""

    clusters: str
    base_model: str
    out: str


@dataclass(frozen=True)
class TrainJob:
    """Trains a LoRA adapter. `samples`: Parquet of prompts and labels. `work`: checkpoints. `out`: folder of the peft adapter,
    made at once. `engine`: what is to answer with the adapter; a base model that it cannot ask is refused before training.
    `validation`: folder of a `ValidationRef`."""

    samples: str
    training: Training
    work: str
    out: str
    engine: EngineName | None = None
    validation: str | None = None


@dataclass(frozen=True)
class GenerateJob:
    """Answers every prompt: bulk inference. `prompts`: folder of `prompts.parquet` and `labels.parquet`. `work`: finished blocks.
    `out`: folder of `mapping.parquet`, `cost.json` and `computed.json`, made at once. `known`: such folders of the same model,
    decoding and `Computed`: what one has answered is not asked again. `computed`: what the worker counts on; None: whatever this
    machine has."""

    prompts: str
    base_model: str
    generation: Generation
    work: str
    out: str
    adapter: str | None = None
    sampling: Sampling | None = None
    known: tuple[str, ...] = ()
    computed: Computed | None = None
