"""A job that cannot fit is refused before its weights are loaded."""

from pathlib import Path

import pytest

from driftline.contracts import BadInput, Training, TrainJob
from driftline.contracts.children import CHECK_MEMORY
from driftline.engines import memory, weights
from driftline.engines.train import train
from driftline.interests.memory import GIB, Need
from tests.engines.conftest import write_samples

BIG = Need(weights=6 * GIB, work=1 * GIB)


def test_what_never_fits_is_bad_input_and_what_does_not_now_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check(BIG, "", (8 * GIB, 8 * GIB))
    with pytest.raises(BadInput, match=r"needs about 7\.5 GiB.*there are 4\.0 GiB: lower it, or set children\.check_memory"):
        memory.check(BIG, "lower it", (4 * GIB, 4 * GIB))
    with pytest.raises(RuntimeError, match=r"only 2\.0 of 8\.0 GiB are free now"):
        memory.check(BIG, "lower it", (8 * GIB, 2 * GIB))
    monkeypatch.setenv(CHECK_MEMORY, "false")
    memory.check(BIG, "lower it", (4 * GIB, 2 * GIB))


def test_training_asks_before_it_loads(tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = write_samples(tmp_path / "samples.parquet")
    training = Training(base_model=str(tiny_llm), rank=4, steps=1, batch_size=4)
    job = TrainJob(str(samples), training, work=str(tmp_path / "work"), out=str(tmp_path / "out"))
    monkeypatch.setattr(memory, "_there_is", lambda: (GIB // 4, GIB // 4))
    monkeypatch.setattr(weights, "load_model", lambda name: pytest.fail("loaded"))
    with pytest.raises(BadInput, match=r"there are 0\.2 GiB: lower training\.batch_size"):
        train(job)
    monkeypatch.setenv(CHECK_MEMORY, "false")
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        train(job)
