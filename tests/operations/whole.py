"""Whole runs: the real workflows and every real step of a worker in this process, on a real Temporal and a real Postgres."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from temporalio.testing import WorkflowEnvironment

from driftline import worker
from driftline.activities.artifacts import LocalArtifacts, hash_folder
from driftline.operations import runs
from driftline.operations.context import Context
from driftline.operations.runs import RunFailed
from driftline.settings import Settings
from tests.activities.chain import Chain
from tests.chaos.pipelines import BROKEN
from tests.end_to_end.shop import NAMES

NOMINAL = datetime(2024, 4, 10, tzinfo=UTC)
SMALL = {
    "rag_refresh": {"days": 40, "test_days": 20, "validation_days": 20, "answers": "counts"},
    "fine_tune": {"days": 70, "test_days": 20, "validation_days": 14},
    "samples": {"pairs_per_label": 4},
}
"""Settings with which a refresh takes a second: counts answer."""


class Whole:
    """A shop with its interests, and a home in which workers work."""

    def __init__(self, environment: WorkflowEnvironment, url: str, folder: Path) -> None:
        self.environment, self.folder, self.url = environment, folder, url
        self.chain = Chain(url, folder)

    @property
    def home(self) -> Path:
        return self.chain.resources.home

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        served = worker.roles(self.chain.resources).values()
        async with AsyncExitStack() as stack:
            for each in worker.workers(self.environment.client, served, timedelta(seconds=1)):
                await stack.enter_async_context(each)
            yield

    def context(self, **settings: Any) -> Context:
        target = self.environment.client.service_client.config.target_host
        source = self.chain.source.__dict__
        own: dict[str, Any] = {"postgres_url": self.url, "temporal_address": target, "home": self.home, "source": source}
        return Context(Settings(**own | SMALL | settings))

    async def start(
        self, name: str, nominal: datetime = NOMINAL, cluster_set: int | None = None, fine_tune: bool = False, **settings: Any
    ) -> runs.RunHandle:
        """A refresh, or a fine-tune, on a channel of this name."""
        context = self.context(channel=name, **settings)
        asked_for = runs.fine_tune_input if fine_tune else runs.rag_refresh_input
        asked = asked_for(context.settings, nominal, cluster_set or self.chain.cluster_set)
        return await runs.start(context, asked, f"{name}-{self.folder.name}")

    async def outcome(self, name: str, **asked: Any) -> str:
        """How a run ended: its outcome; why it failed; or the gates that have stopped it, and then it is terminated."""
        handle = await self.start(name, **asked)
        try:
            async for _ in runs.follow(handle):
                pass
            status = await runs.status(handle)
            if status.review_id:
                await handle.terminate()
                return f"review: {', '.join(status.evaluation.failed_gates if status.evaluation else ())}"
            return (await runs.result(handle)).outcome
        except RunFailed as error:
            return f"failed: {error}"

    def asked(self, query: str) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def broken(self) -> Iterator[str]:
        """What does not hold, in words."""
        yield from (what for (what,) in self.asked(BROKEN))
        artifacts = LocalArtifacts(self.home / "artifacts")
        for each in artifacts.everything():
            if not each.hash or hash_folder(artifacts.place(each.uri)) != each.hash:
                yield f"artifact {each.uri} is not its hash"

    def interests(self, count: int) -> int:
        """A set of the shop's first interests; its version."""
        import pyarrow as pa

        from driftline.db import clusters as db_clusters

        names = NAMES[:count]
        columns = {"cluster": range(count), "name": names, "description": names, "keywords": [[name] for name in names]}
        described = pa.table(columns | {"traffic": [1] * count})
        items = [(f"{name}-{number}", cluster) for cluster, name in enumerate(names) for number in range(4)]
        assignment = pa.table({"item": [item for item, _ in items], "cluster": [cluster for _, cluster in items]})
        with self.chain.engine.begin() as connection:
            return db_clusters.add(connection, described, assignment, {"imported": f"{count}"}).version
