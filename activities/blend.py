"""Step: answer every ordered pair from counts, or from counts and the LLM's scores."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection
from temporalio import activity

from driftline.activities.heartbeats import heartbeats
from driftline.activities.resources import Resources
from driftline.contracts import AnsweredRef, AnswerPairs, BadInput, Fitted
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.db import models as db_models
from driftline.interests import blend
from driftline.interests.counting_model import answers, counting_model, fit_strengths, shrunk_strengths
from driftline.interests.metrics.estimates import Estimate
from driftline.interests.scores import Scores

FITTING = {
    1: (fit_strengths, blend.fit, False),
    2: (shrunk_strengths, blend.fit, False),
    3: (shrunk_strengths, blend.shrunk_fit, True),
}
"""How strengths are found, how weights are, and whether scores are smoothed (`contracts.Fitting`)."""
WINDOW = "{} window of this table of {} has no triple, so nothing can be fitted: raise days or validation_days"


@dataclass(frozen=True)
class BlendActivities:
    resources: Resources

    @activity.defn
    @heartbeats("answering")
    def answer_pairs(self, request: AnswerPairs) -> AnsweredRef:
        """Answers every ordered pair from counts, or from counts and the LLM's scores. The same input gives the same answers.

        Raises:
            BadInput: a window has no triple, the LLM has learned from days that fit, or the mapping has no scores.
        """
        with self.resources.engine.connect() as connection:
            if request.model is not None:
                _check_unseen(connection, request.model, request.validation)
            cluster_set = db_counts.describe(connection, request.counts).cluster_set
            clusters = db_clusters.describe(connection, cluster_set).clusters
            counts, known, validation = (
                db_counts.read(connection, version) for version in (request.counts, request.known, request.validation)
            )
        for name, window in (("training", known), ("validation", validation)):
            if not window.num_rows:
                raise BadInput(WINDOW.format(name, request.answers))
        fit_counts, fit_blend, smooth = FITTING[request.fitting]
        strengths = fit_counts(known, validation, clusters)
        model = counting_model(counts, clusters, strengths)
        weights = {"strength": Fitted(strengths.pair), "single": Fitted(strengths.single)}
        if request.mapping is None:
            table = answers(model.log_p, clusters)
        else:
            folder = self.resources.artifacts.find(request.mapping.uri, request.mapping.hash)
            scores = Scores.of(_scores(folder), clusters)
            if smooth:
                scores = scores.smoothed()
            chosen = fit_blend(counting_model(known, clusters, strengths), scores, validation)
            table = _beside_llm(answers(blend.Blend(model, scores, chosen).log_p, clusters), folder)
            weights |= {name: _fitted(getattr(chosen, name)) for name in ("llm", "popularity", "backoff", "strength")}
            weights |= {"llm_used": Fitted(chosen.llm_used), "llm_alone": Fitted(float(chosen.llm_alone))}
        with self.resources.artifacts.folder() as new:
            pq.write_table(table, new / "answers.parquet")
            uri, digest = self.resources.artifacts.store("answers", new)
        return AnsweredRef(uri, digest, table.num_rows, weights)


def _check_unseen(connection: Connection, model: int, validation: int) -> None:
    learned = db_counts.describe(connection, db_models.describe(connection, model).counts_version).window.end
    fits = db_counts.describe(connection, validation).window.start
    if learned > fits:
        raise BadInput(
            f"model {model} has learned from days up to {learned:%Y-%m-%d}, and the validation window begins on {fits:%Y-%m-%d}: "
            "lower validation_days or test_days of the refresh, or raise those of the fine-tune"
        )


def _scores(folder: Path) -> pa.Table:
    if not (folder / "scores.parquet").exists():
        raise BadInput("a blend needs scores, and this mapping has none: set generation.scores, e.g. to 16")
    return pq.read_table(folder / "scores.parquet")


def _beside_llm(table: pa.Table, folder: Path) -> pa.Table:
    """The answers with what the LLM says alone: `llm_next`, exact and free. Both are complete and in the order of the pairs."""
    alone = pq.read_table(folder / "mapping.parquet").sort_by([("c1", "ascending"), ("c2", "ascending")])
    if not pc.all(pc.and_(pc.equal(alone["c1"], table["c1"]), pc.equal(alone["c2"], table["c2"]))).as_py():
        raise BadInput("the mapping does not answer the pairs of these counts: run the workflow again")
    return (
        table.append_column("llm_next", alone["c_next"])
        .append_column("exact", alone["exact"])
        .append_column("free", alone["free"])
    )


def _fitted(weight: Estimate) -> Fitted:
    return Fitted(weight.value or 0.0, weight.low, weight.high)
