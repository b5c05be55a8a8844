"""Environments of their own for peers whose pins clash with ours."""

import subprocess
import sys
import venv
from pathlib import Path

HOME = Path(__file__).parent.parent / ".venv-bench"


def python(name: str, *packages: str) -> str:
    """The interpreter of an environment with these packages, which is made when it is missing."""
    home = HOME / name
    made = home / ".installed"
    if not made.exists() or made.read_text().split() != list(packages):
        venv.create(home, clear=True, with_pip=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, *packages], stdout=sys.stderr, check=True)
        made.write_text("\n".join(packages))
    return str(home / "bin" / "python")
