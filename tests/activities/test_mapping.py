"""Mappings of one model side by side: what one has answered the next does not ask."""

import hashlib
from pathlib import Path

import pytest
import sqlalchemy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from driftline.activities.artifacts import LocalArtifacts
from driftline.activities.mapping import MappingActivities
from driftline.activities.resources import Resources
from driftline.contracts import GenerateMapping, Generation, MappingRef, ModelRef, PromptsRef, Sampling, Training, TrainJob
from driftline.settings import Settings
from tests.engines.conftest import DESCRIPTIONS, write_prompts, write_samples
from tests.tiny import make_tiny_llm


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRef:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    from driftline.engines.train import train

    llm, samples, adapter = make_tiny_llm(tmp_path / "llm"), write_samples(tmp_path / "samples.parquet"), tmp_path / "adapter"
    recipe = Training(base_model=str(llm), rank=4, alpha=8, learning_rate=1e-2, steps=3, batch_size=4)
    train(TrainJob(str(samples), recipe, str(tmp_path / "checkpoints"), str(adapter)))
    return ModelRef(1, 1, str(llm), *LocalArtifacts(tmp_path / "home" / "artifacts").store("adapters", adapter))


def prompts(folder: Path, descriptions: list[str], told: dict[tuple[int, int], str] | None = None) -> PromptsRef:
    write_prompts(folder, descriptions, told)
    uri, _ = LocalArtifacts(folder.parent / "home" / "artifacts").store("prompts", folder)
    return PromptsRef(uri, hashlib.sha256((folder / "prompts.parquet").read_bytes()).hexdigest(), 30)


async def test_a_refresh_asks_only_what_has_changed(model: ModelRef, engines_here: list[str], tmp_path: Path) -> None:
    resources = Resources(sqlalchemy.create_engine("postgresql+psycopg://"), tmp_path / "home")
    resources.allowed.add(Settings(training=Training(base_model=model.base_model)))
    activities, place = MappingActivities(resources), LocalArtifacts(tmp_path / "home" / "artifacts").place

    async def mapped(of: PromptsRef, sampling: Sampling | None = None) -> MappingRef:
        request = GenerateMapping(of, model, Generation(batch_size=4), sampling)
        ref: MappingRef = await ActivityEnvironment().run(activities.generate_mapping, request)
        assert not list((tmp_path / "home" / "work").iterdir())
        return ref

    def asked(ref: MappingRef) -> tuple[int, int]:
        assert ref.cost is not None
        return ref.cost.asked, ref.cost.reused

    plain = prompts(tmp_path / "plain", DESCRIPTIONS)
    once = await mapped(plain)
    assert asked(once) == (30, 0)
    assert once.cost is not None
    assert once.cost.tokens > 30
    assert once.cost.cpu_seconds > 0
    assert await mapped(plain) == once  # idempotent: what it cost is what it cost then

    told = prompts(tmp_path / "told", DESCRIPTIONS, {(0, 1): "Often next: soft drinks\n", (5, 2): "Often next: bread, fresh\n"})
    refreshed = await mapped(told)
    assert asked(refreshed) == (2, 28)
    assert place(refreshed.uri).parent == place(once.uri).parent

    # Another decoding, and other words for the clusters, are other answers.
    sampled = await mapped(plain, Sampling(temperature=1.0, seed=1))
    renamed = await mapped(prompts(tmp_path / "renamed", [*DESCRIPTIONS[:5], "soft cheese"]))
    assert asked(sampled) == asked(renamed) == (30, 0)
    assert len({place(ref.uri).parent for ref in (once, sampled, renamed)}) == 3

    # A mapping made before costs and machines were kept.
    (place(once.uri) / "cost.json").unlink()
    (place(once.uri) / "computed.json").unlink()
    older = await mapped(plain)
    assert (older.hash, older.cost, older.computed) == (once.hash, None, None)

    # One that is damaged is set aside: the next takes over nothing from it, and makes it again.
    damaged = place(refreshed.uri) / "mapping.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-8] + b"DAMAGED!")
    newest = resources.artifacts.newest(f"mappings/{damaged.parent.parent.name}", 16)
    assert newest
    assert damaged.parent not in newest
    assert not damaged.exists()


async def test_two_kinds_of_machine_never_mix_their_answers(
    model: ModelRef, engines_here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that share a home; torch on the second one has narrow vectors only."""
    resources = Resources(sqlalchemy.create_engine("postgresql+psycopg://"), tmp_path / "home")
    resources.allowed.add(Settings(training=Training(base_model=model.base_model)))
    activities, place = MappingActivities(resources), LocalArtifacts(tmp_path / "home" / "artifacts").place

    async def mapped(of: PromptsRef) -> MappingRef:
        request = GenerateMapping(of, model, Generation(batch_size=4, precision="float32"))
        ref: MappingRef = await ActivityEnvironment().run(activities.generate_mapping, request)
        return ref

    plain = prompts(tmp_path / "plain", DESCRIPTIONS)
    told = prompts(tmp_path / "told", DESCRIPTIONS, {(0, 1): "Often next: soft drinks\n"})
    one = await mapped(plain)
    assert one.computed is not None
    assert (one.computed.engine, one.computed.precision) == ("trie", "float32")

    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    # The first worker's children notice that the machine has changed; the attempt after that asks it anew.
    with pytest.raises(ApplicationError, match="its worker counts on"):
        await mapped(told)
    other = await mapped(told)
    assert other.computed is not None
    assert other.computed != one.computed
    assert other.cost is not None
    assert (other.cost.asked, other.cost.reused) == (30, 0)
    assert place(other.uri).parent != place(one.uri).parent
