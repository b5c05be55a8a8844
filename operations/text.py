"""Texts of logs, models and people on their way to a person: what a screen would obey is written out."""

import re

from pydantic import TypeAdapter, ValidationError

from driftline.contracts import Name, Reason

NAME, REASON = TypeAdapter[str](Name), TypeAdapter[str](Reason)

# Control characters and marks that change the direction of writing. Lines and tabs are let through.
UNSEEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")


def seen(text: str) -> str:
    """The text with what a terminal or a browser would obey written out, as `\\x1b`."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


FORMULA = tuple("=+-@＝＋－＠")
"""What a spreadsheet takes for the beginning of a formula."""


def inert(text: str) -> str:
    """The text as a cell of a file that a spreadsheet opens: never a formula, which may send what is beside it away."""
    shown = seen(text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) else shown


def checked(what: str, kind: TypeAdapter[str], text: str) -> str:
    """A person's text, if it is of its kind (`contracts.Name`, `contracts.Reason`).

    Raises:
        ValueError: it is not; says why.
    """
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise ValueError(f"the {what}: {error.errors()[0]['msg']}") from None
