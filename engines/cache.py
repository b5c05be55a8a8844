"""What a prefix leaves behind for the prompts that begin with it."""

from transformers import DynamicCache


def repeated(cache: DynamicCache, rows: int) -> DynamicCache:
    """The keys and values of one row as those of `rows` rows that begin alike; gradients flow back through it."""
    return DynamicCache([(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1)) for layer in cache.layers])
