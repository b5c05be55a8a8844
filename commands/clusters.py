"""`driftline clusters`: the set of interests that everything else is made with."""

from typing import Annotated, Any

import pyarrow as pa
import typer

from driftline.commands.context import Set, load, wait_for, warn_without_worker
from driftline.commands.follow import follow
from driftline.commands.output import FAILED, Json, cell, console, errors, grid, percent, print_json
from driftline.contracts import AssignmentRef, ClusterSetRef
from driftline.operations import clusters, runs
from driftline.operations.context import Context
from driftline.operations.runs import RunFailed

app = typer.Typer(help="Cluster sets: the interests, and which item belongs to which.", no_args_is_help=True)


@app.command()
def build(settings: Set = None, json: Json = False) -> None:
    """Embed the catalogue's texts, split them into a balanced tree, name every interest by its keywords."""
    context = load(settings)
    try:
        made = wait_for(build_set(context, quiet=json))
    except RunFailed as error:
        errors.print(f"[red]the build failed:[/] {cell(str(error))}", highlight=False)
        raise typer.Exit(FAILED) from None
    _show(context, made.version, json)


async def build_set(context: Context, name: str = "build-clusters", quiet: bool = False) -> ClusterSetRef:
    """Run the build as a workflow and draw its progress. One of this name that is under way is joined."""
    handle = await clusters.build(context, name)
    await follow(handle, quiet)
    return await runs.result(handle)


@app.command("import")
def import_(
    path: Annotated[str, typer.Argument(help="Parquet or CSV with a row per item: your taxonomy.")],
    item: Annotated[str, typer.Option(help="Column of the item id.")] = "item",
    name: Annotated[str, typer.Option(help="Column of the interest's name: what the LLM reads and writes.")] = "cluster",
    settings: Set = None,
    json: Json = False,
) -> None:
    """Use interests that you have already, item by item, instead of building them."""
    context = load(settings)
    made = clusters.import_(context, path, item, name)
    if not json:
        console.print(
            f"{made.items:,} of the log's {made.logged:,} items have an interest: {percent(made.traffic)} of its events"
        )
    _show(context, made.version, json)


@app.command()
def assign(
    cluster_set: Annotated[int | None, typer.Option(help="Cluster set version. Default: the newest.")] = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Put items that are new in the catalogue into the nearest interest of a set. No id and no description changes."""
    context = load(settings)
    try:
        done = wait_for(_assign(context, cluster_set, quiet=json))
    except RunFailed as error:
        errors.print(f"[red]the assignment failed:[/] {cell(str(error))}", highlight=False)
        raise typer.Exit(FAILED) from None
    added = clusters.added(context, done.version).to_pylist() if done.version and done.items else []
    if json:
        print_json({"cluster_set": done.cluster_set, "assignment": done.version, "items": done.items, "clusters": added})
        return
    if not added:
        console.print(f"no item of the catalogue is new to cluster set {done.cluster_set}")
        return
    names = clusters.get(context, done.cluster_set)[1]["description"].to_pylist()
    grid(
        f"assignment {done.version}: {done.items:,} new items in cluster set {done.cluster_set}",
        ("id", "interest", "items", "similarity"),
        [(row["cluster"], names[row["cluster"]], row["items"], f"{row['similarity']:.2f}") for row in added],
    )


async def _assign(context: Context, cluster_set: int | None, quiet: bool) -> AssignmentRef:
    handle = await clusters.assign(context, cluster_set)
    warn_without_worker(context)
    await follow(handle, quiet)
    return await runs.result(handle)


@app.command()
def show(
    version: Annotated[int | None, typer.Argument(help="Cluster set version. Default: the newest.")] = None, json: Json = False
) -> None:
    """The interests of a set with their traffic."""
    _show(load(), version, json)


def _show(context: Context, version: int | None, json: bool) -> None:
    about, table = clusters.get(context, version)
    assigned = clusters.newest_assignment(context, about.version)
    if json:
        since = {"assignment": assigned.version, "assigned_items": assigned.items}
        print_json({**vars(about), **since, "clusters": table.to_pylist()})
        return
    draw(about.version, table)
    if assigned.version is not None:
        console.print(f"{about.items:,} items, and {assigned.items:,} that were new since: assignment {assigned.version}")


def draw(version: int, clusters: pa.Table) -> None:
    rows: list[dict[str, Any]] = clusters.to_pylist()
    total = sum(row["traffic"] for row in rows) or 1
    grid(
        f"cluster set {version}: {len(rows)} interests",
        ("id", "interest", "more keywords", "traffic"),
        [(r["cluster"], r["description"], ", ".join(r["keywords"][3:7]), f"{100 * r['traffic'] / total:.1f} %") for r in rows],
    )
    console.print(f"{len(rows) * (len(rows) - 1)} ordered pairs")
