"""Descriptions of interests, chosen and measured by embeddings: `python -m driftline.engines.name JOB.json`."""

from driftline.engines import child

if __name__ == "__main__":
    child.arm()

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer

from driftline.contracts import NameJob
from driftline.engines import device, embedder
from driftline.interests import naming
from driftline.interests.descriptions import describe
from driftline.interests.keywords import LONGEST
from driftline.system.files import atomic_file

BATCH = 256


def name(job: NameJob) -> None:
    """Writes `named.parquet` (cluster, description, keywords) and `said.json` (`naming.Named`) to `job.out`.

    Raises:
        BadInput: the model's weights are not there.
        child.Stopped: on SIGTERM. Nothing is kept: the whole takes a minute.
    """
    out = Path(job.out)
    torch.set_num_threads(child.threads())
    texts, clusters = pq.read_table(job.texts), pq.read_table(job.clusters).sort_by("cluster")
    row, cluster, items = (texts[column].to_numpy().astype(np.int64) for column in ("row", "cluster", "items"))
    embeddings = np.load(job.embeddings)[row].astype(np.float32)
    device.take_turns("naming")
    with child.loading("naming", 0, 1):
        model = embedder.load(job.model)
    keywords: list[list[str]] = clusters["keywords"].to_pylist()
    descriptions = clusters["description"].to_pylist()
    if job.count:
        candidates = _candidates(model, keywords, clusters["start"].to_pylist())
        first = naming.choose(candidates, embeddings, cluster, items, job.count, partial(child.report, "choosing words"))
        keywords = [list(dict.fromkeys((*best, *rest)))[:LONGEST] for best, rest in zip(first, keywords, strict=True)]
        descriptions = describe(keywords, [len(words) for words in first])
    found = naming.measure_names(embeddings, cluster, items, _embed(model, descriptions))
    pq.write_table(
        pa.table({"cluster": clusters["cluster"], "description": descriptions, "keywords": keywords}), out / "named.parquet"
    )
    with atomic_file(out / "said.json") as aside:
        aside.write_text(json.dumps(dataclasses.asdict(found)))


def _candidates(model: SentenceTransformer, keywords: Sequence[Sequence[str]], start: Sequence[int]) -> list[naming.Candidates]:
    unique = sorted({word for words in keywords for word in words})
    place = {word: number for number, word in enumerate(unique)}
    vectors, pieces = _embed(model, unique), _pieces(model, unique)
    at = [np.array([place[word] for word in words], dtype=np.int64) for words in keywords]
    return [naming.Candidates(words, vectors[rows], pieces[rows], n) for words, rows, n in zip(keywords, at, start, strict=True)]


def _pieces(model: SentenceTransformer, texts: list[str]) -> np.ndarray:
    """Word pieces of each text: what it costs an LLM, nearly. Of a model without such a tokenizer, its characters."""
    tokenizer = model.tokenizer
    if not callable(tokenizer) or not texts:
        return np.array([len(text) for text in texts], dtype=np.int64)
    return np.array([len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]], dtype=np.int64)


def _embed(model: SentenceTransformer, texts: list[str]) -> np.ndarray:
    """float32 [texts, d]; at least one row, of a text that nobody asks for where there is none."""
    vectors = []
    texts = texts or [""]
    for begin in range(0, len(texts), BATCH):
        if child.stopping():
            raise child.Stopped
        vectors.append(model.encode(texts[begin : begin + BATCH], normalize_embeddings=True, show_progress_bar=False))
        child.report("naming", min(begin + BATCH, len(texts)), len(texts))
    return np.concatenate(vectors).astype(np.float32)


if __name__ == "__main__":
    child.main(NameJob, name)
