"""`driftline demo`: the main job on real data with a real LLM, then everything is left running to explore."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import tomli_w
import typer
from rich.prompt import Prompt
from temporalio.exceptions import WorkflowAlreadyStartedError

from driftline.commands import clusters, report, review, source, stack
from driftline.commands.context import load, wait_for
from driftline.commands.follow import follow
from driftline.commands.output import DONE, FAILED, WAITING, cell, console, draw_findings, grid, percent
from driftline.commands.run import draw_quality, draw_recommender, finish
from driftline.contracts import ClusterSetRef, FineTuneInput, RagRefreshInput, RecommenderRef, RunOutcome
from driftline.operations import changes, logs, recommenders, reports, reviews, runs, serving, tables
from driftline.operations import clusters as operations_clusters
from driftline.operations import stack as operations_stack
from driftline.operations.context import Context
from driftline.settings import Settings
from driftline.sources.demo import write_demo

FINE_TUNE_AT = datetime(2017, 11, 20, tzinfo=UTC)
RAG_REFRESH_AT = datetime(2018, 1, 1, tzinfo=UTC)
"""So that the refresh retrieves from the four weeks that follow the fine-tune's test window, and is tested on the two after."""


def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Approve a candidate that a gate stops; never ask.")] = False,
) -> None:
    """Run the main job once: a year of real grocery purchases, 12 interests, a LoRA fine-tune, a RAG refresh, the evidence.

    Takes less than ten minutes on two cores. A second run reuses what the first has made. Everything keeps running
    afterwards, in `.driftline/`, until `driftline down`.
    """
    began = time.monotonic()
    base = load()
    heading("1  Servers", "embedded Postgres and Temporal, the schema, one worker")
    wait_for(operations_stack.start(base))
    stack.draw_addresses(base)

    heading("2  Interests", "The Complete Journey: a year of purchases of 2,469 households")
    context = Context(demo_settings(base.settings))
    source.draw(logs.ingest(context))
    cluster_set = wait_for(_cluster_set(context))
    _, interests = operations_clusters.get(context, cluster_set.version)
    clusters.draw(cluster_set.version, interests)

    heading("3  Fine-tune", f"counts → samples → LoRA → a mapping of every ordered pair → gates, as of {FINE_TUNE_AT:%Y-%m-%d}")
    slow = runs.fine_tune_input(context.settings, FINE_TUNE_AT, cluster_set.version)
    first = _run(context, slow, "demo-fine-tune", yes)

    heading(
        "4  RAG refresh", f"the same model, told what households did in the four weeks after, as of {RAG_REFRESH_AT:%Y-%m-%d}"
    )
    fast = runs.rag_refresh_input(context.settings, RAG_REFRESH_AT, cluster_set.version)
    second = _run(context, fast, "demo-rag-refresh", yes)

    heading("5  What changed", f"table {first} → table {second}")
    _compare(context, first, second)

    heading("6  Evidence", "does all this pay here? Drift, and a replay of the last ten days with and without RAG")
    page = context.settings.home.absolute() / "report.html"
    report.measure(context, second, ("drift", "refresh"))
    _, shown = reports.write(context, second, page)
    draw_findings(shown.findings)
    console.print(f"\nthe page: {page.as_uri()}", highlight=False, soft_wrap=True)

    heading("7  Serving", "a sequence recommender, and one look-up as a site makes it: last purchases → an interest → its items")
    made = _recommender(context, cluster_set.version)
    _serve(context, made)
    console.print(f"\n[green]done[/] in {(time.monotonic() - began) / 60:.1f} minutes; everything keeps running\n")
    _explore(context, first, second)


def heading(title: str, about: str) -> None:
    console.print(f"\n[bold cyan]{title}[/]  [dim]{about}[/]", highlight=False)


def demo_settings(base: Settings) -> Settings:
    """The demo's log and windows; kept beside its data, so that later commands find them where there is no driftline.toml."""
    home = base.home.absolute()
    log = write_demo(home / "demo")
    chosen: dict[str, Any] = {
        "source": {name: value for name, value in vars(log).items() if value},
        "clusters": {"fan_out": [12]},
        # Households come back to the same interests week after week; the first time only says little.
        "sequences": {"dedup": "adjacent"},
        "fine_tune": {"days": 90, "test_days": 28},
        "rag_refresh": {"days": 28, "test_days": 14},
        # What a small model learns from little, chosen on earlier windows: docs/adr/0016.
        "samples": {"prompts_per_interest": 5, "validation_size": 64},
        "training": {"steps": 60},
        "measures": {"held_out_days": 10},
        # Seconds: enough to see items.
        "recommender": {"days": 60, "dimensions": 32, "blocks": 1, "length": 30, "batch_size": 128, "epochs": 3},
        "serving": {"items": True},
    }
    (home / "driftline.toml").write_text(
        "# Written by `driftline demo`; used where there is no ./driftline.toml.\n" + tomli_w.dumps(chosen)
    )
    return Settings(**chosen)


async def _cluster_set(context: Context) -> ClusterSetRef:
    made = await runs.completed(context, "demo-clusters", ClusterSetRef)
    return made or await clusters.build_set(context, "demo-clusters")


def _run(context: Context, request: FineTuneInput | RagRefreshInput, name: str, yes: bool) -> int:
    """Run to publication, through as many reviews as it takes. Returns the published table; ends the program without one."""
    code = DONE
    made = wait_for(runs.completed(context, name, RunOutcome))
    if made is None or made.outcome != "published":
        code = wait_for(_attempt(context, request, name))
    else:
        console.print(f"already there: table {made.table}")
        draw_quality(tables.get(context, made.table))
    while code == WAITING:
        code = _review(context, name, yes)
    made = wait_for(runs.completed(context, name, RunOutcome))
    if code != DONE or made is None:
        raise typer.Exit(code or FAILED)
    return made.table


async def _attempt(context: Context, request: FineTuneInput | RagRefreshInput, name: str) -> int:
    try:
        handle = await runs.start(context, request, name)
    except WorkflowAlreadyStartedError:  # an earlier demo was interrupted
        handle = await runs.find(context, name)
    return await finish(context, handle)


def _review(context: Context, name: str, yes: bool) -> int:
    """Show the evidence and pass on the user's verdict."""
    evidence = reviews.evidence(context, wait_for(_waiting_review(context, name)))
    review.draw(evidence)
    if not yes and not at_a_terminal():
        console.print("no terminal to ask for a verdict on: decide with `driftline review`, or run the demo with --yes")
        raise typer.Exit(WAITING)
    decision: Any = "approve" if yes else Prompt.ask("your verdict", choices=["approve", "rerun", "abort"], console=console)
    reason = "driftline demo --yes" if yes else "decided in the demo"
    reply = wait_for(review.submit(context, evidence.review, decision, None, reason))
    console.print(reply.message, highlight=False, markup=False)
    return wait_for(_follow(context, name))


def at_a_terminal() -> bool:
    return sys.stdin.isatty()


async def _waiting_review(context: Context, name: str) -> str:
    status = await runs.status(await runs.find(context, name))
    if status.review_id is None:
        raise ValueError(f"{name} no longer waits for review: start the demo again")
    return status.review_id


async def _follow(context: Context, name: str) -> int:
    return await finish(context, await runs.find(context, name))


def _compare(context: Context, first: int, second: int, shown: int = 8) -> None:
    found = changes.differences(context, first, second)
    console.print(f"{found.changed} of {found.pairs} answers differ ({percent(found.share)}); some of them:", highlight=False)
    step = max(1, found.changed // shown)
    spread, columns = slice(0, step * shown, step), found.columns()
    pairs = list(zip(columns["c1"][spread].tolist(), columns["c2"][spread].tolist(), strict=True))
    rows = [
        (f"{c1} {first_name}", f"{c2} {second_name}", was, becomes)
        for (c1, c2), (first_name, second_name, was, becomes) in zip(pairs, found.named(spread), strict=True)
    ]
    grid("", ("interest 1", "interest 2", f"next, table {first}", f"next, table {second}"), rows)
    if pairs:
        console.print(f"try: driftline lookup {pairs[0][0]} {pairs[0][1]}", highlight=False)


def _recommender(context: Context, cluster_set: int) -> bool:
    """Train a small one. Whether that went well: the look-up needs it for items only."""
    asked = recommenders.recommender_input(context.settings, RAG_REFRESH_AT, cluster_set)

    async def made() -> RecommenderRef:
        handle = await recommenders.start(context, asked, "demo-recommender")
        await follow(handle)
        return await runs.result(handle)

    try:
        version = (wait_for(runs.completed(context, "demo-recommender", RecommenderRef)) or wait_for(made())).version
    except runs.RunFailed as error:
        console.print(f"[yellow]no recommender:[/] {cell(str(error))}", highlight=False)
        return False
    draw_recommender(recommenders.get(context, version))
    return True


def _serve(context: Context, items: bool, last: int = 4) -> None:
    """Ask for the household of the log's last event. Everything else has been shown, so what fails here is only said."""
    source = context.settings.source
    events = pq.read_table(source.events, columns=["user", "item"])
    catalogue = pq.read_table(source.items, columns=["item", "text"])
    bought = events.filter(pc.equal(events["user"], events["user"][-1]))["item"].to_pylist()
    history = list(dict.fromkeys(reversed(bought)))[:last][::-1]
    texts = dict(zip(map(str, catalogue["item"].to_pylist()), catalogue["text"].to_pylist(), strict=True))
    console.print(f"bought: {', '.join(cell(texts.get(str(item), str(item))) for item in history)}", highlight=False)
    question: dict[str, Any] = {"items": history} | ({"recommend": 5} if items else {})
    port = context.settings.serving.port
    console.print(f"curl -d '{json.dumps(question)}' 127.0.0.1:{port}/v1/next", highlight=False, soft_wrap=True)
    try:
        answer = serving.ask(context, question)
    except (OSError, RuntimeError) as error:
        console.print(f"[yellow]no answer:[/] {cell(str(error))}", highlight=False)
        return
    for found in answer["next"]:
        of = f"pair {answer['pair'][0]}, {answer['pair'][1]}" if answer["pair"] else "no pair"
        said = f"→ {found['interest']} {found['name']} ({found['how']}; {of}; table {answer['version']})"
        console.print(cell(said), highlight=False)
        for item in found.get("items", ()):
            console.print(
                f"    {cell(texts.get(item['item'], item['item']))}  [dim]item {cell(item['item'])}[/]", highlight=False
            )


def _explore(context: Context, first: int, second: int) -> None:
    stack.draw_addresses(context)
    console.print(
        "driftline status          what runs and what waits\n"
        f"driftline tables list     both versions; `tables show {second}` has the lineage\n"
        f"driftline tables diff {first} {second} what the refresh changed\n"
        "driftline report --full   the rest of the evidence: how RAG changes the answers, which retrieval is best\n"
        "driftline serve           look-ups by HTTP: docs/serving.md\n"
        "driftline schedule apply  let both updates start by themselves\n"
        "driftline down            stop everything; data stays",
        highlight=False,
    )
