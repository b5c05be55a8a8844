"""A disk that takes no more, by a limit of the process: nothing half is left, and the next attempt finishes."""

import subprocess
import sys
from pathlib import Path

import pytest

from driftline.activities.artifacts import LocalArtifacts

STORE = """
import resource, sys
from pathlib import Path
from driftline.activities.artifacts import LocalArtifacts
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    LocalArtifacts(Path(sys.argv[1])).{call}
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("call", ["store('adapters', Path(sys.argv[2]))", "put('mappings/f00d', 'abc', Path(sys.argv[2]))"])
def test_nothing_half_is_left_of_what_did_not_fit(tmp_path: Path, call: str) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "weights").write_bytes(b"x" * 5000)
    (tmp_path / "made" / "small").write_bytes(b"y")
    command = [sys.executable, "-c", STORE.format(call=call), str(tmp_path / "artifacts"), str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert not [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    uri, digest = LocalArtifacts(tmp_path / "artifacts").store("adapters", tmp_path / "made")
    assert (LocalArtifacts(tmp_path / "artifacts").find(uri, digest) / "weights").stat().st_size == 5000
