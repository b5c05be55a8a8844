"""All transition tables, one with its lineage, and two compared."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from driftline.contracts import BadInput
from driftline.db.tables import TransitionTable
from driftline.operations import changes as operations_changes
from driftline.operations import reports, reviews, tables, verdicts
from driftline.operations.changes import Changes
from driftline.web.guard import context
from driftline.web.page import render
from driftline.web.pages.review import asked_pairs, balances
from driftline.web.plots import PlotLine

PLOTTED = 40
"""The newest versions of a cluster set that a plot shows."""
LISTED = 100
CSV_ROWS = 50_000


def index(request: Request) -> Response:
    """Every version, newest first, a hundred at a time, and their metrics over time."""
    found = tables.list_tables(context(request))
    newest = found[-1].cluster_set if found else None
    newest_shown = int(until) if (until := request.query_params.get("until", "")).isdecimal() and len(until) < 12 else None
    listed = [table for table in found[::-1] if newest_shown is None or table.version <= newest_shown]
    shown, older = listed[:LISTED], listed[LISTED : LISTED + 1]
    comparable = (table for table in found if table.cluster_set == newest and table.complete)
    plotted = sorted(comparable, key=lambda table: (table.nominal, table.version))[-PLOTTED:]
    costs = {row["version"]: row for row in reports.costs(context(request), newest)} if newest else {}
    return render(
        request,
        "tables.html",
        tables=shown,
        older=older,
        newest=newest_shown,
        cluster_set=newest,
        ticks=[f"table {t.version}" for t in plotted],
        curves=curves(plotted, costs),
        costs=costs,
    )


def show(request: Request) -> Response:
    """One version: everything that it was made of, and everyone who had a say."""
    version = request.path_params["version"]
    table = tables.get(context(request), version)
    lineage = tables.lineage(context(request), version)
    others = [t for t in tables.list_tables(context(request)) if t.cluster_set == table.cluster_set and t.version != version]
    cost = next((row for row in reports.costs(context(request), table.cluster_set) if row["version"] == version), {})
    return render(
        request,
        "table.html",
        table=table,
        lineage=lineage,
        others=others[::-1][:LISTED],
        cost=cost,
        reviews=reviews.about(context(request), version),
        temporal_ui=context(request).addressed.temporal_ui,
        namespace=context(request).settings.temporal_namespace,
    )


def ask_revoke(request: Request) -> Response:
    """Whether, and why, a table may no longer be served."""
    return _ask_revoke(request)


def revoke(request: Request) -> Response:
    """Take the approval back, if what is decided is still what was shown."""
    form, who, version = request.state.form, request.state.person, request.path_params["version"]
    reason = " ".join(form.get("reason", "").split())
    reply = verdicts.revoke(context(request), version, who.name, reason, who.known_by, form.get("shown", ""))
    if not reply.accepted:
        return _ask_revoke(request, reply.message, reason)
    request.session["said"] = f"It is on record: {reply.message}."
    return RedirectResponse(f"/tables/{version}", 303)


def _ask_revoke(request: Request, refused: str = "", reason: str = "") -> Response:
    table = tables.get(context(request), request.path_params["version"])
    shown, status = verdicts.standing(context(request), table.version), 409 if refused else 200
    return render(request, "revoke.html", status, table=table, shown=shown, refused=refused, reason=reason)


def changes_csv(request: Request) -> Response:
    """The same for a spreadsheet."""
    found, _ = _compared(request, CSV_ROWS)
    name = f"changes-{found.before}-{found.after}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(operations_changes.as_csv(found), media_type="text/csv", headers=headers)


def _compared(request: Request, pairs: int) -> tuple[Changes, str]:
    """Compares the requested tables; with the search text."""
    asked, search = request.query_params, request.query_params.get("interest", "").strip()[:200]
    try:
        before, after = int(asked["before"]), int(asked["after"])
    except (KeyError, ValueError):
        raise BadInput("two versions are compared: /changes?before=1&after=2") from None
    return operations_changes.compare(context(request), before, after, search, pairs), search


def changes(request: Request) -> Response:
    """Two versions compared, heaviest pairs first."""
    found, search = _compared(request, asked_pairs(request))
    rows = balances(request, found)
    return render(request, "changes.html", changes=found, search=search, gained=rows["gained"], lost=rows["lost"])


def curves(plotted: list[TransitionTable], costs: dict[int, dict[str, object]]) -> list[tuple[str, str, list[PlotLine]]]:
    """The small plots: title, how values are written, and curves."""

    def cost(name: str) -> list[float | None]:
        return [None if (v := costs.get(t.version, {}).get(name)) is None else float(v) for t in plotted]  # type: ignore[arg-type]

    recall = [
        PlotLine("recall", [t.recall for t in plotted], "a"),
        PlotLine("pair’s most frequent", [t.recall_frequent for t in plotted], "b"),
        PlotLine("most popular", [t.recall_popular for t in plotted], "d"),
        PlotLine("chance", [t.recall_chance for t in plotted], "f"),
    ]
    return [
        ("Test-set recall", "percent", recall),
        ("Exact match", "percent", [PlotLine("exact match", [t.exact_match_rate for t in plotted], "a")]),
        (
            "Interests answered",
            "percent",
            [PlotLine("interests answered", [t.coverage / t.clusters if t.coverage else None for t in plotted], "c")],
        ),
        ("Answers changed", "percent", [PlotLine("changed since the table before", cost("changed"), "b")]),
        ("Tokens forwarded", "number", [PlotLine("tokens forwarded", cost("tokens_forwarded"), "d")]),
        ("Inference, CPU seconds", "number", [PlotLine("CPU seconds", cost("generate_cpu_seconds"), "e")]),
    ]
