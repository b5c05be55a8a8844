"""`driftline tables` and `driftline lookup`: the product, its versions and where they are served."""

import math
import sys
from typing import Annotated

import typer
from rich.tree import Tree

from driftline.commands.context import load
from driftline.commands.output import FAILED, Json, cell, console, errors, grid, percent, print_json, rows_json
from driftline.embedded import login as embedded_login
from driftline.operations import channels, tables
from driftline.operations.context import Context

app = typer.Typer(help="Transition tables: every version, its lineage, and which one a channel serves.", no_args_is_help=True)

Version = Annotated[int, typer.Argument(help="Table version, as in `driftline tables list`.")]
Channel = Annotated[str | None, typer.Option(help="The name that serving reads. Default: `channel` of the settings.")]
Actor = Annotated[str | None, typer.Option("--as", help="Who does this. Default: your login.")]


def login() -> str:
    """The name that an act without `--as` is on record under."""
    if (name := embedded_login.login()) is None:
        raise typer.BadParameter("this login has no name: say who you are with --as")
    return name


@app.command("list")
def list_(json: Json = False) -> None:
    """Every version, oldest first."""
    context = load()
    versions = tables.list_tables(context)
    if json:
        print_json(versions)
        return
    if not versions:
        console.print("no table yet: `driftline run fine-tune`")
        return
    names = ("version", "kind", "of", "window", "rows", "exact match", "recall", "chance", "failed gates", "approved", "channels")
    grid(
        "transition tables",
        names,
        [
            (
                t.version,
                t.kind,
                t.nominal,
                f"{t.window_start:%Y-%m-%d} … {t.window_end:%Y-%m-%d}",
                "pruned" if t.pruned_at else t.rows if t.complete else f"{t.rows} (incomplete)",
                percent(t.exact_match_rate),
                percent(t.recall),
                percent(t.recall_chance),
                t.failed_gates,
                t.approved,
                t.channels,
            )
            for t in versions
        ],
    )
    warn_of_channels(context)


def warn_of_channels(context: Context, *, table: int | None = None, channel: str | None = None) -> None:
    """Say of every channel, of those that serve `table`, or of one, that it serves what nobody approves any more."""
    for served in channels.served(context):
        if served.warning and table in (None, served.version) and channel in (None, served.channel):
            errors.print(f"[red]{cell(served.warning)}[/]", highlight=False)


@app.command()
def show(version: Version, json: Json = False) -> None:
    """One version with its whole lineage: model, adapter, counts, windows, cluster set, prompts, decoding, run, reviewer."""
    from driftline.report.weights import fitted  # with all that measures

    context = load()
    lineage = tables.lineage(context, version)
    if json:
        print_json(lineage)
        return
    tree = Tree(f"[bold]table {version}[/]")
    for name, value in lineage.items():
        if isinstance(value, dict):
            branch = tree.add(name)
            for inner, fact in value.items():
                shown = fitted(fact) if name == "weights" else cell(fact)
                branch.add(f"[dim]{inner}[/] {shown}", highlight=False)
        else:
            tree.add(f"[dim]{name}[/] {cell(value)}", highlight=False)
    console.print(tree)
    warn_of_channels(context, table=version)


@app.command()
def diff(
    a: Annotated[int, typer.Argument(help="Older version.")],
    b: Annotated[int, typer.Argument(help="Newer version.")],
    limit: Annotated[int, typer.Option(help="Changed pairs to show; --json has them all.")] = 20,
    json: Json = False,
) -> None:
    """The pairs whose answer differs between two versions."""
    from driftline.operations import changes  # NumPy, which a look-up starts without

    found = changes.differences(load(), a, b)
    if json:
        facts = {"a": a, "b": b, "pairs": found.pairs, "changed": found.changed, "share": found.share}
        sys.stdout.writelines(rows_json(facts, found.columns(), found.names))
        sys.stdout.write("\n")
        return
    console.print(f"{found.changed} of {found.pairs} pairs changed ({percent(found.share)})")
    if found.changed:
        shown = found.named(slice(0, max(limit, 0)))
        grid("", ("interest 1", "interest 2", f"next in {a}", f"next in {b}"), shown)
    if found.changed > limit:
        console.print(f"… and {found.changed - limit} more (--limit)")


@app.command()
def publish(
    version: Version,
    channel: Channel = None,
    actor: Actor = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "published by hand",
    force: Annotated[bool, typer.Option(help="Also over a table of a later nominal time.")] = False,
) -> None:
    """Serve a table that passed its gates, or was approved, on a channel."""
    done = channels.publish(load(), version, channel, actor or login(), reason=reason, force=force)
    if done.outcome == "superseded":
        errors.print(f"channel {done.channel} serves a table of a later nominal time: nothing changed (--force)")
        raise typer.Exit(FAILED)
    console.print(f"channel [bold]{done.channel}[/] serves table [bold]{done.table}[/]")


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(help="Table version. Default: the one served before.")] = None,
    channel: Channel = None,
    actor: Actor = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "rolled back by hand",
) -> None:
    """Serve an earlier table again. Nothing is deleted; the move is on record."""
    done = channels.roll_back(load(), channel, to, actor or login(), reason=reason)
    console.print(f"channel [bold]{done.channel}[/] serves table [bold]{done.table}[/]")


@app.command()
def history(channel: Channel = None, json: Json = False) -> None:
    """Every move of a channel (default: of all), newest first."""
    moves = channels.history(load(), channel)
    if json:
        print_json(moves)
        return
    columns = ("at", "channel", "action", "from", "to", "by", "reason", "review")
    rows = [(m.at, m.channel, m.action, m.from_version, m.to_version, m.actor, m.reason, m.gate_id) for m in moves]
    grid("publications", columns, rows)


def lookup(
    c1: Annotated[int, typer.Argument(help="Id of the first interest.")],
    c2: Annotated[int, typer.Argument(help="Id of the second, more recent interest.")],
    channel: Channel = None,
    json: Json = False,
) -> None:
    """The novel interest to explore after C1 and then C2, as serving would read it."""
    context = load()
    answer = tables.lookup(context, c1, c2, channel)
    if json:
        print_json(answer)
        return
    shown = [(cell(answer.c1_name), c1), (cell(answer.c2_name), c2)]
    shown += [(f"[bold green]{cell(answer.c_next_name)}[/]", answer.c_next)]
    console.print(" → ".join(f"{name} [dim]({number})[/]" for name, number in shown), highlight=False)
    how = f"decoding {answer.decoding}" if answer.answers == "llm" else answer.answers
    sure = "" if answer.score is None else f", p = {math.exp(answer.score):.3f}"
    console.print(f"[dim]table {answer.version} on channel {answer.channel}, {how}{sure}[/]", highlight=False)
    if not answer.approved:
        warn_of_channels(context, channel=answer.channel)
