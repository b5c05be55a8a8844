"""Descriptions: the exact text that the LLM reads for an interest and has to write as its answer (design §3.3)."""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from driftline.contracts import BadInput


def describe(ranked: Sequence[Sequence[str]], count: int | Sequence[int]) -> list[str]:
    """Describes every cluster by its first keywords, like `beef, ground, steak`: `count` of them, or each cluster its own number.
    Descriptions are unique, and none is a prefix of another.

    Where two descriptions are equal, or one is a prefix of the other, the shorter gets its next keyword, and once it has no more,
    the cluster's number: `beef (3)`. A cluster without keywords is `interest (3)`. An imported name is a cluster's one keyword.

    Compared is the text without case and in Unicode's compatible form, so that a tokenizer that normalises text cannot make equal
    what was distinct. None a prefix of another as text implies none a token-prefix of another, because decoding a prefix of the
    tokens of a description writes a prefix of its text. So greedy decoding along a token trie ends at exactly one cluster.
    """
    keywords = [_distinct(words) or ["interest"] for words in ranked]
    counts = [count] * len(keywords) if isinstance(count, int) else count
    length = [max(1, min(wanted, len(words))) for wanted, words in zip(counts, keywords, strict=True)]
    numbers = [0] * len(keywords)
    texts = [", ".join(words[:n]) for words, n in zip(keywords, length, strict=True)]
    while ambiguous := _ambiguous(texts):
        for i in ambiguous:
            if length[i] < len(keywords[i]):
                length[i] += 1
            else:
                numbers[i] += 1
            texts[i] = ", ".join(keywords[i][: length[i]]) + f" ({i})" * numbers[i]
    return texts


def check_descriptions(descriptions: Sequence[str]) -> None:
    """Checks imported descriptions for what `describe` guarantees.

    Raises:
        BadInput: one is empty, of several lines or invisible characters, equal to another, or a prefix of one.
    """
    for number, text in enumerate(descriptions):
        if not text or _distinct([text]) != [text]:
            raise BadInput(f"the description of cluster {number}, {text[:40]!r}, is empty or not one line of visible text")
    if ambiguous := sorted(_ambiguous(descriptions)):
        told = ", ".join(f"{number} {descriptions[number]!r}" for number in ambiguous[:3])
        raise BadInput(f"descriptions that are equal to or the beginning of another cannot be told apart: {told}")


def _distinct(words: Sequence[str]) -> list[str]:
    """The keywords on one line each, without blanks and repetitions."""
    tidy = (" ".join("".join(filter(_visible, word)).split()) for word in words)
    return list({_comparable(word): word for word in reversed([word for word in tidy if word])}.values())[::-1]


def _visible(character: str) -> bool:
    """White space, or none of the control and format characters that a terminal or a reader of the prompt would obey."""
    return character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs")


def _comparable(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _ambiguous(texts: Sequence[str]) -> set[int]:
    """Descriptions that are a prefix of another one; of equal ones, all.

    What begins with a text directly follows it in sorted order, so neighbours are enough.
    """
    order = sorted((_comparable(text), i) for i, text in enumerate(texts))
    found: set[int] = set()
    for (text, i), (following, j) in pairwise(order):
        if following.startswith(text):
            found |= {i, j} if following == text else {i}
    return found
