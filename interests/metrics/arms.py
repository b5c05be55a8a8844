"""What is compared: the label of each arm, as people read it, and its id, as results are stored and SQL asks for it."""

import re

from driftline.contracts import Retrieval

TABLE = "this table"
NO_RAG = "no RAG, fixed"
RAG_FIXED = "RAG of day 1, fixed"
RAG_RENEWED = "RAG renewed"
POPULAR = "most popular successor"
FREQUENT = "most frequent successor of the pair"
COUNTED = "counting model"
COUNTED_FIXED = "counting model of day 1"
COUNTED_RENEWED = "counting model renewed"
LLM_ALONE = "LLM alone"
FREQUENT_FIXED = "frequency table of day 1"
FREQUENT_RENEWED = "frequency table renewed"

_ids = {
    TABLE: "table",
    NO_RAG: "no_rag",
    RAG_FIXED: "rag_fixed",
    RAG_RENEWED: "rag_renewed",
    POPULAR: "popular",
    FREQUENT: "frequent",
    COUNTED: "counted",
    COUNTED_FIXED: "counted_fixed",
    COUNTED_RENEWED: "counted_renewed",
    LLM_ALONE: "llm",
    FREQUENT_FIXED: "frequent_fixed",
    FREQUENT_RENEWED: "frequent_renewed",
}
_labels = {arm: label for label, arm in _ids.items()}


def retrieval_arm(retrieval: Retrieval) -> str:
    """The label of an arm with this retrieval: `instance, frequency, top 1`, or `global, trend, 100 triples`."""
    length = f"top {retrieval.top_k}" if retrieval.granularity == "instance" else f"{retrieval.global_triples} triples"
    return f"{retrieval.granularity}, {retrieval.similarity}, {length}"


def sweep_arm(name: str, setting: float) -> str:
    """One arm at one setting of its weight of popularity, e.g. `blend, β = 0.5`: its id is `blend_0.5`."""
    return f"{name}, β = {setting:g}"


def setting_of(label: str) -> float | None:
    """β of an arm of a sweep."""
    found = re.fullmatch(r".+, β = (-?[\d.]+)", label)
    return float(found[1]) if found else None


def sweep_of(label: str) -> str:
    """The arm whose settings are swept; of any other arm, itself."""
    return label.partition(", β = ")[0]


def arm_id(label: str) -> str:
    """The id of an arm, e.g. `rag_renewed`, or `instance_frequency_1` of a retrieval. An arm without one keeps its label."""
    if (setting := setting_of(label)) is not None:
        return f"{arm_id(sweep_of(label))}_{setting:g}"
    found = re.fullmatch(r"(instance|global), (frequency|trend), (?:top )?(\d+)(?: triples)?", label)
    return "_".join(found.groups()) if found else _ids.get(label, label)


def arm_label(arm: str) -> str:
    """The label of an id: the way back from `arm_id`."""
    found = re.fullmatch(r"(instance|global)_(frequency|trend)_(\d+)", arm)
    if not found and (swept := re.fullmatch(r"(.+)_(-?\d[\d.]*)", arm)):
        return sweep_arm(arm_label(swept[1]), float(swept[2]))
    if not found:
        return _labels.get(arm, arm)
    granularity, similarity, length = found.groups()
    return f"{granularity}, {similarity}, " + (f"top {length}" if granularity == "instance" else f"{length} triples")
