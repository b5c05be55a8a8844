"""Step: fine-tune a LoRA adapter in a child process, and register the model version."""

import asyncio
import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from temporalio import activity

from driftline.activities import computed
from driftline.activities.child import run_child
from driftline.activities.resources import Resources
from driftline.contracts import BadInput, ModelRef, Train, TrainJob
from driftline.db import counts as db_counts
from driftline.db import models as db_models

_request = TypeAdapter(Train)
SHAPELESS = ("processes", "checkpoint_every", "gradient_checkpointing")
"""Knobs of a training that change no weight, or by rounding only."""
NEW = ("quantize", "none")
"""Recipes of before it was a knob have none of it: they are the same models."""


@dataclass(frozen=True)
class TrainingActivities:
    resources: Resources

    @activity.defn
    async def train(self, request: Train) -> ModelRef:
        """Trains a LoRA adapter in a child process, and stores the model. Idempotent: the same samples and recipe are the same
        version, whoever asks. `auto` becomes the precision that this worker computes in."""
        self.resources.allowed.check_model(request.training.base_model)
        own = await computed.resolve(self.resources, "peft", request.training.precision)
        request = replace(request, training=replace(request.training, precision=own.precision))
        recipe = _recipe(request)
        known = await asyncio.to_thread(self._known, request, recipe)
        if known:
            return known
        key = hashlib.sha256(json.dumps([request.samples.hash, recipe], sort_keys=True).encode()).hexdigest()
        work = self.resources.work("train", key[:16])
        adapter = work / "adapter"
        find = self.resources.artifacts.find
        samples = await asyncio.to_thread(find, request.samples.uri)
        validation = await asyncio.to_thread(find, request.validation.uri) if request.validation else None
        job = TrainJob(
            samples=str(samples / "samples.parquet"),
            training=request.training,
            work=str(work),
            out=str(adapter),
            engine=request.engine,
            validation=str(validation) if validation else None,
        )
        await run_child("driftline.engines.train", job, work, self.resources.home, self.resources.children)
        return await asyncio.to_thread(self._register, request, recipe, work, adapter)

    def _known(self, request: Train, recipe: dict[str, Any]) -> ModelRef | None:
        """The model that this recipe made before; none if its adapter is lost or damaged, so that it is made again."""
        with self.resources.engine.connect() as connection:
            found = db_models.find(connection, request.curated.counts, request.samples.hash, recipe)
        try:
            return found if found and self.resources.artifacts.find(found.adapter_uri, found.adapter_hash) else None
        except BadInput:
            return None

    def _register(self, request: Train, recipe: dict[str, Any], work: Path, adapter: Path) -> ModelRef:
        """The work goes last: until the version is on record, a retry finds the adapter there."""
        uri, digest = self.resources.artifacts.store("adapters", adapter)
        with self.resources.engine.begin() as connection:
            model = db_models.add(
                connection,
                cluster_set=db_counts.describe(connection, request.curated.counts).cluster_set,
                counts=request.curated.counts,
                base_model=request.training.base_model,
                adapter_uri=uri,
                adapter_hash=digest,
                samples_hash=request.samples.hash,
                recipe=recipe,
                metrics=json.loads((adapter / "train.json").read_text()),
                run=request.run,
                validation_counts=request.validation.counts if request.validation else None,
            )
        shutil.rmtree(work)
        return model


def _recipe(request: Train) -> dict[str, Any]:
    """Every knob that shaped the adapter, as it is kept in Postgres, and what it was validated on.

    How many processes shared the work did not shape it, nor how often they kept a checkpoint or what they computed twice.
    """
    asked = _request.dump_python(request, mode="json")
    recipe = {name: value for name, value in asked["training"].items() if name not in SHAPELESS and (name, value) != NEW}
    recipe |= {"samples": asked["curated"]["samples"], "retrieval": asked["curated"]["retrieval"]}
    return recipe | {"validation": request.validation.hash if request.validation else None}
