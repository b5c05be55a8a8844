"""`driftline recommend`: items of the next novel interest, for many users at once."""

from pathlib import Path
from typing import Annotated

import typer

from driftline.commands.context import Set, load
from driftline.commands.output import Json, cell, console, print_json
from driftline.operations import recommendations


def recommend(
    out: Annotated[Path, typer.Argument(dir_okay=False, help="Parquet or .csv: user, interest, how, place, item, score.")],
    users: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Parquet or CSV with a column `user`. Default: everybody in the log."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many items for each user at most.")] = 10,
    channel: Annotated[str | None, typer.Option(help="Default: the setting `channel`.")] = None,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Write items of each user's next novel interest: by the channel's table, and the newest recommender of its cluster set.

    What a user has had, and what the catalogue no longer has, is left out.
    """
    context = load(settings)
    asked = recommendations.users_in(users) if users else None
    done = recommendations.recommend(context, out, asked, top, channel)
    if json:
        print_json(done)
        return
    console.print(
        f"[green]written:[/] {cell(done.file)}: {done.rows:,} items for {done.users - done.without:,} of {done.users:,} users, "
        f"by table {done.table} and recommender {done.recommender}",
        highlight=False,
    )
