"""What of an item's text is language: without markup, addresses, hashes and encoded files (design §3.3)."""

import html
import re

TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|</?[A-Za-z][^<>]{0,2000}>", re.I | re.S)
ENTITY = re.compile(r"&(#\d+|#x[0-9a-f]+|[a-z][a-z0-9]*);", re.I)
ADDRESS = re.compile(
    r"data:[\w.+/-]*;base64,[A-Za-z0-9+/=]*"  # a file
    r"|\b(?:https?|ftp|s3|gs)://[^\s<>\"']+|\bwww\.[^\s<>\"']+"
    r"|\b[\w.+-]+@[\w-]+\.[\w.-]+\b",
    re.I,
)
HASH = re.compile(r"(?<!\w)(?=[0-9a-f-]*\d)(?=[0-9a-f-]*[a-f])[0-9a-f]{8}(?:-?[0-9a-f]{4,}){2,}(?!\w)", re.I)
"""Of MD5, SHA and UUID."""
ENCODED = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
"""Maybe base64: a long run of letters of both cases and digits."""
LONGEST = 40
"""Characters of a word; what is longer is none."""


def clean(text: str) -> str:
    """The text with a line break where something was taken out, so that no phrase goes across.

    Entities are read twice, because texts are escaped twice: `&amp;nbsp;`.
    """
    if "<" in text:
        text = TAG.sub("\n", text)
    for _ in range(2):
        if ENTITY.search(text):
            text = TAG.sub("\n", html.unescape(text))
    text = HASH.sub("\n", ADDRESS.sub("\n", text))
    return ENCODED.sub(lambda found: "\n" if _is_encoded(found.group()) else found.group(), text).replace("\0", " ")


def _is_encoded(run: str) -> bool:
    return len(run) > LONGEST or all(re.search(kind, run) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
