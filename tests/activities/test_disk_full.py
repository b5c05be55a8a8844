"""A disk that takes no more, by a limit of the process or as a file system that is read-only: nothing half is left, and the next
attempt finishes."""

import subprocess
import sys
from pathlib import Path

import pytest

from driftline.activities.artifacts import LocalArtifacts

STORE = """
import resource, sys
from pathlib import Path
from driftline.activities.artifacts import LocalArtifacts
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
try:
    LocalArtifacts(Path(sys.argv[1])).{call}
except OSError as error:
    print(error)
"""
READ_ONLY = ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"']


@pytest.mark.parametrize(
    ("call", "limit", "words"),
    [
        ("store('adapters', Path(sys.argv[2]))", 1000, "File too large"),
        ("put('mappings/f00d', 'abc', Path(sys.argv[2]))", 1000, "File too large"),
        ("store('adapters', Path(sys.argv[2]))", -1, "Read-only file system"),
    ],
)
def test_nothing_half_is_left_of_what_did_not_fit(tmp_path: Path, call: str, limit: int, words: str) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "weights").write_bytes(b"x" * 5000)
    (tmp_path / "made" / "small").write_bytes(b"y")
    (home := tmp_path / "artifacts").mkdir()
    if limit < 0 and subprocess.run([*READ_ONLY, str(home), "true"], capture_output=True, check=False).returncode:
        pytest.skip("a user may not mount here")
    where = [*READ_ONLY, str(home)] if limit < 0 else []
    command = [*where, sys.executable, "-c", STORE.format(call=call), str(home), str(tmp_path / "made"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert words in done.stdout
    assert not [path for path in home.rglob("*") if path.is_file()]
    uri, digest = LocalArtifacts(home).store("adapters", tmp_path / "made")
    assert (LocalArtifacts(home).find(uri, digest) / "weights").stat().st_size == 5000
