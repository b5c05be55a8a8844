"""Step: answer every ordered pair in a child process."""

import asyncio
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter
from temporalio import activity

from activities.artifacts import hash_folder, local_path
from activities.child import run_child
from activities.resources import Resources
from contracts import GenerateJob, GenerateMapping, MappingRef

_request = TypeAdapter(GenerateMapping)


@dataclass(frozen=True)
class MappingActivities:
    resources: Resources

    @activity.defn
    async def generate_mapping(self, request: GenerateMapping) -> MappingRef:
        """Idempotent: the same prompts, model and decoding are the same mapping; finished blocks are kept across attempts."""
        key = hashlib.sha256(_request.dump_json(request)).hexdigest()
        folder = self.resources.artifacts.root.absolute() / "mappings" / key
        if not folder.exists():
            work = self.resources.work("mapping", key[:16])
            new = work / "new"
            new.mkdir(exist_ok=True)
            job = GenerateJob(
                prompts=str(local_path(request.prompts.uri)),
                base_model=request.model.base_model,
                adapter=str(local_path(request.model.adapter_uri)),
                generation=request.generation,
                work=str(work),
                out=str(new / "mapping.parquet"),
            )
            await run_child("engines.generate", job, work, self.resources.home)
            folder.parent.mkdir(parents=True, exist_ok=True)
            new.replace(folder)
            shutil.rmtree(work)
        return await asyncio.to_thread(_ref, folder)


def _ref(folder: Path) -> MappingRef:
    exact = pq.read_table(folder / "mapping.parquet", columns=["exact"])["exact"]
    return MappingRef(folder.as_uri(), hash_folder(folder), len(exact), pc.sum(exact).as_py() or 0)
