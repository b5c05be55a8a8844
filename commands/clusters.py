"""`driftline clusters`: the set of interests that everything else is made with."""

from pathlib import Path
from typing import Annotated, Any

import click
import pyarrow as pa
import typer

from driftline.commands.context import Set, load, wait_for, warn_without_worker
from driftline.commands.follow import follow
from driftline.commands.output import FAILED, USAGE, Json, cell, console, errors, grid, percent, print_json
from driftline.commands.tables import login
from driftline.contracts import AssignmentRef, ClusterSetRef, How
from driftline.operations import clusters, runs
from driftline.operations.context import Context
from driftline.operations.runs import RunFailed

WAYS: dict[str, How] = {"keywords": "keywords", "llm": "llm", "nobody": "as_is"}
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
    path: Annotated[str, typer.Argument(help="Parquet or CSV with a row per item: your taxonomy; or what `export` wrote.")],
    item: Annotated[str, typer.Option(help="Column of the item id.")] = "item",
    name: Annotated[str, typer.Option(help="Column of the interest's name: what the LLM reads and writes.")] = "cluster",
    settings: Set = None,
    json: Json = False,
) -> None:
    """Use interests that you have already, item by item, instead of building them."""
    context = load(settings)
    if clusters.is_exported(path):
        _show(context, clusters.import_exported(context, path).version, json)
        return
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
def export(
    out: Annotated[Path, typer.Argument(dir_okay=False, help="The file to write, e.g. `interests.jsonl`.")],
    version: Annotated[int | None, typer.Argument(help="Cluster set version. Default: the newest.")] = None,
    json: Json = False,
) -> None:
    """Write a set to a file: ids, names, descriptions and items. `clusters import` makes the same set of it on any machine."""
    about = clusters.export(load(), out, version)
    if json:
        print_json(
            {"version": about.version, "key": about.key, "clusters": about.clusters, "items": about.items, "file": str(out)}
        )
        return
    said = f"cluster set {about.version}, {about.clusters} interests and {about.items:,} items, key {about.key[:12]}"
    console.print(f"[green]written:[/] {cell(str(out))}: {said}", highlight=False)


@app.command()
def describe(
    version: Annotated[int | None, typer.Argument(help="Cluster set version. Default: the newest.")] = None,
    how: Annotated[
        str, typer.Option("--by", metavar="keywords|llm|nobody", help="Who writes; `nobody` only measures what is there.")
    ] = "keywords",
    file: Annotated[
        str,
        typer.Option("--file", help="Parquet or CSV of a person's descriptions: columns `cluster` (the id) and `description`."),
    ] = "",
    edit: Annotated[bool, typer.Option("--edit", help="Write them in your editor ($EDITOR).")] = False,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Write other descriptions, which are all that the LLM reads of an interest: same ids and items, a new version of the set.

    `keywords` chooses words by which the items find their own interest, no longer than what is there; `llm` asks
    `training.base_model`. Then measures how much they say. A new version takes effect with its first fine-tune.
    """
    if how not in WAYS or (file and edit):
        errors.print("[red]--by[/] is keywords, llm or nobody; --file and --edit exclude each other", highlight=False)
        raise typer.Exit(USAGE)
    context = load(settings)
    about, table = clusters.get(context, version)
    wanted = about.version
    if file or edit:
        texts = clusters.written(file, context.settings.source.setup) if file else _edited(table)
        wanted = clusters.rename(context, wanted, texts, login()).version
    by: How = "as_is" if file or edit else WAYS[how]
    try:
        made = wait_for(_describe(context, wanted, by, quiet=json))
    except RunFailed as error:
        errors.print(f"[red]failed:[/] {cell(str(error))}", highlight=False)
        raise typer.Exit(FAILED) from None
    _show(context, made.version, json)


async def _describe(context: Context, version: int, how: How, quiet: bool) -> ClusterSetRef:
    handle = await clusters.describe(context, version, how)
    await follow(handle, quiet)
    return await runs.result(handle)


def _edited(table: pa.Table) -> dict[int, str]:
    """What a person makes of a line per interest: its id, a tab, its description. A line that is gone changes nothing."""
    rows = table.to_pylist()
    lines = "".join(f"{row['cluster']}\t{row['description']}\n" for row in rows)
    text = click.edit(lines, extension=".tsv")
    found = {}
    for line in (text or "").splitlines():
        number, _, description = line.partition("\t")
        if number.strip().isdecimal() and description.strip():
            found[int(number)] = description.strip()
    return found


@app.command()
def show(
    version: Annotated[int | None, typer.Argument(help="Cluster set version. Default: the newest.")] = None, json: Json = False
) -> None:
    """The interests of a set with their traffic."""
    _show(load(), version, json)


def _show(context: Context, version: int | None, json: bool) -> None:
    about, table = clusters.get(context, version)
    assigned = clusters.newest_assignment(context, about.version)
    names = clusters.measured_names(context, about.version)
    if json:
        since = {"assignment": assigned.version, "assigned_items": assigned.items}
        print_json({**vars(about), **since, "names": names, "clusters": table.to_pylist()})
        return
    draw(about.version, table)
    if assigned.version is not None:
        console.print(f"{about.items:,} items, and {assigned.items:,} that were new since: assignment {assigned.version}")
    if names:
        console.print(
            f"{percent(names.nearest_description)} of the items are nearest, by embedding, to their own description "
            f"({percent(names.nearest_centroid)} to their interest's mean, {percent(names.chance)} by chance)",
            highlight=False,
        )


def draw(version: int, clusters: pa.Table) -> None:
    rows: list[dict[str, Any]] = clusters.to_pylist()
    total = sum(row["traffic"] for row in rows) or 1
    grid(
        f"cluster set {version}: {len(rows)} interests",
        ("id", "interest", "more keywords", "traffic"),
        [(r["cluster"], r["description"], ", ".join(r["keywords"][3:7]), f"{100 * r['traffic'] / total:.1f} %") for r in rows],
    )
    console.print(f"{len(rows) * (len(rows) - 1)} ordered pairs")
