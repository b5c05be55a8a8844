"""Starts a worker: `python worker.py --role all|workflows|cpu|db|notify|train|generate`.

A role says which task queues are polled. SIGTERM or SIGINT drains: no new work is taken, a training or mapping checkpoints and is
handed back, and the process exits with 0. It exits with 1 where Temporal does not see it poll though it has a free slot.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import structlog
from pydantic import ValidationError
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Interceptor, Worker, WorkerDeploymentConfig

from driftline import embedded, temporal_client
from driftline.activities.assignments import AssignmentActivities
from driftline.activities.blend import BlendActivities
from driftline.activities.cadence import CadenceActivities
from driftline.activities.child import INSTALL
from driftline.activities.clusters import ClusterActivities
from driftline.activities.counts import CountsActivities
from driftline.activities.drift import DriftActivities
from driftline.activities.evaluation import EvaluationActivities
from driftline.activities.experiments import ExperimentActivities
from driftline.activities.mapping import MappingActivities
from driftline.activities.measurements import MeasurementActivities
from driftline.activities.models import ModelActivities
from driftline.activities.notifications import NotificationActivities
from driftline.activities.policy import PolicyActivities
from driftline.activities.prompts import PromptActivities
from driftline.activities.publication import PublicationActivities
from driftline.activities.recommenders import RecommenderActivities
from driftline.activities.reports import ReportActivities
from driftline.activities.resources import Resources
from driftline.activities.reviews import ReviewActivities
from driftline.activities.samples import SampleActivities
from driftline.activities.tables import TableActivities
from driftline.activities.training import TrainingActivities
from driftline.db import connection as db_connection
from driftline.operations import metrics as own_metrics
from driftline.operations import polls
from driftline.operations.polls import Busy, Queue
from driftline.settings import Settings, problems
from driftline.system.logs import log_as_json
from driftline.workflows import policies
from driftline.workflows.assign_items import AssignItems
from driftline.workflows.build_clusters import BuildClusters, DescribeClusters
from driftline.workflows.cadence import KeepCadence
from driftline.workflows.experiment import RunExperiment
from driftline.workflows.fine_tune import FineTune
from driftline.workflows.measure_answers import AnswersMeasurement
from driftline.workflows.measure_drift import DriftMeasurement
from driftline.workflows.measure_policy import PolicyMeasurement
from driftline.workflows.measure_refresh import RefreshMeasurement
from driftline.workflows.measure_retrieval import RetrievalMeasurement
from driftline.workflows.notifications import SendNotification
from driftline.workflows.rag_refresh import RagRefresh
from driftline.workflows.ship_table import ShipTable
from driftline.workflows.train_recommender import TrainRecommender
from driftline.workflows.watch import Watch

log = structlog.get_logger("worker")

BUILD = metadata.version("driftline")
"""What `temporal worker deployment set-current-version --build-id` names."""
ROLES = ("workflows", "cpu", "db", "notify", "train", "generate")
COMPUTING = ("train", "generate")
"""Roles that do nothing without torch. `cpu` needs it only to embed a catalogue."""
GRACE = timedelta(seconds=30)
"""Beside the drain, for what a worker that polls nothing may still do before its process is ended."""


@dataclass(frozen=True)
class Role:
    """One task queue, and what runs on it."""

    queue: str
    slots: int
    workflows: list[type] = field(default_factory=list)
    activities: list[Any] = field(default_factory=list)


def roles(resources: Resources) -> dict[str, Role]:
    """Every role, by name. Training and bulk inference have one slot: each fills the machine."""
    clusters, reviews, models = ClusterActivities(resources), ReviewActivities(resources), ModelActivities(resources)
    assignments = AssignmentActivities(resources)
    drift, measurements = DriftActivities(resources), MeasurementActivities(resources)
    notifications, recommenders = NotificationActivities(resources), RecommenderActivities(resources)
    experiments = ExperimentActivities(resources)
    cadence = CadenceActivities(resources)
    cpu = [
        clusters.read_catalogue,
        clusters.embed_catalogue,
        clusters.build_cluster_set,
        assignments.read_new_items,
        assignments.assign_new_items,
        clusters.describe_cluster_set,
        CountsActivities(resources).count_triples,
        SampleActivities(resources).curate_samples,
        SampleActivities(resources).curate_validation,
        PromptActivities(resources).render_prompts,
        BlendActivities(resources).answer_pairs,
        EvaluationActivities(resources).evaluate,
        drift.list_successors,
        drift.measure_drift,
        drift.measure_staleness,
        measurements.measure_hits,
        measurements.measure_answers,
        measurements.measure_quality,
        ReportActivities(resources).write_report,
        recommenders.read_item_sequences,
        PolicyActivities(resources).measure_policy,
        recommenders.place_items,
        experiments.measure_experiment,
        cadence.measure_day,
    ]
    records = [
        clusters.resolve_cluster_set,
        models.newest_approved,
        models.trained_before,
        TableActivities(resources).store_table,
        PublicationActivities(resources).publish,
        reviews.open_review,
        reviews.record_verdict,
        reviews.expire_review,
        reviews.closed_review,
        reviews.supersede,
        notifications.tell,
        experiments.register_experiment,
        experiments.end_experiment,
        experiments.find_shipped,
        cadence.decide_day,
    ]
    sets: list[type] = [BuildClusters, DescribeClusters, AssignItems]
    updates: list[type] = [FineTune, RagRefresh, TrainRecommender, KeepCadence]
    measuring: list[type] = [DriftMeasurement, RefreshMeasurement, AnswersMeasurement, RetrievalMeasurement, PolicyMeasurement]
    live: list[type] = [RunExperiment, ShipTable]
    return {
        "workflows": Role(policies.WORKFLOWS, 100, workflows=[*updates, *sets, *measuring, *live]),
        "cpu": Role(policies.CPU, 2, activities=cpu),
        "db": Role(policies.DB, 8, activities=records),
        "notify": Role(policies.NOTIFY, 4, [SendNotification, Watch], [notifications.notify, notifications.look_out]),
        "train": Role(policies.TRAIN, 1, activities=[TrainingActivities(resources).train, recommenders.train_encoder]),
        "generate": Role(policies.GENERATE, 1, activities=[MappingActivities(resources).generate_mapping]),
    }


def workers(
    client: Client,
    served: Iterable[Role],
    drain: timedelta,
    versioning: bool = False,
    interceptors: Sequence[Interceptor] = (),
) -> list[Worker]:
    """One Temporal worker for each role's task queue."""
    deployment = WorkerDeploymentConfig(
        version=WorkerDeploymentVersion("driftline", BUILD),
        use_worker_versioning=True,
        # Runs wait for weeks; recorded histories keep them compatible with the newest code.
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
    return [
        Worker(
            client,
            task_queue=role.queue,
            workflows=role.workflows,
            activities=role.activities,
            activity_executor=ThreadPoolExecutor(role.slots, thread_name_prefix=role.queue),
            max_concurrent_activities=role.slots,
            graceful_shutdown_timeout=drain,
            deployment_config=deployment if versioning else None,
            interceptors=interceptors,
            # Bad input fails the run. Any other exception in a workflow is a bug, and waits for a corrected worker.
            workflow_failure_exception_types=[ValueError, OverflowError],
            # The default lets a heartbeat out only every 30 s: too coarse for progress, and for noticing a cancellation.
            max_heartbeat_throttle_interval=timedelta(seconds=5),
            default_heartbeat_throttle_interval=timedelta(seconds=5),
        )
        for role in served
    ]


async def serve(settings: Settings, names: list[str], principals: bool = False) -> int:
    """Poll until a signal asks to stop, then drain. `principals`: see `Resources`. Returns the exit code."""
    stop = asyncio.Event()
    silent: list[Queue] = []
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    engine = db_connection.connect(settings.postgres_url)
    db_connection.require_schema(engine)
    metrics = f"{settings.metrics_host}:{settings.metrics_port or free_port(settings.metrics_host)}"
    telemetry = TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics))
    runtime = Runtime(telemetry=telemetry)
    client = await temporal_client.connect(settings, runtime)
    found = (settings.gates, settings.notify, settings.web.url, settings.children, principals, settings.artifacts)
    resources = Resources(engine, settings.home.absolute(), *found)
    busy, served = Busy(), list(map(roles(resources).__getitem__, names))
    made = workers(client, served, settings.drain, settings.temporal_versioning, [busy])
    running = [asyncio.create_task(worker.run()) for worker in made]

    def polls_nothing(queue: Queue) -> None:
        silent.append(queue)
        loop.call_soon_threadsafe(stop.set)

    polls.watch(
        partial(temporal_client.connect, settings, runtime),
        partial(
            polls.silence,
            queues=[
                *(Queue(role.queue) for role in served if role.workflows),
                *(Queue(role.queue, role.slots) for role in served if role.activities),
            ],
            busy=busy,
            meter=runtime.metric_meter,
            identity=client.identity,
            draining=stop.is_set,
        ),
        polls_nothing,
        settings.drain + GRACE,
    )
    asked = asyncio.create_task(stop.wait())
    figures = asyncio.create_task(own_metrics.serve(runtime.metric_meter, engine, client)) if "notify" in names else None
    try:
        log.info("worker started", roles=names, temporal=settings.temporal_address, metrics=f"http://{metrics}/metrics")
        await asyncio.wait([asked, *running], return_when=asyncio.FIRST_COMPLETED)
        log.info("worker drains", seconds=settings.drain.total_seconds())
    finally:
        asked.cancel()
        if figures:
            figures.cancel()
        await asyncio.gather(*(worker.shutdown() for worker in made))
    await asyncio.gather(*running)
    log.info("worker stopped")
    return int(bool(silent))


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as taken:
        return int(taken.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", choices=["all", *ROLES], default="all", help="which task queues to poll")
    role = parser.parse_args().role
    if role in ("all", *COMPUTING) and find_spec("torch") is None:
        parser.exit(2, f"role {role} needs torch: {INSTALL}, or start the roles that do not compute: workflows, db, cpu\n")
    log_as_json()
    workflow.logger.workflow_info_on_message = activity.logger.activity_info_on_message = False  # they are fields already
    names = list(ROLES) if role == "all" else [role]
    try:
        settings = Settings()
        addressed = embedded.addressed(settings)
    except ValidationError as error:
        parser.exit(2, "".join(f"setting {'.'.join(path)}: {what} ({where})\n" for path, what, where in problems(error)))
    except (ValueError, RuntimeError) as error:
        parser.exit(2, f"{error}\n")
    code = asyncio.run(serve(addressed, names, principals=bool(settings.temporal_address)))
    logging.shutdown()
    os._exit(code)  # Temporal's threads may call into an interpreter that is being torn down, which aborts it


if __name__ == "__main__":
    main()
