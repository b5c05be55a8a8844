"""`make audit` says when it does not know."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bench.audit import CLEAN, UNKNOWN, VULNERABLE, judge

ROOT = Path(__file__).parents[1]
SIX: dict[str, Any] = {"name": "six", "version": "1.17.0", "vulns": []}
HOLE: dict[str, Any] = {"name": "old", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}]}
SKIPPED: dict[str, Any] = {"name": "mirrored", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SIX], CLEAN, "no known vulnerability in 1 packages"),
        ([SIX, HOLE, SKIPPED], VULNERABLE, "old 1: PYSEC-1, fixed in ['2']"),
        ([SIX, SKIPPED], UNKNOWN, "not audited: 1 of 2"),  # pip-audit ends with 0 here
        ([], UNKNOWN, "not audited"),
    ],
)
def test_what_was_not_asked_is_not_clean(packages: list[dict[str, Any]], code: int, said: str) -> None:
    found, lines = judge({"dependencies": packages})
    assert found == code
    assert said in "\n".join(lines)


@pytest.mark.skipif(find_spec("pip_audit") is None, reason="pip-audit is installed by `make audit` only")
def test_a_database_that_does_not_answer_is_a_code_of_its_own() -> None:
    env = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    done = subprocess.run([sys.executable, "-m", "bench.audit"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == UNKNOWN
    assert "could not be asked" in done.stdout
