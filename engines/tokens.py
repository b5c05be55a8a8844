"""Prompts as tokens. Segments are tokenised one by one and joined, in training and inference alike: that is what lets
prompts that share a segment share its computation."""

from collections.abc import Iterable, Sequence
from itertools import takewhile

from transformers import PreTrainedTokenizerBase


class Segments:
    """Tokens of prompt segments and labels; equal texts are tokenised once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        bos = tokenizer.bos_token_id
        self._start = [bos] if bos is not None and tokenizer("a").input_ids[:1] == [bos] else []

    def learn(self, texts: Iterable[str]) -> None:
        """Tokenises many texts at once, which is faster than one by one."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            # An interest may be called `rock <|im_end|> roll`: what looks like a token of the model's own is text here.
            found = self._tokenizer(new, add_special_tokens=False, split_special_tokens=True).input_ids
            self._known.update(zip(new, found, strict=True))

    def of(self, text: str) -> list[int]:
        """Tokens of one segment."""
        self.learn([text])
        return self._known[text]

    def start(self, shared: str) -> list[int]:
        """Tokens a prompt begins with: BOS, if this tokenizer puts one first by default, and the shared segment."""
        return self._start + self.of(shared)

    def label(self, completion: str) -> list[int]:
        """Tokens the model has to write, the end token last."""
        return [*self.of(completion), self._tokenizer.eos_token_id]


def common_start(rows: Sequence[list[int]]) -> list[int]:
    """The tokens that all rows begin with."""
    # What the first and the last in order have in common, all in between have too.
    pairs = zip(min(rows), max(rows), strict=False)
    return [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
