"""New items into the clusters that there are: embed them, and choose the nearest centre (design §3.3)."""

from temporalio import workflow

from driftline.contracts import AssignItemsInput, AssignmentRef, AssignNewItems, Clusters, EmbedCatalogue, FindNewItems, Source
from driftline.workflows import policies

with workflow.unsafe.imports_passed_through():
    from driftline.activities.assignments import AssignmentActivities
    from driftline.activities.clusters import ClusterActivities


@workflow.defn
class AssignItems:
    @workflow.run
    async def run(self, request: AssignItemsInput) -> AssignmentRef:
        cluster_set = await workflow.execute_activity_method(
            ClusterActivities.resolve_cluster_set, request.cluster_set, **policies.record
        )
        return await assign(request.source, request.clusters, cluster_set.version)


async def assign(source: Source, clusters: Clusters, cluster_set: int) -> AssignmentRef:
    """The newest assignment of a set once it has every item of the catalogue."""
    asked = FindNewItems(source, cluster_set, clusters.embedding_model)
    new = await workflow.execute_activity_method(AssignmentActivities.read_new_items, asked, **policies.compute)
    if new.catalogue is None:
        return AssignmentRef(cluster_set, new.newest.version, 0)
    embed = EmbedCatalogue(new.catalogue, new.model, cluster_set)
    embeddings = await workflow.execute_activity_method(ClusterActivities.embed_catalogue, embed, **policies.compute)
    found = AssignNewItems(cluster_set, new.catalogue, embeddings, new.model)
    return await workflow.execute_activity_method(AssignmentActivities.assign_new_items, found, **policies.compute)
