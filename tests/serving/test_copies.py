from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from driftline.serving import copies
from driftline.system.files import Damaged

KINDS = st.sampled_from([np.int16, np.int32, np.uint64, np.float64])
ARRAYS = st.dictionaries(st.text(max_size=5), KINDS.flatmap(lambda kind: arrays_of.arrays(kind, st.integers(0, 70))), max_size=4)


@given(st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3)), ARRAYS)
def test_what_is_read_is_what_was_written(facts: dict[str, list[str]], arrays: copies.Arrays) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy"
        copies.write(path, facts, arrays)
        found, read = copies.read(path)
        assert found == facts
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            assert read[name].tobytes() == array.tobytes()
            assert not read[name].flags.writeable or not len(array)
        assert [file.name for file in Path(folder).iterdir()] == ["copy"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    copies.write(tmp_path / "copy", {"names": ["tea"]}, {"answers": np.arange(100, dtype=np.int16)})
    return tmp_path / "copy"


def test_any_changed_byte_is_damage(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Damaged, match="is damaged"):
            copies.read(path)


def test_a_file_that_ends_early_is_damage(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Damaged, match="is damaged"):
            copies.read(path)


def test_who_has_mapped_a_copy_keeps_it(path: Path) -> None:
    _, before = copies.read(path)
    copies.write(path, {}, {"answers": np.zeros(100, np.int16)})
    assert before["answers"].tolist() == list(range(100))
    path.unlink()
    assert before["answers"].tolist() == list(range(100))


def test_a_write_that_fails_leaves_the_old_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    whole = path.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        copies.write(path, {}, {"answers": np.zeros(100, np.int16)})
    assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == ["copy"]
