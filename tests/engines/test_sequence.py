"""The sequence recommender's training: what it learns, and what an interrupted one leaves behind, by really interrupting it."""

import dataclasses
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from driftline.contracts import BadInput, Recommender, TrainEncoderJob, Window
from driftline.engines.sequence.batches import Batches, Draws, first_times
from driftline.engines.sequence.model import TorchEncoder, sampled_loss
from driftline.engines.sequence.train import train
from driftline.interests.recommender import histories
from driftline.interests.recommender.encoder import Encoder
from driftline.interests.recommender.index import by_cluster
from tests.engines.conftest import start

START = datetime(2026, 1, 1)
KNOBS = Recommender(
    dimensions=16, blocks=2, heads=2, length=8, negatives=32, batch_size=16, learning_rate=1e-2, epochs=6, patience=6
)
ITEMS, CLUSTERS = 40, 4


@pytest.fixture
def job(tmp_path: Path) -> TrainEncoderJob:
    """A planted order: whoever took item i takes item i + 1, which is of the next interest; each from a place of their own."""
    folder = tmp_path / "sequences"
    folder.mkdir()
    index = by_cluster(pa.table({"item": [f"i{n:02d}" for n in range(ITEMS)], "cluster": np.arange(ITEMS) % CLUSTERS}), CLUSTERS)
    rng = np.random.default_rng(0)
    rows = []
    for user in range(120):
        begin = int(rng.integers(0, ITEMS))
        for place in range(10):
            item = f"i{(begin + place) % ITEMS:02d}"
            # The last two items of each user are of the validation days.
            rows.append(
                (f"u{user:03d}", index.rows(pa.array([item]))[0], START + timedelta(days=place + (20 if place > 7 else 0)))
            )
    users, taken, times = zip(*rows, strict=True)
    pq.write_table(pa.table({"item": index.items, "cluster": index.clusters}), folder / "items.parquet")
    steps = {"user": users, "cluster": pa.array(taken, pa.int32()), "ts": pa.array(times, pa.timestamp("us"))}
    pq.write_table(pa.table(steps), folder / "steps.parquet")
    validation = Window(datetime(2026, 1, 20, tzinfo=UTC), datetime(2026, 2, 20, tzinfo=UTC))
    return TrainEncoderJob(str(folder), KNOBS, validation, str(tmp_path / "work"), str(tmp_path / "out"))


def test_it_learns_an_order_that_popularity_does_not_know(job: TrainEncoderJob) -> None:
    train(job)
    facts = json.loads((Path(job.out) / "train.json").read_text())
    assert facts["losses"][-1] < facts["losses"][0] * 0.7
    assert max(facts["ndcg"]) > 0.8  # each interest has 10 items, and nothing is more popular than anything else
    assert facts["ndcg"][facts["best_epoch"] - 1] == max(facts["ndcg"])
    assert facts["cpu_seconds"] > 0


def test_numpys_forward_pass_is_the_one_that_was_trained() -> None:
    torch.manual_seed(0)
    model = TorchEncoder(KNOBS, np.arange(ITEMS)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    weights, vectors = model.export()
    rows = np.array([[3, 9, 1, 7, 7, 2, 0, 5], [-1, -1, -1, 4, 8, 6, 1, 30], [-1] * 7 + [11]], np.int32)
    with torch.no_grad():
        wanted = model(torch.from_numpy(np.where(rows < 0, ITEMS, rows)).long())[:, -1].numpy()
    assert Encoder(weights, KNOBS.heads).encode(rows, vectors)[:, :-1] == pytest.approx(wanted, abs=1e-5)


def test_the_sampled_loss_is_in_the_mean_that_over_all_items() -> None:
    """The correction by what a draw expects: without it the mean would be off by far."""
    torch.manual_seed(0)
    items = torch.nn.Embedding(ITEMS, 5)
    users, targets = torch.randn(6, 4), torch.randint(0, ITEMS, (6,))
    index = by_cluster(pa.table({"item": [f"i{n:02d}" for n in range(ITEMS)], "cluster": np.arange(ITEMS) % 7 % 3}), 3)
    draws = Draws(index, np.arange(1, ITEMS + 1), dataclasses.replace(KNOBS, negatives=4000))
    with torch.no_grad():
        logits = users @ items.weight[:, :-1].T + items.weight[:, -1]
        wanted = torch.nn.functional.cross_entropy(logits, targets).item()
        found = []
        for step in range(20):
            drawn = draws.of(step)
            rows, expected = torch.from_numpy(drawn.rows).long(), torch.from_numpy(drawn.log_expected)
            found.append(sampled_loss(users, targets, rows, expected, items).item())
    assert np.mean(found) == pytest.approx(wanted, rel=0.01)
    share = np.bincount(index.clusters[draws.of(0).rows], minlength=3) / 4000
    assert share == pytest.approx([1 / 3] * 3, abs=0.01)


def test_pieces_have_every_step_once_and_only_first_times_are_learned(job: TrainEncoderJob) -> None:
    rows = np.array([0, 1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 1, 10, 11, 20, 21], np.int32)
    times = np.arange(len(rows)).astype("datetime64[us]")
    both = histories.Histories(pa.array(["a", "b"]), np.array([0, 14, 16]), rows, times)
    assert first_times(both).tolist() == [1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1]
    batches = Batches(both, dataclasses.replace(KNOBS, length=4, batch_size=100))
    for epoch in range(4):
        batch = batches.of(epoch)
        learned = sorted(batch.targets[batch.targets >= 0].tolist())
        assert learned == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 21], epoch
        assert ((batch.inputs >= 0) | (batch.targets < 0)).all()


@pytest.mark.long
def test_killed_and_stopped_it_ends_with_the_same_bits(job: TrainEncoderJob, tmp_path: Path) -> None:
    job = dataclasses.replace(job, recommender=dataclasses.replace(KNOBS, epochs=12, patience=12, checkpoint_every=5))
    whole = dataclasses.replace(job, work=str(tmp_path / "work-whole"), out=str(tmp_path / "out-whole"))
    train(whole)
    steps = json.loads((Path(whole.out) / "train.json").read_text())["steps"]
    for at, number, code in ((steps // 3, signal.SIGKILL, -signal.SIGKILL), (2 * steps // 3, signal.SIGTERM, 75)):
        with start("sequence.train", job, tmp_path) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if json.loads(line)["done"] >= at:
                    process.send_signal(number)
                    break
            process.communicate()
        assert process.returncode == code
        assert not Path(job.out).exists()
    with start("sequence.train", job, tmp_path) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "goes on after step" in errors
    for name in ("encoder.npz", "vectors.npy"):
        assert (Path(job.out) / name).read_bytes() == (Path(whole.out) / name).read_bytes()
    facts, whole_facts = (json.loads((Path(folder) / "train.json").read_text()) for folder in (job.out, whole.out))
    assert (facts["losses"], facts["ndcg"]) == (whole_facts["losses"], whole_facts["ndcg"])
    assert facts["wall_seconds"] > 0
    assert not list(Path(job.work).iterdir())


def test_a_log_without_a_sequence_is_refused(job: TrainEncoderJob) -> None:
    early = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(BadInput, match=r"recommender\.days"):
        train(dataclasses.replace(job, validation=early))
