"""What people write: one printable line of a bounded length."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints

ID_LENGTH, NAME_LENGTH, REASON_LENGTH = 64, 200, 2000
"""Characters of a verdict's id, reviewer and reason."""
NOTE_LENGTH = 500


def printable(text: str) -> bool:
    """One line without control characters, bidirectional controls and lone surrogates."""
    return all(character.isprintable() or character == "\u00a0" for character in text)


def note(text: str) -> str:
    """Text of unknown origin, cut short and made one printable line."""
    cut = text if len(text) <= NOTE_LENGTH else f"{text[:NOTE_LENGTH]} … ({len(text):,} characters)"
    return "".join(character if printable(character) else "�" for character in cut)


def _one_line(text: str) -> str:
    if not printable(text):
        raise ValueError("must be one line of printable text, without control characters")
    return text


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


Line = Annotated[str, BeforeValidator(_stripped), AfterValidator(_one_line)]
Name = Annotated[Line, StringConstraints(min_length=1, max_length=NAME_LENGTH)]
Reason = Annotated[Line, StringConstraints(max_length=REASON_LENGTH)]
