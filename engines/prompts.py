"""The prompts of a mapping, and what the same model has answered to the same ones before."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from driftline.contracts import BadInput
from driftline.engines.engine import Block
from driftline.engines.tokens import Segments
from driftline.interests.pairs import pairs
from driftline.interests.prompts import completion

ANSWER = ("c_next", "exact", "free")
LONG = 100
"""Prompts of the most characters, among which the one of the most tokens is looked for: to tokenise all takes too long."""


@dataclass(frozen=True)
class Prompts:
    """One prompt for every ordered pair of `clusters`.

    Attributes:
        labels: what to write for each cluster.
        shared: the segment that all prompts begin with.
        pairs: c1, c2: int32; first, rest: string; prompt: int64 (`_identities`). By ascending (c1, c2).
    """

    labels: list[str]
    shared: str
    pairs: pa.Table

    @property
    def clusters(self) -> int:
        return len(self.labels)

    def of(self, c1: int) -> slice:
        """Slice of `pairs` with the pairs (c1, …)."""
        return slice(c1 * (self.clusters - 1), (c1 + 1) * (self.clusters - 1))

    def block(self, c1: int, ask: np.ndarray) -> Block:
        """The prompts of c1 under the mask `ask`, bool [clusters - 1]."""
        rows = self.pairs[self.of(c1)]
        rows, first = rows.filter(pa.array(ask)), rows["first"][0].as_py()
        return Block(c1, first, tuple(rows["c2"].to_pylist()), tuple(rows["rest"].to_pylist()))


def read_prompts(folder: Path) -> Prompts:
    """Reads the prompts and descriptions of a folder, by ascending (c1, c2).

    Raises:
        BadInput: the prompts are not one per ordered pair of at least three clusters, or were not made with one template.
    """
    labels = pq.read_table(folder / "labels.parquet").sort_by("cluster")["description"].to_pylist()
    table = pq.read_table(folder / "prompts.parquet", columns=["c1", "c2", "shared", "first", "rest"])
    table = table.sort_by([("c1", "ascending"), ("c2", "ascending")])
    clusters = len(labels)
    if clusters < 3 or not all(map(np.array_equal, (table["c1"].to_numpy(), table["c2"].to_numpy()), pairs(clusters))):
        raise BadInput(f"{folder} does not hold one prompt for every ordered pair of at least 3 clusters: render it again")
    shared = table["shared"].unique().to_pylist()
    if len(shared) != 1:
        raise BadInput(f"the prompts in {folder} do not all begin with the same segment: render them with one template")
    for c1 in range(clusters):
        if len(table["first"][c1 * (clusters - 1) : (c1 + 1) * (clusters - 1)].unique()) != 1:
            raise BadInput(f"the prompts of c1 = {c1} differ in what they say about it: render them with one template")
    identities = _identities(shared[0], table)
    return Prompts([completion(text) for text in labels], shared[0], table.drop("shared").append_column("prompt", identities))


def known_answers(folders: Sequence[Path], prompts: Prompts, names: Sequence[str] = ANSWER) -> pa.Table:
    """The answers that mappings of the same model, labels and decoding have for these very prompts.

    Args:
        folders: of the mappings; the first that has an answer gives it.
        names: c_next first, then what else belongs to an answer.

    Returns:
        `names`, all null where there is no answer. Row by row `prompts.pairs`.
    """
    prompt = prompts.pairs["prompt"].combine_chunks()
    known: dict[str, pa.Array] = {name: pa.nulls(len(prompt)) for name in names}
    for folder in folders:
        theirs = _answers(folder)
        if not all(theirs[name].equals(prompts.pairs[name]) for name in ("c1", "c2")):
            raise BadInput(f"{folder} maps other pairs than these prompts ask: it is of another cluster set")
        if not set(names) <= set(theirs.column_names):  # made without scores
            continue
        take = pc.and_(pc.equal(theirs["prompt"], prompt), pc.is_null(known[names[0]]))
        known = {name: pc.if_else(take, theirs[name], ours.cast(theirs[name].type)) for name, ours in known.items()}
    return pa.table(known)


def _answers(folder: Path) -> pa.Table:
    """A mapping, and its scores where it has some."""
    found = pq.read_table(folder / "mapping.parquet")
    if (folder / "scores.parquet").exists():
        for column in (scores := pq.read_table(folder / "scores.parquet")).column_names:
            found = found.append_column(column, scores[column])
    return found.combine_chunks()


def longest(prompts: Prompts, segments: Segments) -> int:
    """Tokens of the longest prompt, looked for among those of the most characters, and of the longest label together."""
    texts = (prompts.pairs[name].cast(pa.string()) for name in ("first", "rest"))  # rendered ones are dictionaries
    lengths = pc.add(*map(pc.utf8_length, texts)).combine_chunks()
    most = prompts.pairs.take(pc.select_k_unstable(lengths, LONG, [("", "descending")]))
    segment_pairs = zip(most["first"].to_pylist(), most["rest"].to_pylist(), strict=True)
    own = max(len(segments.of(first)) + len(segments.of(rest)) for first, rest in segment_pairs)
    return len(segments.start(prompts.shared)) + own + max(len(segments.label(label)) for label in prompts.labels)


def _identities(shared: str, pairs: pa.Table) -> pa.Array:
    """The first 8 bytes of each prompt's SHA-256, as int64.

    A pair's prompt is compared with at most a few earlier ones of the same pair, so 64 bits tell them apart.
    """
    begun, before, digests = None, None, []
    for first, rest in zip(pairs["first"].to_pylist(), pairs["rest"].to_pylist(), strict=True):
        if begun is None or first != before:
            begun, before = hashlib.sha256((shared + first).encode()), first
        digest = begun.copy()
        digest.update(rest.encode())
        digests.append(digest.digest()[:8])
    return pa.array(np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64))
