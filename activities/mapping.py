"""Step: answer every ordered pair in a child process."""

import asyncio
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from driftline.activities import computed
from driftline.activities.artifacts import hash_folder
from driftline.activities.child import run_child
from driftline.activities.resources import Resources
from driftline.contracts import BadInput, Computed, Cost, GenerateJob, GenerateMapping, MappingRef, ModelRef
from driftline.db import models as db_models

KNOWN = 16
"""Earlier mappings whose answers are looked through, newest first: a month of refreshes every two days."""

_request = TypeAdapter(GenerateMapping)
_cost = TypeAdapter(Cost)


@dataclass(frozen=True)
class MappingActivities:
    resources: Resources

    @activity.defn
    async def generate_mapping(self, request: GenerateMapping) -> MappingRef:
        """Answers every ordered pair in a child process. Idempotent: the same prompts, model and decoding on the same kind of
        machine are the same mapping; finished blocks are kept across attempts.

        Mappings of one model, decoding, wording of the clusters and kind of machine are kept side by side, by the hash of their
        prompts. A prompt that one of them has answered is not asked again.
        """
        artifacts, model = self.resources.artifacts, request.model
        await asyncio.to_thread(self._check_model, model)
        prompts = await asyncio.to_thread(artifacts.find, request.prompts.uri)
        own = await computed.resolve(self.resources, request.generation.engine, request.generation.precision)
        siblings = f"mappings/{await asyncio.to_thread(_family, request, prompts, own)}"
        found = await asyncio.to_thread(artifacts.get, siblings, request.prompts.hash)
        if found is None:
            key = f"{siblings.rpartition('/')[2]}/{request.prompts.hash}"
            work = self.resources.work("mapping", hashlib.sha256(key.encode()).hexdigest()[:16])
            new = work / "new"
            known = await asyncio.to_thread(artifacts.newest, siblings, KNOWN)
            job = GenerateJob(
                prompts=str(prompts),
                base_model=model.base_model,
                adapter=str(await asyncio.to_thread(artifacts.find, model.adapter_uri, model.adapter_hash)),
                generation=request.generation,
                work=str(work),
                out=str(new),
                sampling=request.sampling,
                known=tuple(map(str, known)),
                computed=own,
            )
            try:
                await run_child("driftline.engines.generate", job, work, self.resources.home, self.resources.children)
            except ApplicationError:
                computed.forget()  # the machine may have changed, which a child refuses
                raise
            uri = await asyncio.to_thread(artifacts.put, siblings, request.prompts.hash, new)
            ref = await asyncio.to_thread(_ref, uri, new)
            shutil.rmtree(work)
            return ref
        return await asyncio.to_thread(_ref, *found)

    def _check_model(self, model: ModelRef) -> None:
        """Refuses a base model that nobody named.

        Raises:
            BadInput: a base model that nobody allowed, and that is not the one on record for this version.
        """
        try:
            self.resources.allowed.check_model(model.base_model)
        except BadInput:
            with self.resources.engine.connect() as connection:
                if db_models.get(connection, model.version).base_model != model.base_model:
                    raise


def _family(request: GenerateMapping, prompts: Path, own: Computed) -> str:
    """Hash of all that decides an answer beside the prompt."""
    labels = pq.read_table(prompts / "labels.parquet", columns=["cluster", "description"]).sort_by("cluster")
    asked = _request.dump_python(request, mode="json")
    model = [request.model.base_model, request.model.adapter_hash]
    decides = [*model, request.generation.decides() | asdict(own), asked["sampling"], labels["description"].to_pylist()]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _ref(uri: str, folder: Path) -> MappingRef:
    mapping = pq.read_table(folder / "mapping.parquet", columns=["c_next", "exact"])
    exact = mapping["exact"]
    spent = folder / "cost.json"
    cost = _cost.validate_json(spent.read_bytes()) if spent.exists() else None
    n, own = pc.sum(exact).as_py() or 0, computed.read(folder)
    return MappingRef(uri, hash_folder(folder), len(exact), n, cost, own, _likeliest(folder, mapping))


def _likeliest(folder: Path, mapping: pa.Table) -> int | None:
    """Pairs whose greedy answer is also the likeliest one; None without scores."""
    if not (folder / "scores.parquet").exists():
        return None
    best = pc.list_element(pq.read_table(folder / "scores.parquet", columns=["answer"])["answer"], 0)
    return pc.sum(pc.equal(best, mapping["c_next"])).as_py() or 0
