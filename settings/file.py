"""Reads `driftline.toml`, and says of a setting that is wrong where it was set."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import TomlConfigSettingsSource

SECRETS = {"web": ("client_secret", "session_secret"), "dashboards": ("token", "password")}
"""Settings that no file may hold."""


def settings_file() -> Path:
    """Where the settings are read from; it need not be there.

    Raises:
        ValueError: something else lies there: a folder, or a link to nowhere.
    """
    file = Path("driftline.toml")
    found = file if os.path.lexists(file) else Path(os.environ.get("DRIFTLINE_HOME", ".driftline")) / file
    if os.path.lexists(found) and not found.is_file():
        raise ValueError(f"{found} is no file: rename it, or remove it")
    return found


def problems(error: ValidationError) -> Iterator[tuple[list[str], str, str]]:
    """Yields, for each setting that is wrong, its path, what is wrong, and where it was set if not by a caller's argument."""
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        names = ["DRIFTLINE_" + "__".join(path[:depth]).upper() for depth in range(len(path), 0, -1)]
        yield path, problem["msg"], next((name for name in names if name in os.environ), str(settings_file()))


class Toml(TomlConfigSettingsSource):
    """Reads TOML, also of a file that Notepad saved, which begins with a byte order mark or is UTF-16."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        try:
            content = file_path.read_bytes()
        except OSError as error:
            raise ValueError(f"{file_path} cannot be read ({error.strerror}): let this user read it, or remove it") from None
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            found = tomllib.loads(content.decode(encoding))
        except ValueError as error:
            raise ValueError(f"{file_path}: {error}") from None
        for group, names in SECRETS.items():
            for name in set(names) & set(found.get(group, {})):
                variable = f"DRIFTLINE_{group}__{name}".upper()
                raise ValueError(f"{file_path}: {group}.{name} is a secret: remove it, and set {variable} in the environment")
        return found
