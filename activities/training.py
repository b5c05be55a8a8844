"""Step: fine-tune a LoRA adapter in a child process, and register the model version."""

import hashlib
import json
import shutil
from dataclasses import dataclass

from pydantic import TypeAdapter
from temporalio import activity

import db.counts
import db.models
from activities.artifacts import local_path
from activities.child import run_child
from activities.resources import Resources
from contracts import ModelRef, Train, Training, TrainJob

_recipe = TypeAdapter(Training)


@dataclass(frozen=True)
class TrainingActivities:
    resources: Resources

    @activity.defn
    async def train(self, request: Train) -> ModelRef:
        """Idempotent: the same samples and recipe are the same model version, whoever asks."""
        recipe = _recipe.dump_python(request.training, mode="json")
        with self.resources.engine.connect() as connection:
            known = db.models.find(connection, request.counts, request.samples.hash, recipe)
            cluster_set = db.counts.describe(connection, request.counts).cluster_set
        if known:
            return known
        key = hashlib.sha256(request.samples.hash.encode() + _recipe.dump_json(request.training)).hexdigest()
        work = self.resources.work("train", key[:16])
        adapter = work / "adapter"
        job = TrainJob(str(local_path(request.samples.uri) / "samples.parquet"), request.training, str(work), str(adapter))
        await run_child("engines.train", job, work, self.resources.home)
        metrics = json.loads((adapter / "train.json").read_text())
        uri, digest = self.resources.artifacts.store("adapters", adapter)
        with self.resources.engine.begin() as connection:
            model = db.models.add(
                connection,
                cluster_set=cluster_set,
                counts=request.counts,
                base_model=request.training.base_model,
                adapter_uri=uri,
                adapter_hash=digest,
                samples_hash=request.samples.hash,
                recipe=recipe,
                metrics=metrics,
                run=request.run,
            )
        shutil.rmtree(work)
        return model
