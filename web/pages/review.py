"""One review: the evidence, what would change, and the verdict."""

from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from driftline.contracts import Gates
from driftline.db.reviews import Review
from driftline.operations import changes, experiments, reviews, verdicts
from driftline.operations.changes import Balance, Changes
from driftline.operations.context import Context
from driftline.operations.reviews import Case
from driftline.report.experiment_findings import findings as of_experiment
from driftline.web.guard import context
from driftline.web.page import render, say
from driftline.web.plots import Bar, PlotLine
from driftline.web.words import gate, gate_means

FIRST = 3
"""Of the report's sentences, those that are always shown."""
BALANCES = 8
PAIRS, MORE_PAIRS = 20, 500
"""Of those that changed: the heaviest, and how many whoever asks for more is shown."""


@dataclass(frozen=True)
class GateRow:
    """A gate as the page writes it: value, threshold, and by how much it passed or failed. `measured`: what `value` is."""

    name: str
    meaning: str
    measured: str
    passed: bool
    value: float | None
    threshold: float | None
    reason: str

    @property
    def margin(self) -> float | None:
        return None if self.value is None or self.threshold is None else self.value - self.threshold


def show(request: Request) -> Response:
    """The whole page."""
    return _page(request, reviews.case(context(request), request.path_params["review"]))


async def decide(request: Request) -> Response:
    """Take a verdict, or say why not and show what is there now."""
    form, who = request.state.form, request.state.person
    decision, review = form.get("decision", ""), request.path_params["review"]
    if decision not in ("approve", "rerun", "abort"):
        return say(request, 400, "Nothing was done", "A verdict is to approve, to rerun or to abort.")
    reason = " ".join(form.get("reason", "").split())
    reply = await verdicts.decide(context(request), review, decision, who.name, who.known_by, reason, form.get("shown", ""))
    if reply.accepted:
        request.session["said"] = f"Your verdict is on record: {reply.message}."
        return RedirectResponse(f"/reviews/{review}", 303)
    case = await run_in_threadpool(reviews.case, context(request), review)
    return await run_in_threadpool(_page, request, case, 409, reply.message, reason)


def _page(request: Request, case: Case, status: int = 200, refused: str = "", reason: str = "") -> Response:
    search = request.query_params.get("interest", "").strip()[:200]
    compared = changes_of(context(request), case.review, search, case, asked_pairs(request))
    findings = case.report.findings if case.report else []
    shipped = experiments.shipped_by(context(request), case.review.workflow_id)
    return render(
        request,
        "review.html",
        status,
        case=case,
        gates=judged(case.review.evidence, case.review.failed_gates, context(request).settings.gates),
        findings=(findings[:FIRST], findings[FIRST:]),
        shipped=shipped,
        experiment=of_experiment(shipped.measured.result) if shipped and shipped.measured else (),
        changes=compared,
        search=search,
        **balances(request, compared),
        baselines=baselines(case.review.evidence),
        training=training(case.model.metrics) if case.model else None,
        takes_two=verdicts.takes_two(context(request), case.review),
        refused=refused,
        reason=reason,
        temporal_ui=context(request).addressed.temporal_ui,
        namespace=context(request).settings.temporal_namespace,
    )


def balances(request: Request, compared: Changes | None) -> dict[str, list[Balance]]:
    """The interests that are answered more and less often, the largest changes first; all if all are asked for."""
    number = None if request.query_params.get("interests") == "all" else BALANCES
    moved = compared.balances if compared else ()
    return {"gained": [b for b in moved if b.net > 0][:number], "lost": [b for b in moved if b.net < 0][:number]}


def asked_pairs(request: Request) -> int:
    """How many of the changed pairs to show."""
    return MORE_PAIRS if request.query_params.get("pairs") == str(MORE_PAIRS) else PAIRS


def changes_of(
    context: Context, review: Review, search: str = "", case: Case | None = None, limit: int = PAIRS
) -> Changes | None:
    """The candidate against what its channel serves; None where nothing is served, or their interests do not compare."""
    case = case or reviews.case(context, review.review_id)
    if not case.served or not case.comparable or case.served.version == review.candidate:
        return None
    return changes.compare(context, case.served.version, review.candidate, search, limit)


def judged(figures: dict[str, Any], failed: list[str], gates: Gates) -> list[GateRow]:
    """Every gate, the failed ones first.

    The thresholds are those of these settings; where the run was judged by another one, only its own sentence is shown.
    Counts have no exact-match rate.
    """
    exact = figures["exact_match_rate"]
    judged_by: dict[str, tuple[float | None, float | None]] = {
        **({"exact_match_rate": (exact, gates.min_exact_match_rate)} if exact is not None else {}),
        "recall": (figures["recall"], gates.min_recall),
        "recall_above_chance": (figures["recall_low"], figures["recall_chance"]),
        "unknown_share": (figures.get("unknown_share"), None),
    }
    rows = []
    for name in dict.fromkeys((*failed, *judged_by)):
        value, threshold = judged_by.get(name, (None, None))
        reason, passed = str(figures["reasons"].get(name, "")), name not in failed
        if threshold is not None and value is not None and (value < threshold) == passed and name != "recall_above_chance":
            threshold = None
        measured = "lower bound" if name == "recall_above_chance" else "measured"
        rows.append(GateRow(gate(name), gate_means(name), measured, passed, value, threshold, reason))
    return rows


def baselines(figures: dict[str, Any]) -> list[Bar]:
    """Recall beside what it must be read against (design §3.8)."""
    return [
        Bar("this candidate", figures["recall"], "a", figures["recall_low"]),
        Bar("pair’s most frequent", figures["recall_frequent"], "f"),
        Bar("most popular successor", figures["recall_popular"], "f"),
        Bar("chance", figures["recall_chance"], "f"),
    ]


@dataclass(frozen=True)
class TrainingCurves:
    steps: list[str]
    losses: list[PlotLine]
    validated: list[str]
    exact: list[PlotLine]
    best: int | None
    """Index into `validated` of the checkpoint that became the adapter."""


def training(metrics: dict[str, Any]) -> TrainingCurves | None:
    """Curves of loss and validation; None of a model without them."""
    losses = [float(loss) for loss in metrics.get("losses", [])]
    if not losses:
        return None
    curve = metrics.get("validation") or {}
    steps = [int(step) for step in curve.get("step", [])]
    validation: list[float | None] = [None] * len(losses)
    for step, loss in zip(steps, curve.get("loss", []), strict=False):
        if 1 <= step <= len(losses):
            validation[step - 1] = float(loss)
    lines = [PlotLine("training loss", losses, "f"), PlotLine("validation loss", validation, "a")]
    exact = [None if value is None else float(value) for value in curve.get("exact_match_rate", [])]
    best = steps.index(curve["best_step"]) if curve.get("best_step") in steps else None
    names = [f"step {step}" for step in steps]
    return TrainingCurves(
        [f"step {i + 1}" for i in range(len(losses))], lines, names, [PlotLine("validation exact match", exact, "c")], best
    )
