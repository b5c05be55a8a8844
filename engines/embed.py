"""Sentence embeddings of item texts: `python -m driftline.engines.embed JOB.json`."""

from driftline.engines import child

if __name__ == "__main__":
    child.arm()

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer

from driftline.contracts import BadInput, EmbedJob
from driftline.engines import device, embedder, machine
from driftline.engines.embedder import BATCH
from driftline.system.files import atomic_file


def embed(job: EmbedJob) -> None:
    """Writes one vector per text, float32 [texts, dimensions], in the order of the texts; every vector has length 1.

    Raises:
        BadInput: there is no text, the model's weights are not there, or it makes no direction of a text.
        child.Stopped: on SIGTERM. Nothing is kept: the whole takes a minute.
    """
    out = Path(job.out)
    if out.exists():
        return
    torch.set_num_threads(child.threads())
    texts = pq.read_table(job.texts, columns=["text"])["text"].to_pylist()
    if not texts:
        raise BadInput("there is no text to embed: the item catalogue is empty")
    unique = sorted(set(texts))
    device.take_turns("embedding")
    with child.loading("embedding", 0, len(unique)):
        model = embedder.load(job.model)
    unique = _by_length(unique, model.tokenizer)
    vectors = []
    for begin in range(0, len(unique), BATCH):
        if child.stopping():
            raise child.Stopped
        batch = unique[begin : begin + BATCH]
        vectors.append(_encode(model, batch))
        child.report("embedding", min(begin + BATCH, len(unique)), len(unique))
    _refuse_lost(job.model, unique, np.concatenate(vectors))
    row = {text: number for number, text in enumerate(unique)}
    machine.write(machine.computed("sentence-transformers", "float32"), out.with_name("computed.json"))
    with atomic_file(out) as aside, aside.open("wb") as file:
        np.save(file, np.concatenate(vectors).astype(np.float32)[[row[text] for text in texts]])


def _encode(model: SentenceTransformer, batch: list[str]) -> np.ndarray:
    """Embeds a batch of texts. Where a model overflows, on a GPU and beside longer texts, the text alone in float32 may still be
    right."""
    found = np.array(model.encode(batch, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False), np.float32)
    for row in np.flatnonzero(~_directed(found)):
        found[row] = model.float().encode([batch[row]], normalize_embeddings=True, show_progress_bar=False)[0]
    return found


def _directed(vectors: np.ndarray) -> np.ndarray:
    """Which rows are of length 1: not NaN, not 0."""
    return np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-2


def _refuse_lost(model: str, texts: list[str], vectors: np.ndarray) -> None:
    lost = np.flatnonzero(~_directed(vectors))
    if len(lost):
        raise BadInput(
            f"clusters.embedding_model = {model!r} makes no direction (NaN or zero) of {len(lost):,} of {len(texts):,} texts, "
            f"e.g. {texts[lost[0]][:80]!r}: choose another model, or leave such items out of source.items"
        )


def _by_length(texts: list[str], tokenizer: Any) -> list[str]:
    """Neighbours alike in tokens, so that a batch has little padding; characters would be a poor guide to abbreviations."""
    lengths = map(len, tokenizer(texts)["input_ids"] if callable(tokenizer) else texts)
    return [text for _, text in sorted(zip(lengths, texts, strict=True))]


if __name__ == "__main__":
    child.main(EmbedJob, embed)
