"""What makes a model version another one, and that the same is trained once."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from driftline.activities.training import TrainingActivities, _recipe
from driftline.contracts import (
    BadInput,
    CurateSamples,
    ModelRef,
    Retrieval,
    RunIds,
    Samples,
    SamplesRef,
    Train,
    Training,
    ValidationRef,
)
from driftline.db import models as db_models
from driftline.settings import Settings
from tests.activities.chain import RUN, Chain
from tests.end_to_end.shop import VOCABULARY
from tests.tiny import make_tiny_llm


def test_the_number_of_processes_and_of_checkpoints_makes_no_other_version() -> None:
    samples = SamplesRef(uri="file:///samples", hash="0", samples=100, labels=10)
    asked = Train(samples, Training(), CurateSamples(1, Samples(), Retrieval()), RunIds("workflow", "run"))
    shared = replace(asked, training=Training(processes=4, checkpoint_every=99))
    assert _recipe(shared) == _recipe(asked)
    validation = ValidationRef("file:///validation", "v", 2, 128, 128)
    assert _recipe(replace(asked, validation=validation)) != _recipe(asked)
    elsewhere = replace(validation, uri="file:///elsewhere")
    assert _recipe(replace(asked, validation=validation)) == _recipe(replace(asked, validation=elsewhere))
    assert _recipe(replace(asked, training=Training(rank=8))) != _recipe(asked)
    assert "processes" not in _recipe(asked)
    assert _recipe(replace(asked, training=Training(precision="float32"))) != _recipe(asked)


def test_the_same_samples_and_recipe_are_the_same_model(postgres_url: str, tmp_path: Path, engines_here: list[str]) -> None:
    """A small LLM is trained once; whoever asks again gets what was made, and a lost adapter is made again."""
    chain = Chain(postgres_url, tmp_path)
    recipe = Training(base_model=str(make_tiny_llm(tmp_path / "llm", words=VOCABULARY, vocabulary=600)), steps=4, rank=4, alpha=8)
    chain.resources.allowed.add(Settings(source=chain.source, training=recipe))
    curated = CurateSamples(chain.counted().version, Samples(pairs_per_label=4), Retrieval())
    request = Train(chain.curated(), recipe, curated, RUN)

    async def trained(asked: Train) -> ModelRef:
        found: ModelRef = await ActivityEnvironment().run(TrainingActivities(chain.resources).train, asked)
        return found

    first = asyncio.run(trained(request))
    adapter = chain.resources.artifacts.find(first.adapter_uri, first.adapter_hash)
    assert (adapter / "adapter_model.safetensors").exists()
    assert not list((chain.resources.home / "work").iterdir()), "the checkpoints are gone once the version is on record"
    with chain.engine.connect() as connection:
        made = db_models.describe(connection, first.version)
    assert len(made.metrics["losses"]) > 0

    engines_here.clear()
    assert asyncio.run(trained(replace(request, run=RunIds("another", "run")))) == first
    assert engines_here == []
    shutil.rmtree(adapter)
    again = asyncio.run(trained(request))
    assert (again.version, again.adapter_hash, engines_here) == (first.version, first.adapter_hash, ["driftline.engines.train"])


def test_a_model_that_nobody_here_has_named_is_not_trained(postgres_url: str, tmp_path: Path) -> None:
    chain = Chain(postgres_url, tmp_path)
    curated = CurateSamples(chain.counted().version, Samples(), Retrieval())
    request = Train(chain.curated(), Training(base_model="acme/unknown"), curated, RUN)
    with pytest.raises(BadInput, match="this model"):
        asyncio.run(ActivityEnvironment().run(TrainingActivities(chain.resources).train, request))
