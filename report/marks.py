"""Sentences as HTML, for every page."""

import re

from markupsafe import Markup, escape


def code(text: str) -> Markup:
    """Text with `commands` set as code, in which a number stays with its percent sign and with its `n =`."""
    text = re.sub(r"(?<=\d) (?=%)", "\u00a0", text).replace("n = ", "n\u00a0=\u00a0")
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
