"""`driftline clusters`: the set of interests that everything else is made with."""

from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer
from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy

import db.clusters
from commands.context import Set, connect, engine, load_settings, wait_for
from commands.follow import follow
from commands.output import FAILED, Json, cell, console, errors, grid, percent, print_json
from commands.run import failure
from contracts import BuildClustersInput, ClusterSetRef
from interests.imported import imported_table
from settings import Settings
from sources.profile import traffic
from sources.table import read_table
from workflows import policies
from workflows.build_clusters import BuildClusters

app = typer.Typer(help="Cluster sets: the interests, and which item belongs to which.", no_args_is_help=True)


@app.command()
def build(settings: Set = None, json: Json = False) -> None:
    """Embed the catalogue's texts, split them into a balanced tree, name every interest by its keywords."""
    loaded = load_settings(settings)
    try:
        made = wait_for(build_set(loaded, quiet=json))
    except WorkflowFailureError as error:
        errors.print(f"[red]the build failed:[/] {cell(failure(error))}", highlight=False)
        raise typer.Exit(FAILED) from None
    _show(loaded, made.version, json)


async def build_set(settings: Settings, name: str = "build-clusters", quiet: bool = False) -> ClusterSetRef:
    """Run the build as a workflow and draw its progress. One of this name that is under way is joined."""
    client = await connect(settings)
    handle = await client.start_workflow(
        BuildClusters.run,
        BuildClustersInput(settings.source, settings.clusters),
        id=name,
        task_queue=policies.WORKFLOWS,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    await follow(handle, quiet)
    return await handle.result()


@app.command("import")
def import_(
    path: Annotated[str, typer.Argument(help="Parquet or CSV with a row per item: your taxonomy.")],
    item: Annotated[str, typer.Option(help="Column of the item id.")] = "item",
    name: Annotated[str, typer.Option(help="Column of the interest's name: what the LLM reads and writes.")] = "cluster",
    settings: Set = None,
    json: Json = False,
) -> None:
    """Use interests that you have already, item by item, instead of building them."""
    loaded = load_settings(settings)
    assigned = read_table(path, {"item": item, "name": name}, loaded.source.setup)
    clusters, items = imported_table(assigned, logged := traffic(loaded.source))
    known = logged.filter(pc.is_in(logged["item"], items["item"]))
    if not known.num_rows:
        raise ValueError(f"no item of {path} is in the log: check --item and source.item")
    with engine(loaded).begin() as connection:
        made = db.clusters.add(connection, clusters, items, {"imported": path, "item": item, "name": name})
    if not json:
        share = percent(pc.sum(known["traffic"]).as_py() / pc.sum(logged["traffic"]).as_py())
        console.print(f"{known.num_rows:,} of the log's {logged.num_rows:,} items have an interest: {share} of its events")
    _show(loaded, made.version, json)


@app.command()
def show(
    version: Annotated[int | None, typer.Argument(help="Cluster set version. Default: the newest.")] = None, json: Json = False
) -> None:
    """The interests of a set with their traffic."""
    _show(load_settings(), version, json)


def _show(settings: Settings, version: int | None, json: bool) -> None:
    with engine(settings).connect() as connection:
        wanted = db.clusters.newest(connection) if version is None else version
        if wanted is None:
            raise ValueError("there is no cluster set yet: run `driftline clusters build` or `driftline clusters import`")
        about = db.clusters.describe(connection, wanted)
        clusters = db.clusters.get(connection, wanted)
    if json:
        print_json({**vars(about), "clusters": clusters.to_pylist()})
        return
    draw(about.version, clusters)


def draw(version: int, clusters: pa.Table) -> None:
    rows: list[dict[str, Any]] = clusters.to_pylist()
    total = sum(row["traffic"] for row in rows) or 1
    grid(
        f"cluster set {version}: {len(rows)} interests",
        ("id", "interest", "more keywords", "traffic"),
        [(r["cluster"], r["description"], ", ".join(r["keywords"][3:7]), f"{100 * r['traffic'] / total:.1f} %") for r in rows],
    )
    console.print(f"{len(rows) * (len(rows) - 1)} ordered pairs")
