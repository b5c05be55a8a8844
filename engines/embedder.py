"""The embedding model, for those who embed items and those who embed names."""

from sentence_transformers import SentenceTransformer

from driftline.engines import machine, memory, weights
from driftline.interests.memory import of_embedding

BATCH, LONGEST = 64, 512
"""Texts at a time, and tokens of the longest, for the memory they take."""


def load(name: str) -> SentenceTransformer:
    """Loads an embedding model onto this machine's device.

    Raises:
        BadInput: the model's weights are not there, or do not fit into the memory.
    """
    with weights.named("clusters.embedding_model", name):
        path = weights.embedding_model_path(name)
        if (shapes := memory.shapes(path)) is not None:
            memory.check(of_embedding(shapes, BATCH, LONGEST), "take a smaller clusters.embedding_model")
        return SentenceTransformer(str(path), device=machine.device())
