"""What an experiment has against shipping its treatment. That nothing is better is a person's to weigh, not an objection."""

from driftline.interests.experiments.result import Result


def objections(result: Result | None) -> list[str]:
    """One clause each; empty where nothing speaks against it."""
    if result is None:
        return ["nothing was measured yet"]
    if result.mismatch:
        return [f"the split of the users is not that of the weights (p = {result.mismatch_p:.1g}), so that there is no result"]
    worse = [metric for metric in result.metrics if metric.reading == "worse"]
    biased = [metric.name for metric in result.metrics if metric.biased]
    said = [f"{metric.name} got worse{' (a guardrail)' if metric.guardrail else ''}" for metric in worse]
    return said + ([f"the arms differed before the start in {', '.join(biased)}"] if biased else [])
