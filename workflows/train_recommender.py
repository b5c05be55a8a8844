"""The sequence recommender: read what users took, train on it, give new items a vector by their text, measure and store it."""

from temporalio import workflow

from driftline.contracts import (
    EmbedCatalogue,
    EncoderRef,
    PlaceItems,
    ReadItemSequences,
    RecommenderInput,
    RecommenderRef,
    TrainEncoder,
    Window,
)
from driftline.workflows import policies
from driftline.workflows.candidate import nominal_time
from driftline.workflows.long_run import LongRun

with workflow.unsafe.imports_passed_through():
    from driftline.activities.clusters import ClusterActivities
    from driftline.activities.recommenders import RecommenderActivities
    from driftline.interests.windows import split


@workflow.defn
class TrainRecommender(LongRun):
    @workflow.run
    async def run(self, request: RecommenderInput) -> RecommenderRef:
        nominal = nominal_time(request.nominal)
        windows = split(nominal, request.recommender.windows)
        assert windows.validation is not None  # the knobs ask for a day at least
        self.enter("counting", nominal=nominal)
        cluster_set = await workflow.execute_activity_method(
            ClusterActivities.resolve_cluster_set, request.cluster_set, **policies.record
        )
        cluster_set = await self.assigned(request.source, request.clusters, cluster_set)
        whole = Window(windows.train.start, windows.test.end)
        asked = ReadItemSequences(request.source, cluster_set.version, cluster_set.assignment, whole)
        sequences = await workflow.execute_activity_method(RecommenderActivities.read_item_sequences, asked, **policies.compute)

        self.enter("training")
        encoder: EncoderRef = await workflow.execute_activity_method(
            RecommenderActivities.train_encoder,
            TrainEncoder(sequences, request.recommender, windows.validation),
            **policies.train,
        )

        self.enter("measuring")
        catalogue = embeddings = None
        if request.source.items.strip():
            catalogue = await workflow.execute_activity_method(
                ClusterActivities.read_catalogue, request.source, **policies.compute
            )
            embed = EmbedCatalogue(catalogue, request.clusters.embedding_model)
            embeddings = await workflow.execute_activity_method(ClusterActivities.embed_catalogue, embed, **policies.compute)
        place = PlaceItems(
            source=request.source,
            cluster_set=cluster_set.version,
            assignment=cluster_set.assignment,
            sequences=sequences,
            encoder=encoder,
            recommender=request.recommender,
            train=windows.train,
            validation=windows.validation,
            test=windows.test,
            nominal=nominal,
            run=self.run_ids(),
            catalogue=catalogue,
            embeddings=embeddings,
        )
        made = await workflow.execute_activity_method(RecommenderActivities.place_items, place, **policies.compute)
        self.enter("measured")
        return made
