"""What an experiment says, in sentences. They go by the intervals that are valid on every day: the reader may have peeked."""

from driftline.interests.experiments.result import Effect, MetricResult, Result
from driftline.report.finding import Finding
from driftline.report.words import count, day, listed

MANY_CROSSED = 0.01
"""Share of the users shown both arms from which on the assignment itself is in doubt."""


def findings(result: Result) -> tuple[Finding, ...]:
    """The split of the users first: where it is wrong, there is nothing else to say."""
    if result.mismatch:
        return (Finding("bad", _mismatch(result)), *_left_out(result))
    goals = [metric for metric in result.metrics if not metric.guardrail]
    guardrails = [metric for metric in result.metrics if metric.guardrail]
    biased = [metric for metric in result.metrics if metric.biased]
    return (
        *(_goal(result, metric) for metric in goals),
        *(_guardrail(result, metric, len(guardrails)) for metric in guardrails),
        *(_bias(metric) for metric in biased),
        Finding("neutral", _split(result)),
        *_updates(result),
        *_left_out(result),
    )


def harmed(result: Result) -> dict[str, str]:
    """The guardrails that got worse, each with its sentence."""
    guardrails = [metric for metric in result.metrics if metric.guardrail]
    return {m.name: _guardrail(result, m, len(guardrails)).text for m in guardrails if m.reading == "worse"}


def relative(value: float) -> str:
    """Writes a relative effect with as many digits as small ones need: `+0.25 %`."""
    digits = 2 if abs(value) >= 0.0005 or not value else 3
    return f"{100 * value:+.{digits}f} %".replace("-", "−")


def around(effect: Effect, always: bool = True) -> str:
    """Writes the bounds of a relative effect: `+0.01 to +0.48 %`."""
    low, high = (effect.always_low, effect.always_high) if always else (effect.low, effect.high)
    if low is None or high is None:
        return "no bound: control may be 0"
    return f"{relative(low).removesuffix(' %')} to {relative(high)}"


def _goal(result: Result, metric: MetricResult) -> Finding:
    effect = metric.cumulated[-1]
    if effect.value is None:
        return Finding("neutral", f"{metric.name} has no relative difference: in {result.control} it is 0, or unknown.")
    after = f"after {result.days} day{'s' if result.days > 1 else ''}"
    if metric.reading == "open":
        return Finding("neutral", f"{metric.name} cannot be told apart {after}: {_numbers(effect)}.{_near_zero(effect, result)}")
    moved = "rose" if effect.value > 0 else "fell"
    said = f"{metric.name} {moved} in {result.treatment} {after}: {_numbers(effect)}.{_near_zero(effect, result)}"
    return Finding("good" if metric.reading == "better" else "bad", said)


def _guardrail(result: Result, metric: MetricResult, tested: int) -> Finding:
    effect = metric.cumulated[-1]
    if effect.value is None:
        return Finding(
            "neutral", f"The guardrail {metric.name} has no relative difference: in {result.control} it is 0, or unknown."
        )
    together = f", with all {tested} guardrails tested together (Holm)" if tested > 1 else ""
    if metric.reading == "worse":
        return Finding("bad", f"The guardrail {metric.name} got worse in {result.treatment}{together}: {_numbers(effect)}.")
    return Finding("neutral", f"The guardrail {metric.name} did not get worse that could be told{together}: {_numbers(effect)}.")


def _bias(metric: MetricResult) -> Finding:
    assert metric.before is not None
    apart = relative(metric.before.value) if metric.before.value is not None else "unlike"
    return Finding(
        "bad",
        f"{metric.name} differed already before the start ({apart}): what it shows cannot be put down to the treatment alone.",
    )


def _numbers(effect: Effect) -> str:
    assert effect.value is not None
    once = around(effect, always=False)
    return f"{relative(effect.value)} (95 % interval, valid on every day, {around(effect)}; by one look {once})"


def _near_zero(effect: Effect, result: Result) -> str:
    if not effect.near_zero:
        return ""
    return f" In {result.control} it is within three standard errors of 0, so that the intervals are Fieller's."


def _mismatch(result: Result) -> str:
    return (
        f"{_users(result)}, where the weights are {_weights(result)}: by chance alone so wrong a split has p = "
        f"{result.mismatch_p:.1g}. No result is shown, because whatever lost these users may have made any difference: look for "
        "exposures that were not logged, redirects, bots, and for weights or a salt that were changed."
    )


def _split(result: Result) -> str:
    return f"{_users(result)}, as the weights {_weights(result)} have it (p = {result.mismatch_p:.2g})."


def _users(result: Result) -> str:
    control, treatment = (count(result.users[arm]) for arm in ("control", "treatment"))
    return f"{control} users were on {result.control} and {treatment} on {result.treatment}"


def _weights(result: Result) -> str:
    return f"{result.expected['control']:g} to {result.expected['treatment']:g}"


def _updates(result: Result) -> list[Finding]:
    if not result.updates:
        return []
    moves = listed([f"{day(move.at)} ({move.channel}: table {move.table})" for move in result.updates])
    return [Finding("neutral", f"Table updates during the experiment: {moves}.")]


def _left_out(result: Result) -> list[Finding]:
    said = {
        "users_in_both_arms": "users were shown both arms",
        "exposures_without_user": "exposures name no user",
        "exposures_without_time": "exposures have no time",
        "outcomes_not_finite": "outcomes of a user and day are no finite number",
    }
    crossed, kept = result.dropped.get("users_in_both_arms", 0), sum(result.users.values())
    found = [f"{count(n)} {said.get(name, name)}" for name, n in result.dropped.items()]
    if not found:
        return []
    many = crossed > MANY_CROSSED * (crossed + kept)
    return [Finding("bad" if many else "neutral", f"Left out: {listed(found)}.")]
