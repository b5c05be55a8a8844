"""Step: find the model that a refresh uses."""

from dataclasses import dataclass

from temporalio import activity

from driftline.activities.resources import Resources
from driftline.contracts import BadInput, FindModel, ModelRef
from driftline.db import models as db_models


@dataclass(frozen=True)
class ModelActivities:
    resources: Resources

    @activity.defn
    def newest_approved(self, request: FindModel) -> ModelRef:
        """Design §3.12.

        Raises:
            BadInput: no fine-tuned model had passed its gates or a review by then.
        """
        with self.resources.engine.connect() as connection:
            model = db_models.newest_approved(connection, request.nominal, request.cluster_set)
        if model is None:
            raise BadInput(
                f"there is no approved model of {request.nominal:%Y-%m-%d} or before"
                f"{f' of cluster set {request.cluster_set}' if request.cluster_set else ''}: "
                "start `driftline run fine-tune` first, or decide on its candidate (`driftline review list`)"
            )
        return model

    @activity.defn
    def trained_before(self, request: FindModel) -> ModelRef:
        """The model to replay held-out days with, which begin at `request.nominal`.

        Raises:
            BadInput: the asked model, or every approved one, was trained on later days, so that none is held out.
        """
        with self.resources.engine.connect() as connection:
            if request.model is None:
                model = db_models.newest_trained_before(connection, request.nominal, request.cluster_set)
            else:
                trained = db_models.trained_until(connection, request.model)
                model = db_models.get(connection, request.model) if trained <= request.nominal else None
        if model is None:
            which = f"model {request.model} was not" if request.model else "no approved model was"
            raise BadInput(
                f"{which} trained only on days before {request.nominal:%Y-%m-%d}, so nothing is held out: choose a "
                "later --from, or fine-tune on an earlier window (`driftline run fine-tune --at`)"
            )
        return model
