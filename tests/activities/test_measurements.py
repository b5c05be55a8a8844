"""Hit rates and the answers that RAG changes, as steps: their figures are worked out again here, by user and by pair."""

import csv
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from driftline.activities.measurements import MeasurementActivities
from driftline.contracts import Arm, BadInput, MappingRef, MeasureAnswers, MeasureHits, ModelRef, Retrieval, Sequences
from driftline.db import measurements
from driftline.db.measurements import Measurement
from driftline.interests.metrics.arms import FREQUENT_FIXED, RAG_FIXED, RAG_RENEWED
from tests.activities.chain import RUN, TEST, TRAIN, Answer, Chain, onward, run
from tests.end_to_end.shop import NAMES

PAIRS = [(a, b) for a in range(len(NAMES)) for b in range(len(NAMES)) if a != b]
RENEWED = TEST.start + timedelta(days=20)
At = Callable[[int, int, datetime], int]


def backward(c1: int, c2: int) -> int:
    return next((c2 - k) % len(NAMES) for k in (1, 2) if (c2 - k) % len(NAMES) != c1)


def wavering(c1: int, c2: int) -> int:
    return backward(c1, c2) if c1 < 3 else onward(c1, c2)


@pytest.fixture
def chain(postgres_url: str, tmp_path: Path) -> Chain:
    return Chain(postgres_url, tmp_path)


def model(chain: Chain) -> ModelRef:
    return ModelRef(chain.model("adapter"), chain.cluster_set, "smollm2", "file:///adapters/adapter", "adapter")


def on_record(chain: Chain, version: int) -> Measurement:
    with chain.engine.connect() as connection:
        return measurements.get(connection, version)


# --- hit rates -----------------------------------------------------------------------------------------------------------


def visits(chain: Chain) -> dict[str, list[tuple[int, datetime]]]:
    """Each user's clusters in the held-out days, first visits only, in the order of time."""
    found: dict[str, list[tuple[int, datetime]]] = defaultdict(list)
    with Path(chain.source.events).open() as file:
        for row in csv.DictReader(file):
            cluster, at = NAMES.index(row["item"].partition("-")[0]), datetime.fromisoformat(row["ts"]).replace(tzinfo=UTC)
            before = [step for step, _ in found[row["user"]]]
            if TEST.start <= at < TEST.end and int(row["quantity"]) > 0 and cluster not in before:
                found[row["user"]].append((cluster, at))
    return found


def hit_rate(users: dict[str, list[tuple[int, datetime]]], answer: At) -> tuple[float, int]:
    """The share of predictions that come true later in the user's held-out days, and of how many."""
    hits = [
        answer(c1, c2, at) in [later for later, _ in steps[i + 2 :]]
        for steps in users.values()
        for i, ((c1, _), (c2, at)) in enumerate(pairwise(steps[:-1]))
    ]
    return sum(hits) / len(hits), len(hits)


def asked_for_hits(chain: Chain) -> MeasureHits:
    prompts, counts = chain.rendered(), chain.counted()
    forth, back = chain.mapped(prompts, onward), chain.mapped(prompts, backward)
    return MeasureHits(
        kind="refresh",
        model=model(chain),
        source=chain.source,
        sequences=Sequences("first"),
        period=TEST,
        history=TRAIN,
        arms=(
            Arm(RAG_FIXED, "llm", (TEST.start,), (back,)),
            Arm(RAG_RENEWED, "llm", (TEST.start, RENEWED), (back, forth)),
            Arm(FREQUENT_FIXED, "frequent", (TEST.start,), counts=(counts.version,)),
        ),
        differences=((RAG_RENEWED, RAG_FIXED),),
        retrieval=Retrieval(),
        every=RENEWED - TEST.start,
        run=RUN,
        missing=("trend: the log is too short",),
    )


def test_each_arm_is_hit_as_often_as_the_log_says(chain: Chain) -> None:
    asked = asked_for_hits(chain)
    ref = run(MeasurementActivities(chain.resources).measure_hits, asked)
    stored = on_record(chain, ref.version)
    arms = {arm.name: arm for arm in stored.result.arms}
    users = visits(chain)
    fixed, n = hit_rate(users, lambda c1, c2, _: backward(c1, c2))
    renewed, _ = hit_rate(users, lambda c1, c2, at: onward(c1, c2) if at >= RENEWED else backward(c1, c2))

    assert n > 500
    assert fixed < renewed < hit_rate(users, lambda c1, c2, _: onward(c1, c2))[0], "the renewal is in the middle of the days"
    assert (stored.result.occurrences, stored.result.users) == (n, sum(len(steps) > 2 for steps in users.values()))
    assert arms[RAG_FIXED].rate.value == pytest.approx(fixed)
    assert arms[RAG_RENEWED].rate.value == pytest.approx(renewed)
    assert arms[FREQUENT_FIXED].rate.value > renewed, "the shop's customers do what most of them did before"
    assert stored.result.differences[0].estimate.value == pytest.approx(renewed - fixed)
    assert stored.result.levels, "by how often a pair was counted before"
    assert run(MeasurementActivities(chain.resources).measure_hits, asked) == ref  # the same measurement of the same things


def test_hit_rates_name_what_they_were_computed_from(chain: Chain) -> None:
    asked = asked_for_hits(chain)
    ref = run(MeasurementActivities(chain.resources).measure_hits, asked)
    stored = on_record(chain, ref.version)
    back, forth = asked.arms[1].mappings
    assert (stored.kind, stored.model_version, stored.cluster_set) == ("refresh", asked.model.version, chain.cluster_set)
    assert stored.inputs["arms"][RAG_RENEWED] == {"counts": [], "mappings": [back.hash, forth.hash]}
    assert stored.inputs["arms"][FREQUENT_FIXED] == {"counts": list(asked.arms[2].counts), "mappings": []}
    assert (stored.inputs["every_days"], stored.inputs["dedup"], len(stored.inputs["computed"])) == (20, "first", 1)
    assert "setup" not in stored.inputs["source"]
    assert ref.missing == stored.result.missing == asked.missing


def test_hits_in_a_log_that_nobody_here_has_named_are_not_measured(chain: Chain) -> None:
    asked = asked_for_hits(chain)
    elsewhere = replace(chain.source, events=chain.source.events.replace("events", "taxonomy"))
    with pytest.raises(BadInput, match="this source is refused"):
        run(MeasurementActivities(chain.resources).measure_hits, replace(asked, source=elsewhere))


# --- answers -------------------------------------------------------------------------------------------------------------


def asked_for_answers(chain: Chain, retrieval: Retrieval, lines: dict[tuple[int, int], list[int]]) -> MeasureAnswers:
    """An LLM that with RAG answers the first retrieved cluster when it decodes greedily, and the last one when it draws."""
    plain, retrieved = chain.rendered(), chain.rendered(retrieval)

    def first(c1: int, c2: int) -> int:
        return (lines.get((c1, c2)) or [onward(c1, c2)])[0]

    def last(c1: int, c2: int) -> int:
        return (lines.get((c1, c2)) or [onward(c1, c2)])[-1]

    def mapped(answer: Answer, rag: bool = False) -> MappingRef:
        return chain.mapped(retrieved if rag else plain, answer)

    return MeasureAnswers(
        model=model(chain),
        counts=chain.counted().version,
        prompts=retrieved,
        greedy_with=mapped(first, rag=True),
        greedy_without=mapped(backward),
        sampled_with=mapped(last, rag=True),
        sampled_without=(mapped(onward), mapped(wavering)),
        temperature=0.7,
        retrieval=retrieval,
        run=RUN,
    )


def test_what_rag_changes_is_counted_over_the_pairs_that_it_tells_something(chain: Chain) -> None:
    retrieval = Retrieval(top_k=2)
    shown = pq.read_table(chain.resources.artifacts.find(chain.rendered(retrieval).uri) / "prompts.parquet").to_pylist()
    lines = {(row["c1"], row["c2"]): row["retrieved"] for row in shown if row["retrieved"]}
    asked = asked_for_answers(chain, retrieval, lines)
    ref = run(MeasurementActivities(chain.resources).measure_answers, asked)
    stored = on_record(chain, ref.version)

    def share(true: Callable[[int, int, list[int]], bool]) -> float:
        return sum(true(c1, c2, line) for (c1, c2), line in lines.items()) / len(lines)

    expected = {
        "greedy_with_without": share(lambda a, b, line: line[0] == backward(a, b)),
        "sampled_with_without": share(lambda a, b, line: line[-1] == onward(a, b)),
        "sampled_repeated": share(lambda a, b, _: onward(a, b) == wavering(a, b)),
        "repeats_retrieved": 1.0,
        "repeats_anyway": share(lambda a, b, line: backward(a, b) in line),
        "sampled_repeats_retrieved": 1.0,
    }
    assert len(set(expected.values())) == 5, "figures that are exchanged are noticed"
    assert {name: getattr(stored.result, name).value for name in expected} == pytest.approx(expected)
    assert (stored.result.pairs, stored.result.with_line, stored.result.temperature) == (len(PAIRS), len(lines), 0.7)
    assert (stored.kind, stored.model_version, stored.inputs["counts"]) == ("answers", asked.model.version, asked.counts)
    used = [asked.greedy_with, asked.greedy_without, asked.sampled_with, *asked.sampled_without]
    assert stored.inputs["mappings"] == [mapping.hash for mapping in used]
    assert run(MeasurementActivities(chain.resources).measure_answers, asked) == ref


def test_one_list_for_all_prompts_is_on_every_pair_and_repeated_by_none(chain: Chain) -> None:
    asked = asked_for_answers(chain, Retrieval(granularity="global", global_triples=5), {})
    result = on_record(chain, run(MeasurementActivities(chain.resources).measure_answers, asked).version).result
    alike = sum(onward(*pair) == backward(*pair) for pair in PAIRS) / len(PAIRS)
    assert (result.with_line, result.greedy_with_without.value) == (len(PAIRS), pytest.approx(alike))
    assert result.repeats_retrieved.value is None
    assert "all have the same list" in result.missing[0]
