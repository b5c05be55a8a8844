"""The prompt, a versioned template (design §3.5, paper Figure 1):

    Predict a user's next new interest from the last two.
    Interest 1: beef, pork, steak
    Interest 2: rolls, bread, pastry
    Often next: cheese, natural, shredded          (RAG only)
    Next interest: milk, fluid, creamers           (what the LLM writes)

It is three segments, each tokenised by itself: what all prompts share, what all pairs of one c1 share, and the rest. The wording
is short because it is paid for with every pair and every training step.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftline.interests.pairs import pair_number
from driftline.interests.pairs import pairs as every_pair
from driftline.interests.retrieval import Retrieved

VERSION = 1
"""Raise with any change of wording, so that tables made with another template never share a hash."""
INSTRUCTION = "Predict a user's next new interest from the last two.\n"
PATHS = {"frequency": "Frequent paths:\n", "trend": "Rising paths:\n"}
RETRIEVED = {"frequency": "Often next: ", "trend": "Rising next: "}
CUE = "Next interest:"


def completion(description: str) -> str:
    """What the LLM has to write after the prompt, before its end token."""
    return " " + description


def prompts_table(descriptions: Sequence[str], retrieved: Retrieved | None) -> pa.Table:
    """The prompt of every ordered pair.

    Args:
        descriptions: of cluster 0, 1, …
        retrieved: what the window says; None: no RAG.

    Returns:
        c1, c2: int32; shared, first, rest: string, dictionary-encoded because they repeat (a shared list of triples would be
        copied for every pair); retrieved: list<int32>, the retrieved successors, empty without any. By ascending (c1, c2),
        |C|·(|C|−1) rows.
    """
    n_clusters = len(descriptions)
    c1, c2 = (pa.array(column.astype(np.int32)) for column in every_pair(n_clusters))
    shared = INSTRUCTION + (_paths(descriptions, retrieved) if retrieved else "")
    successors = retrieved.successors if retrieved else None
    return pa.table(
        {
            "c1": c1,
            "c2": c2,
            "shared": pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(c1), dtype=np.int32)), [shared]),
            "first": pa.DictionaryArray.from_arrays(c1, _firsts(descriptions)),
            "rest": _rests(
                descriptions, c2, successors, RETRIEVED[retrieved.similarity] if retrieved else ""
            ).dictionary_encode(),
            "retrieved": pa.array([[]] * len(c1), pa.list_(pa.int32())) if successors is None else successors,
        }
    )


def samples_table(
    descriptions: Sequence[str], samples: pa.Table, retrieved: Retrieved | None = None, share: float = 0.0
) -> pa.Table:
    """The prompt and the label of every fine-tuning sample (paper Figure 1), in the order of the samples.

    Args:
        descriptions: of cluster 0, 1, …
        samples: c1, c2, c_next: int32 (`samples.curate`).
        retrieved: of every pair; with granularity `global` no sample has a retrieved line.
        share: of the samples that have one, spread evenly over the order.

    Returns:
        shared, first, rest, label: string; c1, c2, c_next: int32.
    """
    prompts = pairs_table(descriptions, samples, retrieved, share)
    c_next = samples["c_next"].combine_chunks()
    label = pa.array([completion(description) for description in descriptions]).take(c_next)
    at = prompts.column_names.index("c1")
    return prompts.add_column(at, "label", label).append_column("c_next", c_next)


def pairs_table(descriptions: Sequence[str], pairs: pa.Table, retrieved: Retrieved | None = None, share: float = 0.0) -> pa.Table:
    """The prompts of some ordered pairs (c1, c2: int32), without a label; otherwise as `samples_table`.

    Returns:
        shared, first, rest: string; c1, c2: int32.
    """
    c1, c2 = (pairs[name].combine_chunks() for name in ("c1", "c2"))
    return pa.table(
        {
            "shared": pa.array([INSTRUCTION] * pairs.num_rows, pa.string()),
            "first": _firsts(descriptions).take(c1),
            "rest": _rests(descriptions, c2, *_retrieved_by(pairs, retrieved, share, len(descriptions))),
            "c1": c1,
            "c2": c2,
        }
    )


def prompt_hash(table: pa.Table) -> str:
    """SHA-256 of the template's version and of every value of a table of prompts or samples, however the table is laid out."""
    digest = hashlib.sha256(f"driftline prompt {VERSION}".encode())
    for name in table.column_names:
        column = table[name].combine_chunks()
        digest.update(f"\0{name}\0{len(column)}\0".encode())
        if pa.types.is_list(column.type):
            digest.update(pc.list_value_length(column).to_numpy().astype("<i8").tobytes())
            column = column.flatten()
        if pa.types.is_string(column.type):
            column = column.dictionary_encode()
        if pa.types.is_dictionary(column.type):
            texts = b"".join(hashlib.sha256(text.encode()).digest() for text in column.dictionary.to_pylist())
            digest.update(np.frombuffer(texts, np.uint8).reshape(-1, 32)[column.indices.to_numpy()].tobytes())
        else:
            digest.update(column.to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _retrieved_by(pairs: pa.Table, retrieved: Retrieved | None, share: float, n_clusters: int) -> tuple[pa.ListArray | None, str]:
    """The successors on each pair's retrieved line, none for a pair that has no line, and the words before them."""
    if retrieved is None:
        return None, ""
    has_line = np.floor(share * np.arange(1, pairs.num_rows + 1)) > np.floor(share * np.arange(pairs.num_rows))
    numbers = pair_number(pairs["c1"].to_numpy(), pairs["c2"].to_numpy(), n_clusters)
    known = retrieved.successors.take(pa.array(numbers)).to_pylist()
    named = [successors if has else [] for successors, has in zip(known, has_line, strict=True)]
    return pa.array(named, pa.list_(pa.int32())), RETRIEVED[retrieved.similarity]


def _firsts(descriptions: Sequence[str]) -> pa.StringArray:
    return pa.array([f"Interest 1: {description}\n" for description in descriptions], pa.string())


def _rests(
    descriptions: Sequence[str], c2: pa.Int32Array, successors: pa.ListArray | None = None, line: str = ""
) -> pa.StringArray:
    """Renders the third segment of each prompt: `Interest 2: …`, for a pair with successors the retrieved line, and the cue."""
    seconds = pa.array([f"Interest 2: {description}\n" for description in descriptions], pa.string()).take(c2)
    if successors is None:
        return pc.binary_join_element_wise(seconds, CUE, "")
    names = pa.ListArray.from_arrays(successors.offsets, pa.array(descriptions, pa.string()).take(successors.values))
    retrieved = pc.binary_join_element_wise(line, pc.binary_join(names, "; "), "\n", "")
    retrieved = pc.if_else(pc.greater(pc.list_value_length(successors), 0), retrieved, "")
    return pc.binary_join_element_wise(seconds, retrieved, CUE, "")


def _paths(descriptions: Sequence[str], retrieved: Retrieved) -> str:
    """The one list of granularity `global`, one triple a line; nothing for `instance`."""
    if retrieved.triples.num_rows == 0:
        return ""
    rows = retrieved.triples.to_pylist()
    lines = [f"{descriptions[row['c1']]} > {descriptions[row['c2']]} > {descriptions[row['c_next']]}\n" for row in rows]
    return PATHS[retrieved.similarity] + "".join(lines)
