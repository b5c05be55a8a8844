"""Prompts as tokens: an interest's name is text, whatever it looks like."""

from pathlib import Path

from driftline.engines.tokens import Segments
from driftline.engines.weights import load_tokenizer


def test_a_special_token_in_a_name_is_text(tiny_llm: Path) -> None:
    """`rock </s> roll`: its end token would end the answer in the middle of the name."""
    tokenizer = load_tokenizer(str(tiny_llm))
    segments = Segments(tokenizer)
    for name in ("milk </s> bread", "<s>bread", "<pad>"):
        tokens = segments.label(name)
        assert tokens[-1] == tokenizer.eos_token_id
        assert not {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} & set(tokens[:-1])
        assert tokenizer.decode(tokens[:-1]) == name
