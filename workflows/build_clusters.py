"""From item texts to a cluster set: embed, split the tree, describe (design §3.3)."""

from temporalio import workflow

from driftline.contracts import (
    BuildClusterSet,
    BuildClustersInput,
    ClusterSetRef,
    DescribeClusterSet,
    DescribeClustersInput,
    EmbedCatalogue,
)
from driftline.workflows import policies

with workflow.unsafe.imports_passed_through():
    from driftline.activities.clusters import ClusterActivities


@workflow.defn
class BuildClusters:
    @workflow.run
    async def run(self, request: BuildClustersInput) -> ClusterSetRef:
        catalogue = await workflow.execute_activity_method(ClusterActivities.read_catalogue, request.source, **policies.compute)
        asked = EmbedCatalogue(catalogue, request.clusters.embedding_model)
        embeddings = await workflow.execute_activity_method(ClusterActivities.embed_catalogue, asked, **policies.compute)
        return await workflow.execute_activity_method(
            ClusterActivities.build_cluster_set,
            BuildClusterSet(catalogue, embeddings, request.clusters),
            **policies.compute,
        )


@workflow.defn
class DescribeClusters:
    """Other descriptions of the same clusters: a new version of the set, with the same ids and items."""

    @workflow.run
    async def run(self, request: DescribeClustersInput) -> ClusterSetRef:
        catalogue = await workflow.execute_activity_method(ClusterActivities.read_catalogue, request.source, **policies.compute)
        asked = EmbedCatalogue(catalogue, request.clusters.embedding_model)
        embeddings = await workflow.execute_activity_method(ClusterActivities.embed_catalogue, asked, **policies.compute)
        return await workflow.execute_activity_method(
            ClusterActivities.describe_cluster_set,
            DescribeClusterSet(request.cluster_set, catalogue, embeddings, request.clusters, request.how, request.base_model),
            **policies.compute,
        )
