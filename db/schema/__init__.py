"""The tables as SQLAlchemy sees them. The migrations make them; a test keeps the two the same.

Rows of `transition` and `transition_count` have no foreign key: attaching a partition would then lock the record's table
against every other writer until commit. Their partition and their record are made in one transaction instead.
"""

from driftline.db.schema.assignments import assignment, assignment_item
from driftline.db.schema.cadence import cadence_day, cadence_override
from driftline.db.schema.channels import channel, publication
from driftline.db.schema.clusters import cluster, cluster_centre, cluster_item, cluster_set
from driftline.db.schema.columns import metadata
from driftline.db.schema.evaluations import evaluation
from driftline.db.schema.experiments import experiment, experiment_end, experiment_measurement
from driftline.db.schema.logs import log_profile
from driftline.db.schema.measurements import measurement
from driftline.db.schema.models import model
from driftline.db.schema.notifications import notification, schedule_count
from driftline.db.schema.recommenders import recommender
from driftline.db.schema.reports import report
from driftline.db.schema.retention import asked_again, pruning
from driftline.db.schema.reviews import consent, review, verdict
from driftline.db.schema.tables import transition, transition_table
from driftline.db.schema.triples import counts, pair_traffic, transition_count

__all__ = [
    "asked_again",
    "assignment",
    "assignment_item",
    "cadence_day",
    "cadence_override",
    "channel",
    "cluster",
    "cluster_centre",
    "cluster_item",
    "cluster_set",
    "consent",
    "counts",
    "evaluation",
    "experiment",
    "experiment_end",
    "experiment_measurement",
    "log_profile",
    "measurement",
    "metadata",
    "model",
    "notification",
    "pair_traffic",
    "pruning",
    "publication",
    "recommender",
    "report",
    "review",
    "schedule_count",
    "transition",
    "transition_count",
    "transition_table",
    "verdict",
]
