"""Words of the scripts that write none: Chinese, Japanese, Thai and their neighbours have no blanks (design §3.3).

`jieba` cuts Chinese and `budoux` Japanese and Thai, where they are installed (`pip install 'driftline[words]'`). Without them, or
in another script, pairs of neighbours stand for words: what texts share is still found, though not always read well.
"""

import importlib.util
import logging
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
KANA = r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
THAI, OTHERS = r"\u0e00-\u0e7f", r"\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
RUN = re.compile(rf"[{HAN}{KANA}]+|[{THAI}]+|[{OTHERS}]+")
PARTICLES = re.compile(r"(?<=.)[のがをにはへとでもや]+$")
"""What Japanese puts behind a word."""
SHORT = 2
"""Characters of a run that is a word as it is."""

Cut = Callable[[str], list[str]]


def cut(word: str) -> list[str]:
    """The words of a run of letters; one, where its script has blanks."""
    if not RUN.search(word):
        return [word]
    found: list[str] = []
    end = 0
    for run in RUN.finditer(word):
        found += [word[end : run.start()], *_cut_run(run.group())]
        end = run.end()
    return [part for part in [*found, word[end:]] if part]


def _cut_run(run: str) -> list[str]:
    if len(run) <= SHORT:
        return [run]
    if re.search(f"[{KANA}]", run):
        return [PARTICLES.sub("", part) for part in _budoux("japanese")(run)]
    if re.match(f"[{HAN}]", run):
        return _jieba()(run)
    if re.match(f"[{THAI}]", run):
        return _budoux("thai")(run)
    return _pairs(run)


def _pairs(run: str) -> list[str]:
    return [a + b for a, b in pairwise(run)]


@cache
def _jieba() -> Cut:
    if importlib.util.find_spec("jieba") is None:
        return _pairs
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return lambda run: list(jieba.cut(run))


@cache
def _budoux(language: str) -> Cut:
    if importlib.util.find_spec("budoux") is None:
        return _pairs
    import budoux

    parser = budoux.load_default_thai_parser() if language == "thai" else budoux.load_default_japanese_parser()
    return lambda run: list(parser.parse(run))
