"""What is compared: the label of each arm, as people read it, and its id, as results are stored and SQL asks for it."""

import re

from driftline.contracts import Retrieval

TABLE = "this table"
NO_RAG = "no RAG, fixed"
RAG_FIXED = "RAG of day 1, fixed"
RAG_RENEWED = "RAG renewed"
POPULAR = "most popular successor"
FREQUENT = "most frequent successor of the pair"
FREQUENT_FIXED = "frequency table of day 1"
FREQUENT_RENEWED = "frequency table renewed"

_ids = {
    TABLE: "table",
    NO_RAG: "no_rag",
    RAG_FIXED: "rag_fixed",
    RAG_RENEWED: "rag_renewed",
    POPULAR: "popular",
    FREQUENT: "frequent",
    FREQUENT_FIXED: "frequent_fixed",
    FREQUENT_RENEWED: "frequent_renewed",
}
_labels = {arm: label for label, arm in _ids.items()}


def retrieval_arm(retrieval: Retrieval) -> str:
    """E.g. `instance, frequency, top 1`, or `global, trend, 100 triples`."""
    length = f"top {retrieval.top_k}" if retrieval.granularity == "instance" else f"{retrieval.global_triples} triples"
    return f"{retrieval.granularity}, {retrieval.similarity}, {length}"


def arm_id(label: str) -> str:
    """The id of an arm, e.g. `rag_renewed`, or `instance_frequency_1` of a retrieval. An arm without one keeps its label."""
    found = re.fullmatch(r"(instance|global), (frequency|trend), (?:top )?(\d+)(?: triples)?", label)
    return "_".join(found.groups()) if found else _ids.get(label, label)


def arm_label(arm: str) -> str:
    """The label of an id: the way back from `arm_id`."""
    found = re.fullmatch(r"(instance|global)_(frequency|trend)_(\d+)", arm)
    if not found:
        return _labels.get(arm, arm)
    granularity, similarity, length = found.groups()
    return f"{granularity}, {similarity}, " + (f"top {length}" if granularity == "instance" else f"{length} triples")
