"""Whether to update today: a decision from what the days since the last update say, with its reasons in words (ADR 0021).

Each day asks two tables about the triples that end on it: one of the counts that the served table was made of, and one of the
newest counts before that day. What the fresh one hits more is what a refresh the day before would have been worth on that day.
These gains are added up since the last update, as CARA's cumulative threshold does with its costs. They are a sum of triples that
only one of both hits, so that its standard error is the root of their number: a loss is believed from `errors` of these on. What
it has to come to beside that is the price that the rest of the budget sets (`cadence_budget`).
"""

from collections.abc import Sequence
from datetime import date
from math import sqrt

from driftline.contracts import Action, Cadence, CadenceDecision, MeasuredDay, Standing, Update
from driftline.interests.cadence_budget import left, price, worth


def decide(standing: Standing, cadence: Cadence) -> CadenceDecision:
    """The update of a day, or none, and why. The same standing always gives the same decision.

    What comes first decides: a person's word; that nothing is served; the longest intervals; the shortest; what was measured.
    """
    said = standing.override
    if said:
        reason = f"{said.by} said so for {_span(said.first, said.last)}: {said.reason}"
        return _decided(standing, cadence, said.action, [reason])
    if standing.table is None:
        first: Update = "fine_tune" if standing.needs_model and standing.model is None else _refresh(standing)
        return _allowed(standing, cadence, first, ["No table is served."], due=True)
    if standing.needs_model and "fine_tune" in cadence.updates:
        due, reason = _fine_tune(standing, cadence)
        if due:
            return _allowed(standing, cadence, "fine_tune", [reason], due == "interval")
    return _refreshed(standing, cadence)


def since(standing: Standing) -> date | None:
    """The day of the last refresh or fine-tune: of the served table, or of one that was started and is not served, or never."""
    acted = [entry.day for entry in standing.entries if entry.action != "none"]
    return max([*acted, *([standing.table] if standing.table else [])], default=None)


def _refresh(standing: Standing) -> Update:
    return "rag_refresh" if standing.needs_model else "counts"


def _fine_tune(standing: Standing, cadence: Cadence) -> tuple[str, str]:
    """Why a fine-tune is due: `interval`, `loss` or nothing; and the reason."""
    acted = [entry.day for entry in standing.entries if entry.action == "fine_tune"]
    newest = max([*acted, *([standing.model] if standing.model else [])], default=None)
    if newest is None:
        return "interval", "No model has been approved."
    age = (standing.day - newest).days
    if age >= cadence.fine_tune_max_days:
        return "interval", f"The last fine-tune was {_days(age)} ago; fine_tune_max_days is {cadence.fine_tune_max_days}."
    if age < cadence.fine_tune_min_days:
        return "", ""
    days = [day for day in standing.measured if day.day >= newest and day.learned is not None]
    fresh, learned = sum(day.fresh for day in days), sum(day.learned or 0 for day in days)
    error = sqrt(sum(day.learned_apart or 0 for day in days))
    lost = fresh - learned
    if lost <= 0 or lost < cadence.errors * error or lost < cadence.fine_tune_loss * fresh:
        return "", ""
    return "loss", (
        f"Counts of the days that the model has learned from would have missed {lost:,} of the {fresh:,} triples that fresh "
        f"counts hit since {newest} ({lost / fresh:.1%}; fine_tune_loss is {cadence.fine_tune_loss:.0%})."
    )


def _refreshed(standing: Standing, cadence: Cadence) -> CadenceDecision:
    """A refresh, or none."""
    newest = since(standing) or standing.day
    age, update = (standing.day - newest).days, _refresh(standing)
    if age >= cadence.max_days:
        reason = f"The last update was {_days(age)} ago; max_days is {cadence.max_days}."
        return _allowed(standing, cadence, update, [reason], due=True)
    if age < cadence.min_days:
        return _decided(standing, cadence, "none", [f"The last update was {_days(age)} ago; min_days is {cadence.min_days}."])
    days = [day for day in standing.measured if day.day >= newest]
    reasons = []
    unknown = days[-1].unknown_share if days else None
    if unknown is not None and unknown > cadence.max_unknown_share:
        much = (
            f"{unknown:.1%} of the events of {days[-1].day} are of items in no cluster, more than {cadence.max_unknown_share:.0%}"
        )
        if standing.assigns:
            return _allowed(standing, cadence, update, [f"{much}; an update assigns them."], due=False)
        reasons.append(f"{much}: `driftline clusters assign` puts them into the nearest one.")
    lost, text = loss(days, newest, cadence.errors)
    if lost:
        return _allowed(standing, cadence, update, [text, *reasons], due=False, days=days)
    return _decided(standing, cadence, "none", [text, *reasons])


def loss(days: Sequence[MeasuredDay], newest: date, errors: float) -> tuple[bool, str]:
    """Whether the days show a loss beyond noise, and what they show."""
    triples = sum(day.triples for day in days)
    if not triples:
        return False, f"Nothing has been measured since {newest}: not enough data: n = 0 triples."
    lost, error = sum(day.fresh - day.stale for day in days), sqrt(sum(day.apart for day in days))
    found = lost > 0 and lost >= errors * error
    more = f"{lost:,} more" if lost >= 0 else f"{-lost:,} fewer"
    than = "beyond" if found else "within"
    return found, (
        f"Since {newest} fresh counts would have hit {more} of {triples:,} triples ({lost / triples:+.2%}), "
        f"{than} {errors:g} standard errors of {error:,.0f}."
    )


def _allowed(
    standing: Standing,
    cadence: Cadence,
    update: Update,
    reasons: list[str],
    due: bool,
    days: Sequence[MeasuredDay] = (),
) -> CadenceDecision:
    """The update if it may be started, can be paid and is worth it, or the cheaper one, or none.

    `due`: an interval goes before the budget. `days`: those whose loss has to be worth the price.
    """
    if due and update in cadence.updates:
        return _decided(standing, cadence, update, reasons)
    choices: list[Update] = [update, "counts"] if update == "rag_refresh" else [update]
    allowed = [choice for choice in choices if choice in cadence.updates]
    if update == "counts" and not allowed and "rag_refresh" in cadence.updates:
        allowed = ["counts"]  # A refresh under `rag_refresh.answers = "counts"`.
    if not allowed:
        return _decided(standing, cadence, "none", [*reasons, f"cadence.updates has no {_name(update)}."])
    for choice in allowed:
        yes, told = (True, "") if due else _paid(standing, cadence, choice, days)
        reasons = [*reasons, told] if told else reasons
        if yes:
            return _decided(standing, cadence, choice, reasons)
    return _decided(standing, cadence, "none", reasons)


def _paid(standing: Standing, cadence: Cadence, update: Update, days: Sequence[MeasuredDay]) -> tuple[bool, str]:
    """Whether the budget has room for an update and the days' loss is worth it; and what there is to say."""
    there, cost = left(standing, cadence), standing.costs.get(update, 0.0)
    if there is not None and max(there, 0.0) < cost:
        return False, f"The budget does not cover a {_name(update)}: {cost:,.0f} seconds, and {there:,.0f} are left."
    asked = price(standing, days, cadence, update) if days else 0.0
    if not asked:
        return True, ""
    found = worth(days)
    told = f"The rest of the budget asks for {asked:,.0f} triples before a {_name(update)}; it is worth {found:,.0f} by now."
    return found >= asked, told


def _decided(standing: Standing, cadence: Cadence, action: Action, reasons: list[str]) -> CadenceDecision:
    cost = 0.0 if action == "none" else standing.costs.get(action, 0.0)
    there = left(standing, cadence)
    if action != "none" and action not in standing.costs and cadence.budget:
        reasons = [*reasons, f"What a {_name(action)} costs is not known yet."]
    said = standing.override.id if standing.override else None
    return CadenceDecision(standing.day, action, tuple(reasons), cost, None if there is None else there - cost, said)


def _name(action: Action) -> str:
    names: dict[Action, str] = {"counts": "refresh of the counts", "rag_refresh": "RAG refresh", "fine_tune": "fine-tune"}
    return names.get(action, action)


def _days(n: int) -> str:
    return "1 day" if n == 1 else f"{n} days"


def _span(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
