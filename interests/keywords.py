"""The keywords of every interest: class-based TF-IDF over the texts of its items (design §3.3, paper §2.3)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.interests.cleaning import LONGEST as LONGEST_WORD
from driftline.interests.cleaning import clean
from driftline.interests.descriptions import describe
from driftline.interests.scripts import cut

Key = TypeVar("Key", str, tuple[str, str])

# Chosen by eye on the demo's catalogue; what halving and doubling each changes is in ADR 0012 (`python -m bench.sensitivity`).
LONGEST = 8
"""Keywords ranked per cluster: what a description may grow to."""
COVERED = 0.5
"""What a text still counts for once one of its words is a keyword, so that the next keyword says something new."""
UNREADABLE = 0.1
"""What an abbreviation without vowels, like `frzn`, counts for beside a word."""
PHRASE = 0.7
"""A word that stands in one two-word phrase this often is shown as that phrase: `soft drinks`, not `soft`."""
SINGLE = 0.5
"""What a word of one text alone counts for beside one that texts share."""
EVERYWHERE = 0.5
"""A word that is as common in more than this share of the clusters characterises none of them."""
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a all an and any are as at be but by etc for from has have he her his i in into is it its me misc my no not of off on
        only or other others our out she so than that the their they this to up us was we were will with without you your""",
    )
)
JOINS = frozenset({"and", "for", "in", "of"})
"""Stop words that may stand inside a phrase: `slice of life`."""


def cluster_table(
    texts: Sequence[str], cluster: NDArray[np.int32], traffic: NDArray[np.int64], count: int, longest: int = LONGEST
) -> pa.Table:
    """The clusters of a built set, described by their `count` best keywords, of `longest` that are ranked.

    Args:
        texts: distinct item texts.
        cluster: int32 [n], the cluster of each text; every id from 0 has one.
        traffic: int64 [n], positive events of the items with this text.

    Returns:
        cluster: int32, name: str (the description), description: str, keywords: list<str>, traffic: int64, by cluster.
    """
    n_clusters = int(cluster.max()) + 1
    ranked = rank(texts, traffic, cluster, n_clusters, longest)
    described = describe(ranked, count)
    total = np.zeros(n_clusters, dtype=np.int64)
    np.add.at(total, cluster, traffic)
    return pa.table(
        {
            "cluster": pa.array(np.arange(n_clusters, dtype=np.int32)),
            "name": described,
            "description": described,
            "keywords": pa.array(ranked, pa.list_(pa.string())),
            "traffic": total,
        }
    )


def rank(
    texts: Sequence[str],
    traffic: NDArray[np.int64],
    cluster: NDArray[np.int32],
    n_clusters: int,
    longest: int = LONGEST,
) -> list[list[str]]:
    """Keywords of every cluster, best first, at most `longest`; none for a cluster whose texts have no word.

        score(w, c) = p(w, c) · log(1 + A / Σ_c' p(w, c'))

    p(w, c) is the share of cluster c's texts with the word w (once per text, singular or plural), each text weighted by the
    square root of its traffic, so that a name tells the breadth of what people take; A is the mean over clusters of Σ_w p(w, c).
    Keywords are chosen one at a time; texts that one covers count less for the next. Words that are common everywhere and stop
    words are keywords only of a cluster that has nothing else. Ties are broken by the alphabet.
    """
    read = [_read(text) for text in texts]
    weight = np.sqrt(traffic) + 1e-3
    rows: list[list[int]] = [[] for _ in range(n_clusters)]
    for row, number in enumerate(cluster.tolist()):
        rows[number].append(row)
    shares = [_shares([read[row] for row in members], weight[members]) for members in rows]
    summed: Counter[str] = Counter()
    highest: dict[str, float] = {}
    for share in shares:
        summed.update(share)
        for word, p in share.items():
            highest[word] = max(p, highest.get(word, 0.0))
    mean = sum(summed.values()) / n_clusters
    rarity = {word: float(np.log1p(mean / p)) * _readable(word) for word, p in summed.items()}
    common = {word for word, p in summed.items() if word in STOP_WORDS or p > EVERYWHERE * n_clusters * highest[word]}
    return [_choose([read[row] for row in members], weight[members], rarity, common, longest) for members in rows]


@dataclass(frozen=True)
class _Text:
    forms: dict[str, str]
    """Stem → the form it has in the text, in the text's order."""
    phrases: dict[tuple[str, str], str]
    """Stems of two neighbours → the phrase as it stands in the text, with the stop words between them: `slice of life`."""


def words(text: str) -> list[list[str]]:
    """Lower-case words of a text in any script, in the runs between punctuation. A hyphen parts words, but not `t-light`."""
    text = unicodedata.normalize("NFKC", clean(text)).lower().replace("’", "'")
    text = re.sub(r"(?<=\w\w)-(?=\w\w)", " ", text)
    text = re.sub(r"(?<!\w)-|-(?!\w)", ",", text)
    text = "".join(c if c in "'-" or unicodedata.category(c)[0] in "LMN" else " " if c.isspace() else "\n" for c in text)
    parts = ((part.strip("'-") for part in run.split()) for run in text.split("\n"))
    return [[word for part in run for word in cut(part) if 0 < len(word) <= LONGEST_WORD] for run in parts]


def stem(word: str) -> str:
    """The word without an English plural ending, so that `bread` and `breads` are one keyword."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes", "toes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _read(text: str) -> _Text:
    runs = words(text)
    several = any(len(word) > 1 for word in chain.from_iterable(runs))
    forms: dict[str, str] = {}
    phrases: dict[tuple[str, str], str] = {}
    for run in runs:
        places = [i for i, word in enumerate(run) if (len(word) > 1 or not several) and word not in STOP_WORDS]
        for i in places:
            if _has_letter(run[i]):
                forms.setdefault(stem(run[i]), run[i])
        for i, j in pairwise(places):
            if JOINS.issuperset(run[i + 1 : j]) and _has_letter(run[i]) and _has_letter(run[j]):
                phrases.setdefault((stem(run[i]), stem(run[j])), " ".join(run[i : j + 1]))
    if not forms:  # nothing but stop words
        forms = {stem(word): word for word in chain.from_iterable(runs) if _has_letter(word)}
    return _Text(forms, phrases)


def _has_letter(word: str) -> bool:
    return any(c.isalpha() for c in word)


def _readable(word: str) -> float:
    """ASCII words that spell no vowel are hard to read in a name."""
    hard = word.isascii() and not re.search("[aeiouy]", word)
    return UNREADABLE if hard else 1.0


def _shares(texts: list[_Text], weight: NDArray[np.float64]) -> Counter[str]:
    """p(w, c) of one cluster."""
    share: Counter[str] = Counter()
    for text, w in zip(texts, (weight / weight.sum()).tolist(), strict=True):
        for word in text.forms:
            share[word] += w
    return share


def _choose(
    texts: list[_Text], weight: NDArray[np.float64], rarity: dict[str, float], common: set[str], longest: int
) -> list[str]:
    left = (weight / weight.sum()).tolist()
    texts_with = Counter(word for text in texts for word in text.forms)
    chosen: list[str] = []
    used: set[str] = set()
    while len(chosen) < longest:
        score: Counter[str] = Counter()
        for text, w in zip(texts, left, strict=True):
            for word in text.forms.keys() - used:
                score[word] += w * rarity[word] * (SINGLE if texts_with[word] == 1 else 1.0)
        specific = score.keys() - common
        if not specific and (chosen or not score):
            break
        best = min(specific or score, key=lambda word: (-round(score[word], 12), word))
        keyword, stems = _show(best, texts, weight, used | common)
        chosen.append(keyword)
        used |= stems
        left = [w * COVERED if best in text.forms else w for text, w in zip(texts, left, strict=True)]
    return chosen


def _show(word: str, texts: list[_Text], weight: NDArray[np.float64], avoid: set[str]) -> tuple[str, set[str]]:
    """The most frequent form of a stem, or of the phrase that it nearly always stands in; with the stems that it shows."""
    forms: Counter[str] = Counter()
    phrases: Counter[tuple[str, str]] = Counter()
    having = [(text, w) for text, w in zip(texts, weight.tolist(), strict=True) if word in text.forms]
    for text, w in having:
        forms[text.forms[word]] += w
        for phrase in text.phrases:
            other = phrase[1] if phrase[0] == word else phrase[0]
            if word in phrase and other not in avoid and other != word and _readable(other) == 1:
                phrases[phrase] += w
    best = _most(phrases)
    if best is not None and phrases[best] >= PHRASE * forms.total():
        shown = Counter[str]()
        for text, w in having:
            if best in text.phrases:
                shown[text.phrases[best]] += w
        return _most(shown) or "", set(best)
    return _most(forms) or "", {word}


def _most(counts: Counter[Key]) -> Key | None:
    return min(counts, key=lambda value: (-counts[value], value), default=None)
