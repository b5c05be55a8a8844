"""Text that is not UTF-8: how its line reads in what people use elsewhere, so that its owner sees which it is."""

import gzip
import re
import shlex
from contextlib import suppress
from io import BufferedReader
from itertools import islice
from pathlib import Path

CODECS = ("CP932", "EUC-JP", "GB18030", "BIG5", "CP949", "CP1252", "CP1251")
"""As `iconv` and Python know them."""
SHOWN, MOST = 60, 4
"""Characters of a line that are shown, and readings of it."""


def not_utf8(file: str, line: int) -> str:
    """What to do about a line that cannot be read as UTF-8. Nothing is guessed: the owner sees which reading is right."""
    where = f"{file}, line {line}: it is not UTF-8"
    found = readings(_line(file, line))
    if not found:
        return f"{where}: write it in UTF-8, e.g. {iconv('…', file)}"
    shown = ", ".join(f"{text[:SHOWN]!r} in {codec}" for codec, text in found.items())
    codec = next(iter(found)) if len(found) == 1 else "…"
    return f"{where}; it reads {shown}: write it in UTF-8 from the one that is right: {iconv(codec, file)}"


def readings(line: bytes) -> dict[str, str]:
    """The line by the codec that can read it, those first in which what is not ASCII is letters."""
    found: dict[str, str] = {}
    for codec in CODECS:
        with suppress(UnicodeDecodeError):
            found[codec] = line.decode(codec)
    letters = {codec: _letters(text) for codec, text in found.items()}
    best = max(letters.values(), default=0.0)
    likely = [codec for codec in sorted(found, key=lambda codec: -letters[codec]) if letters[codec] >= best / 2]
    return {codec: found[codec] for codec in likely[:MOST]}


def may_be_latin(file: str, line: int) -> bool:
    """Whether it is likely to be Latin-1, which DuckDB reads; it has nothing but controls from 0x80 to 0x9f."""
    found = _line(file, line)
    return not any(0x80 <= byte <= 0x9F for byte in found) and next(iter(readings(found)), "") in ("CP1252", "")


def first_line(file: str) -> int:
    """The number of the first line of a file on this machine that is not blank; 0 where it has none."""
    with suppress(OSError, EOFError), _opened(file) as opened:
        return next((number for number, line in enumerate(opened, 1) if line.strip()), 0)
    return 1


def iconv(codec: str, file: str) -> str:
    """The command that writes a file in UTF-8."""
    written = re.sub(r"([.][^./]*)$", r".utf8\1", file)
    return f"iconv -f {codec} -t UTF-8 {shlex.quote(file)} > {shlex.quote(written)}"


def _letters(text: str) -> float:
    """The share of letters in what is not ASCII."""
    foreign = [c for c in text if not c.isascii()]
    return sum(c.isalpha() for c in foreign) / len(foreign) if foreign else 1.0


def _line(file: str, line: int) -> bytes:
    """A line of a file on this machine, as it is; nothing where it cannot be had."""
    with suppress(OSError, ValueError, EOFError), _opened(file) as opened:
        return next(islice(opened, line - 1, None), b"").rstrip(b"\r\n")
    return b""


def _opened(file: str) -> gzip.GzipFile | BufferedReader:
    return gzip.open(file) if file.lower().endswith(".gz") else Path(file).open("rb")
