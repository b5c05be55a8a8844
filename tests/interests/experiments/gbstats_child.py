"""Asks gbstats, in an environment of its own: cases as JSON in, answers out. Imports nothing of ours."""

import json
import sys
from typing import Any

from gbstats.frequentist.tests import (  # type: ignore[import-not-found]
    FrequentistConfig,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import (  # type: ignore[import-not-found]
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
)
from gbstats.utils import check_srm  # type: ignore[import-not-found]

X, Y, P = 0, 1, 2


def mean(arm: dict[str, Any], place: int) -> Any:
    return SampleMeanStatistic(n=int(arm["n"]), sum=arm["sums"][place], sum_squares=arm["products"][place][place])


def statistic(kind: str, arm: dict[str, Any]) -> Any:
    if kind == "ratio":
        return RatioStatistic(
            n=int(arm["n"]), m_statistic=mean(arm, X), d_statistic=mean(arm, Y), m_d_sum_of_products=arm["products"][X][Y]
        )
    if kind == "cuped":
        return RegressionAdjustedStatistic(
            n=int(arm["n"]),
            post_statistic=mean(arm, X),
            pre_statistic=mean(arm, P),
            post_pre_sum_of_products=arm["products"][X][P],
            theta=0,
        )
    return mean(arm, X)


def answer(case: dict[str, Any]) -> dict[str, Any]:
    if case["kind"] == "srm":
        return {"p": float(check_srm(case["users"], case["weights"]))}
    a, b = (statistic(case["kind"], case[arm]) for arm in ("control", "treatment"))
    fixed = TwoSidedTTest(a, b, FrequentistConfig(alpha=0.05, difference_type="relative")).compute_result()
    a, b = (statistic(case["kind"], case[arm]) for arm in ("control", "treatment"))
    config = SequentialConfig(alpha=0.05, difference_type="relative", sequential_tuning_parameter=case["planned"])
    always = SequentialTwoSidedTTest(a, b, config).compute_result()
    return {
        "value": float(fixed.expected),
        "error": float(fixed.uplift.stddev),
        "fixed": [float(end) for end in fixed.ci],
        "fixed_p": float(fixed.p_value),
        "always": [float(end) for end in always.ci],
        "always_p": float(always.p_value),
    }


if __name__ == "__main__":
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
