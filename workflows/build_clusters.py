"""From item texts to a cluster set: embed, split the tree, describe (design §3.3)."""

from temporalio import workflow

from contracts import BuildClusterSet, BuildClustersInput, ClusterSetRef, EmbedCatalogue
from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.clusters import ClusterActivities


@workflow.defn
class BuildClusters:
    @workflow.run
    async def run(self, request: BuildClustersInput) -> ClusterSetRef:
        embeddings = await workflow.execute_activity_method(
            ClusterActivities.embed_catalogue,
            EmbedCatalogue(request.source, request.clusters.embedding_model),
            **policies.compute,
        )
        return await workflow.execute_activity_method(
            ClusterActivities.build_cluster_set, BuildClusterSet(embeddings, request.clusters), **policies.compute
        )
