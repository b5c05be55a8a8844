"""Names of what is compared, shared by whoever measures and whoever tells."""

from contracts import Retrieval

TABLE = "this table"
NO_RAG = "no RAG, fixed"
RAG_FIXED = "RAG of day 1, fixed"
RAG_RENEWED = "RAG renewed"
POPULAR = "most popular successor"
FREQUENT = "most frequent successor of the pair"
FREQUENT_FIXED = "frequency table of day 1"
FREQUENT_RENEWED = "frequency table renewed"


def retrieval_arm(retrieval: Retrieval) -> str:
    """E.g. `instance, frequency, top 1`, or `global, trend, 100 triples`."""
    length = f"top {retrieval.top_k}" if retrieval.granularity == "instance" else f"{retrieval.global_triples} triples"
    return f"{retrieval.granularity}, {retrieval.similarity}, {length}"
