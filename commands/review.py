"""`driftline review`: decide on a candidate that a gate has stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter

from driftline import contracts
from driftline.commands.context import load, wait_for, warn_without_worker
from driftline.commands.output import (
    DONE,
    FAILED,
    Json,
    both_names,
    cell,
    console,
    draw_findings,
    errors,
    grid,
    percent,
    print_json,
)
from driftline.commands.tables import Actor, login, warn_of_channels
from driftline.db.reviews import Review
from driftline.operations import reviews
from driftline.operations.context import Context
from driftline.operations.reviews import Evidence
from driftline.report.finding import Finding

if TYPE_CHECKING:
    from driftline.contracts import KnownBy, ReviewDecision, VerdictReply

app = typer.Typer(help="Candidates that a gate has stopped: look at the evidence, then decide.", no_args_is_help=True)

ReviewId = Annotated[str, typer.Argument(metavar="REVIEW", help="The review's id, as in `driftline review list`.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
Wait = Annotated[bool, typer.Option("--wait", help="Then follow the run until it ends or waits again (exit code 3).")]


@app.command("list")
def list_(json: Json = False) -> None:
    """Every candidate that waits, longest first."""
    waiting = reviews.waiting(load())
    if json:
        print_json([jsonable_review(review) for review in waiting])
        return
    if not waiting:
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
        for g in waiting
    ]
    grid("waiting for review", columns, rows)


@app.command()
def show(review: ReviewId, json: Json = False) -> None:
    """The evidence: what failed, the baselines, examples of answers that were not exact, and how it was decided."""
    evidence = reviews.evidence(load(), review)
    if json:
        print_json({**jsonable_review(evidence.review), "inexact": evidence.inexact, "report": evidence.report})
        return
    draw(evidence)


def jsonable_review(review: Review) -> dict[str, Any]:
    """With its id under the former name, too."""
    return {**both_names(review.review_id), **vars(review)}


def _tested(e: dict[str, Any]) -> str:
    """How much data recall is of."""
    triples = f"n = {e['test_triples']:,} triples"
    return triples if e.get("test_users") is None else f"{triples} of {e['test_users']:,} users"


def draw(evidence: Evidence) -> None:
    opened, report = evidence.review, evidence.report
    e = opened.evidence
    console.print(
        f"[bold]review {opened.review_id}[/]: candidate table {opened.candidate} of {opened.workflow_id}", highlight=False
    )
    for reason in e["reasons"].values():
        console.print(f"  [red]✗[/] {cell(reason)}", highlight=False)
    if not e["reasons"]:
        why = "the newest verdict about the table is against it, or the settings ask for a review always"
        console.print(f"  [green]✓[/] every gate passed; {why}")
    grid(
        "evidence",
        ("", "share"),
        [
            ("exact-match rate (free greedy decoding writes exactly one description)", percent(e["exact_match_rate"])),
            (f"test-set recall ({_tested(e)} in the test window)", percent(e["recall"])),
            ("  lower end of its interval" if e.get("measurement") else "  its lower confidence bound", percent(e["recall_low"])),
            ("  chance, 1/(|C|−2)", percent(e["recall_chance"])),
            ("  most popular successor", percent(e["recall_popular"])),
            ("  most frequent successor of the pair", percent(e["recall_frequent"])),
            ("clusters ever answered", str(e["coverage"])),
            ("events of items that no cluster has", percent(e.get("unknown_share"))),
        ],
    )
    from driftline.report import weights

    if fitted := weights.rows(evidence.weights):
        grid("fitted on the validation window", ("", ""), fitted)
    if evidence.inexact:
        rows = [(x.c1_name, x.c2_name, x.c_next_name, x.free) for x in evidence.inexact]
        grid("answers that were not exact", ("interest 1", "interest 2", "constrained to", "freely wrote …"), rows)
    if report:
        console.print(f"[bold]report {report.version}[/]; the page: `driftline report {opened.candidate}`", highlight=False)
        draw_findings(TypeAdapter(tuple[Finding, ...]).validate_python(report.findings))
    if opened.decision:
        who = f"[bold]{opened.decision}[/] by {cell(opened.reviewer)} ({cell(contracts.KNOWN_BY[opened.known_by or 'claimed'])})"
        console.print(f"decided: {who}, {cell(opened.decided_at)} UTC: {cell(opened.reason)}")
    else:
        console.print(
            f"decide with `driftline review approve|rerun|abort {opened.review_id}` before {opened.expires_at:%Y-%m-%d %H:%M} UTC"
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


@app.command()
def revoke(
    what: Annotated[str, typer.Argument(metavar="TABLE|REVIEW", help="A table's version, or the review that approved it.")],
    actor: Actor = None,
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Take back that a table may be served, whoever or whatever approved it. Channels that serve it say so; roll them back."""
    context = load()
    from driftline.operations import verdicts  # with what a verdict is

    table = int(what) if what.isdecimal() and len(what) < 12 else reviews.get(context, what).candidate
    reviewer, known_by = who(context, actor)
    reply = verdicts.revoke(context, table, reviewer, reason, known_by)
    _say(reply, json)
    if reply.accepted and not json:
        warn_of_channels(context, table=table)
    raise typer.Exit(DONE if reply.accepted else FAILED)


def _decide(decision: ReviewDecision, review: str, actor: str | None, reason: str, wait: bool, json: bool) -> int:
    context = load()
    opened = reviews.get(context, review)
    reply = wait_for(submit(context, opened, decision, actor, reason))
    if reply.accepted and wait:
        return wait_for(_follow(context, opened, decision, json))
    _say(reply, json)
    return DONE if reply.accepted else FAILED


def _say(reply: VerdictReply, json: bool) -> None:
    if json:
        print_json(reply)
    elif reply.accepted:
        console.print(f"[green]accepted:[/] {cell(reply.message)}", highlight=False)
    else:
        errors.print(f"[red]not accepted:[/] {cell(reply.message)}", highlight=False)


def who(context: Context, actor: str | None) -> tuple[str, KnownBy]:
    """Who decides, and how the name is known: as Postgres knows the login, else the operating system; `--as` is a claim."""
    from driftline.operations import verdicts

    return (actor, "claimed") if actor else (verdicts.login(context) or login(), "login")


async def submit(context: Context, review: Review, decision: ReviewDecision, actor: str | None, reason: str) -> VerdictReply:
    """Give a verdict; says so if nobody is there to act on it."""
    from driftline.operations import verdicts

    if await verdicts.is_running(context, review):
        warn_without_worker(context)
    reviewer, known_by = who(context, actor)
    reply = await verdicts.submit(context, review, decision, reviewer, reason, known_by)
    if reply.accepted and not await verdicts.taken_up(context, review):
        errors.print("[yellow]the verdict is on record, but the run has not acted on it yet[/]", highlight=False)
    return reply


async def _follow(context: Context, review: Review, decision: ReviewDecision, json: bool) -> int:
    from driftline.commands.run import finish
    from driftline.operations import runs

    code = await finish(context, await runs.find(context, review.workflow_id), json)
    return DONE if decision == "abort" and code == FAILED else code
