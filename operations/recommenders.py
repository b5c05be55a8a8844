"""The sequence recommender: its durable training, and its versions."""

from datetime import datetime
from typing import Any

from temporalio.client import WorkflowHandle

from driftline.contracts import RecommenderInput, RecommenderRef
from driftline.db import recommenders as db_recommenders
from driftline.db.recommenders import RecommenderVersion
from driftline.operations.context import Context
from driftline.operations.runs import join
from driftline.settings import Settings

RecommenderHandle = WorkflowHandle[Any, RecommenderRef]


def recommender_input(settings: Settings, nominal: datetime | None = None, cluster_set: int | None = None) -> RecommenderInput:
    """Maps settings to a training's input. By default its nominal time is the schedule's and its cluster set the newest."""
    return RecommenderInput(
        source=settings.source,
        nominal=nominal,
        cluster_set=cluster_set,
        recommender=settings.recommender,
        clusters=settings.clusters,
    )


async def start(context: Context, request: RecommenderInput, workflow_id: str) -> RecommenderHandle:
    """Start a training; one of this id that is under way is joined."""
    return await join(context, "TrainRecommender", request, workflow_id, RecommenderRef)


def get(context: Context, version: int) -> RecommenderVersion:
    """Reads one recommender.

    Raises:
        BadInput: there is no such version.
    """
    with context.engine.connect() as connection:
        return db_recommenders.get(connection, version)
