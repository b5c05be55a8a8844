"""`driftline review`: decide on a candidate that a gate has stopped."""

import asyncio
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from sqlalchemy import Connection
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError

import db.clusters
import db.reports
import db.reviews
import db.tables
from commands.context import Unreachable, connect, engine, load_settings, wait_for
from commands.output import DONE, FAILED, Json, cell, console, errors, grid, percent, print_json
from commands.report import draw as draw_findings
from commands.run import both_names, failure, finish, warn_without_worker
from commands.tables import Actor, login
from contracts import Decision, RunOutcome, VerdictReply
from db.reports import Report
from db.reviews import Review
from report.content import Finding
from settings import Settings

ANSWER_SECONDS = 60.0

app = typer.Typer(help="Candidates that a gate has stopped: look at the evidence, then decide.", no_args_is_help=True)

ReviewId = Annotated[str, typer.Argument(metavar="REVIEW", help="The review's id, as in `driftline review list`.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
Wait = Annotated[bool, typer.Option("--wait", help="Then follow the run until it ends or waits again (exit code 3).")]


@app.command("list")
def list_(json: Json = False) -> None:
    """Every candidate that waits, longest first."""
    with engine(load_settings()).connect() as connection:
        reviews = db.reviews.waiting(connection)
    if json:
        print_json([jsonable_review(review) for review in reviews])
        return
    if not reviews:
        console.print("nothing waits for review")
        return
    columns = ("review", "candidate", "failed gates", "exact match", "recall", "waiting since", "expires")
    rows = [
        (
            g.review_id,
            f"table {g.candidate}",
            g.failed_gates,
            percent(g.evidence["exact_match_rate"]),
            percent(g.evidence["recall"]),
            g.waiting_since,
            g.expires_at,
        )
        for g in reviews
    ]
    grid("waiting for review", columns, rows)


@app.command()
def show(review: ReviewId, json: Json = False) -> None:
    """The evidence: what failed, the baselines, examples of answers that were not exact, and how it was decided."""
    with engine(load_settings()).connect() as connection:
        found = db.reviews.get(connection, review)
        examples = inexact(connection, found.candidate)
        report = db.reports.newest_of(connection, found.candidate)
    if json:
        print_json({**jsonable_review(found), "inexact": examples, "report": report})
        return
    draw(found, examples, report)


def jsonable_review(review: Review) -> dict[str, Any]:
    """With its id under the former name, too."""
    return {**both_names(review.review_id), **vars(review)}


def inexact(connection: Connection, table: int, limit: int = 8) -> list[dict[str, Any]]:
    """Pairs whose free answer was not exactly a novel description, spread over the table, and what was written instead."""
    missed = [row for row in db.tables.rows(connection, table).to_pylist() if row["decoding"] == "constrained"]
    names = db.clusters.get(connection, db.tables.get(connection, table).cluster_set)["name"].to_pylist()
    shown = missed[:: max(1, len(missed) // limit)][:limit]
    return [
        {name: row[name] for name in ("c1", "c2", "c_next")}
        | {f"{name}_name": names[row[name]] for name in ("c1", "c2", "c_next")}
        | {"free": row["free"]}
        for row in shown
    ]


def draw(gate: Review, examples: list[dict[str, Any]], report: Report | None) -> None:
    e = gate.evidence
    console.print(f"[bold]review {gate.review_id}[/]: candidate table {gate.candidate} of {gate.workflow_id}", highlight=False)
    for reason in e["reasons"].values():
        console.print(f"  [red]✗[/] {cell(reason)}", highlight=False)
    if not e["reasons"]:
        console.print("  [green]✓[/] every gate passed; the settings ask for a review always")
    grid(
        "evidence",
        ("", "share"),
        [
            ("exact-match rate (free greedy decoding writes exactly one description)", percent(e["exact_match_rate"])),
            (f"test-set recall (n = {e['test_triples']:,} triples of the test window)", percent(e["recall"])),
            ("  its lower confidence bound", percent(e["recall_low"])),
            ("  chance, 1/(|C|−2)", percent(e["recall_chance"])),
            ("  most popular successor", percent(e["recall_popular"])),
            ("  most frequent successor of the pair", percent(e["recall_frequent"])),
            ("clusters ever answered", str(e["coverage"])),
        ],
    )
    if examples:
        rows = [(x["c1_name"], x["c2_name"], x["c_next_name"], x["free"]) for x in examples]
        grid("answers that were not exact", ("interest 1", "interest 2", "constrained to", "freely wrote …"), rows)
    if report:
        console.print(f"[bold]report {report.version}[/]; the page: `driftline report {gate.candidate}`", highlight=False)
        draw_findings(TypeAdapter(tuple[Finding, ...]).validate_python(report.findings))
    if gate.decision:
        console.print(
            f"decided: [bold]{gate.decision}[/] by {cell(gate.reviewer)}, {cell(gate.decided_at)} UTC: {cell(gate.reason)}"
        )
    else:
        console.print(
            f"decide with `driftline review approve|rerun|abort {gate.review_id}` before {gate.expires_at:%Y-%m-%d %H:%M} UTC"
        )


@app.command()
def approve(review: ReviewId, actor: Actor = None, reason: Reason = "", wait: Wait = False, json: Json = False) -> None:
    """Publish the candidate under your name."""
    raise typer.Exit(_decide("approve", review, actor, reason, wait, json))


@app.command()
def rerun(review: ReviewId, actor: Actor = None, reason: Reason = "", wait: Wait = False, json: Json = False) -> None:
    """Make another candidate: a fine-tune starts again from sample curation, with another seed."""
    raise typer.Exit(_decide("rerun", review, actor, reason, wait, json))


@app.command()
def abort(review: ReviewId, actor: Actor = None, reason: Reason = "", wait: Wait = False, json: Json = False) -> None:
    """End the run; nothing is published."""
    raise typer.Exit(_decide("abort", review, actor, reason, wait, json))


def _decide(decision: Decision, review: str, actor: str | None, reason: str, wait: bool, json: bool) -> int:
    settings = load_settings()
    with engine(settings).connect() as connection:
        found = db.reviews.get(connection, review)
    reply = wait_for(submit(settings, found, decision, actor or login(), reason))
    if reply.accepted and wait:
        return wait_for(_follow(settings, found, decision, json))
    if json:
        print_json(reply)
    elif reply.accepted:
        console.print(f"[green]accepted:[/] {cell(reply.message)}", highlight=False)
    else:
        errors.print(f"[red]not accepted:[/] {cell(reply.message)}", highlight=False)
    return DONE if reply.accepted else FAILED


async def submit(settings: Settings, gate: Review, decision: Decision, reviewer: str, reason: str) -> VerdictReply:
    """Send a verdict through the review's main door. A verdict that comes too late is an answer, not an error.

    Raises:
        Unreachable: the run does not answer, most likely because no worker runs.
    """
    client = await connect(settings)
    handle = client.get_workflow_handle(gate.workflow_id, run_id=gate.run_id)
    if (await handle.describe()).status != WorkflowExecutionStatus.RUNNING:
        with engine(settings).begin() as connection:
            db.reviews.expire(connection, gate.review_id, "its run ended without a verdict")
            ended = db.reviews.get(connection, gate.review_id)
        return VerdictReply(False, f"the run of review {gate.review_id} has ended: {ended.decision} by {ended.reviewer}")
    warn_without_worker(settings)
    verdict = {"gate_id": gate.review_id, "decision": decision, "reviewer": reviewer, "reason": reason}
    try:
        sent = handle.execute_update("verdict", verdict, result_type=VerdictReply)
        reply: VerdictReply = await asyncio.wait_for(sent, ANSWER_SECONDS)
    except WorkflowUpdateFailedError as error:
        return VerdictReply(False, failure(error))
    except TimeoutError:
        raise Unreachable(f"the run did not answer within {ANSWER_SECONDS:.0f} s: is a worker running?") from None
    return reply


async def _follow(settings: Settings, gate: Review, decision: Decision, json: bool) -> int:
    client = await connect(settings)
    code = await finish(settings, client.get_workflow_handle(gate.workflow_id, result_type=RunOutcome), json)
    return DONE if decision == "abort" and code == FAILED else code
