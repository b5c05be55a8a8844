"""Whose process this is."""

import os
import pwd


def login() -> str | None:
    """The name of the user that this process belongs to, whatever the environment says; None: the user id has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in some containers
        return None
