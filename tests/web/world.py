"""A shop with something to decide: tables over twelve interests, one served, one that a gate has stopped."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from driftline.contracts import (
    AnsweredRef,
    AnswerPairs,
    Cadence,
    CadenceDecision,
    Cost,
    Evaluation,
    Fitted,
    Gates,
    Generation,
    Kind,
    MappingRef,
    MeasuredDay,
    ModelRef,
    OpenReview,
    Override,
    PromptsRef,
    RunIds,
    StoreTable,
    Window,
)
from driftline.db import cadence, channels, clusters, counts, evaluations, measurements, models, reports, reviews, tables
from driftline.interests.gates import judge
from tests.db.world import COMPUTED, RUN
from tests.report.test_cadences import replay

NAMES = (
    *("meat, beef, chicken", "sauces, salad, dry", "candy, seasonal", "fruit, vegetables, bulk", "snacks, cereal"),
    *("bread, baking, cookies", "care, household", "soft drinks", "juices, yogurt", "cheese, frozen pizza"),
    *("entrees, seafood", "milk, creamers"),
)
START = datetime(2026, 6, 1, tzinfo=UTC)
FINDINGS = [
    {"level": "bad", "text": "Table 3 does not beat the plain frequency table: recall 12.95 % against 14.20 %, n = 20,150."},
    {"level": "bad", "text": "Table 3 does not beat the most popular successor: recall 12.95 % against 14.55 %."},
    {"level": "neutral", "text": "Whether the refresh pays is not measured: run `driftline evaluate refresh`."},
    {"level": "good", "text": "Its answers are spread over the clusters: effectively 9.1 of 12."},
]  # fmt: skip


@dataclass(frozen=True)
class Shop:
    cluster_set: int
    counts: int
    model: int
    test_counts: int


def open_shop(conn: Connection, names: tuple[str, ...] = NAMES, triples: int = 400) -> Shop:
    """Interests, counts and a model with losses and validations."""
    size = len(names)
    about: dict[str, Any] = {"cluster": list(range(size)), "name": list(names), "description": list(names)}
    about |= {"keywords": [[name] for name in names], "traffic": [100] * size}
    items = pa.table({"item": [f"item-{i}" for i in range(size)], "cluster": list(range(size))})
    cluster_set = clusters.add(conn, pa.table(about), items, {"fan_out": [size]}).version
    made = [add_counts(conn, cluster_set, size, triples, day) for day in (0, 60)]
    curve = {"best_step": 30, "pairs": 40, "step": [10, 20, 30, 40], "exact_match_rate": [0.7, 0.9, 0.97, 0.95]}
    metrics = {"losses": [3.3 / (1 + step / 6) for step in range(40)], "steps": 40} | {"tokens": 20_000, "cpu_seconds": 61.5}
    model = models.add(
        conn,
        cluster_set=cluster_set,
        counts=made[0],
        base_model="HuggingFaceTB/SmolLM2-135M-Instruct",
        adapter_uri="file:///adapters/a",
        adapter_hash="5f3a9e21c07d",
        samples_hash="samples",
        recipe={"steps": 40},
        metrics=metrics | {"validation": curve | {"loss": [0.9, 0.5, 0.41, 0.44]}},
        run=RunIds("fine-tune-2026-09-01", "run-1"),
    )
    return Shop(cluster_set, made[0], model.version, made[1])


def add_counts(conn: Connection, cluster_set: int, size: int, triples: int, day: int) -> int:
    """So many distinct triples, of random pairs; the low ids are the heavy ones."""
    chance = np.random.default_rng(day)
    c1, c2, c_next = (size * chance.random((triples * 3, 3)) ** 1.7).astype(np.int64).T
    numbers = np.unique(((c1 * size + c2) * size + c_next)[(c1 != c2) & (c_next != c1) & (c_next != c2)])
    drawn = np.stack([numbers // size**2, numbers // size % size, numbers % size], axis=1).astype(np.int32)
    n = 1 + (2000 / (1 + drawn.sum(axis=1))).astype(np.int64)
    rows = pa.table({"c1": drawn[:, 0], "c2": drawn[:, 1], "c_next": drawn[:, 2], "n": n})
    window = Window(START + timedelta(days=day), START + timedelta(days=day + 60))
    about: dict[str, Any] = {"cluster_set": cluster_set, "window": window, "dedup": "first", "predicate": "quantity > 0"}
    return counts.add(conn, **about, counts=rows, events=120_000, users=2_469, dropped={}).version


def add_table(
    conn: Connection,
    shop: Shop,
    size: int,
    *,
    day: int = 0,
    shift: int = 1,
    kind: Kind = "rag",
    inexact: int = 5,
    score: float | None = None,
    run: RunIds,
) -> int:
    """Every pair answers a novel interest `shift` places after its second; every third pair one of the first four."""
    pairs = np.array(list(permutations(range(size), 2)), dtype=np.int32)
    answer = (pairs[:, 1] + shift) % size
    answer[::3] = (pairs[::3, 0] + shift) % 4
    for _ in range(2):
        answer = np.where((answer == pairs[:, 0]) | (answer == pairs[:, 1]), (answer + 1) % size, answer)
    exact = np.arange(len(pairs)) >= inexact
    free = [None if yes else f"{NAMES[i % 12]} and <b>more" for i, yes in enumerate(exact)]
    mapping = {"c1": pairs[:, 0], "c2": pairs[:, 1], "c_next": answer.astype(np.int32), "exact": exact}
    request = StoreTable(
        kind=kind,
        nominal=START + timedelta(days=120 + day),
        counts=shop.counts,
        model=shop.model,
        prompts=PromptsRef("file:///prompts", f"prompts {day} {shift} {inexact}", len(pairs)),
        mapping=MappingRef(
            "file:///m", f"mapping {day}", len(pairs), int(exact.sum()), Cost(3402, 23.0, 0.0, 25.0, len(pairs), 0), COMPUTED
        ),
        generation=Generation(),
        run=run,
    )
    scored = {} if score is None else {"score": pa.array([score] * len(pairs), pa.float32())}
    return tables.add(conn, request, pa.table({**mapping, "free": pa.array(free, pa.string()), **scored})).version


def judged(exact: float = 0.98, recall: float = 0.1353) -> Evaluation:
    """By the default gates."""
    found = Evaluation(exact, recall, recall - 0.006, 0.1, 0.142, 0.1401, 20_150, 8)
    return judge(found, Gates())


def fill(conn: Connection, run: RunIds, names: tuple[str, ...] = NAMES, review: str = "3f2a9c01d4e7") -> int:
    """Two good tables that were published, and a third that waits for a verdict; returns that one."""
    shop, size = open_shop(conn, names), len(names)
    for day in (0, 2):
        about: dict[str, Any] = {"day": day, "shift": 1 + day, "run": RunIds(f"run-{day}", "r")}
        about |= {"kind": "rag", "score": -1.0} if day else {"kind": "fine_tune"}
        table = add_table(conn, shop, size, **about)
        evaluations.add(conn, table, shop.test_counts, judged(recall=0.1353 - day / 1000))
        channels.publish(conn, table, "default", "driftline", reason="every gate passed")
    candidate = add_table(conn, shop, size, day=4, shift=4, inexact=40, run=run)
    stopped = judged(exact=1 - 40 / (size * (size - 1)), recall=0.1091 - 0.01)
    evaluations.add(conn, candidate, shop.test_counts, stopped)
    reports.add(conn, candidate, [], FINDINGS)
    until = datetime.now(UTC) + timedelta(days=6, hours=3)
    reviews.open(conn, OpenReview(review, candidate, stopped, run, until, "default"))
    return candidate


def fill_replays(conn: Connection, model: ModelRef | None = None) -> None:
    """Two cadences over the same days."""
    model = model or models.newest_trained_before(conn, datetime.now(UTC))
    assert model
    for every, hit in ((2.0, 0.31), (1.0, 0.33)):
        found = replay(0, every, int(10 / every), hit, model=model.version)
        about: dict[str, Any] = {"cluster_set": model.cluster_set, "model": model.version, "inputs": found.inputs}
        measurements.add(conn, kind="refresh", result=found.result, run=RUN, **about)


def fill_days(conn: Connection, days: int) -> None:
    """The cadence's record, and a word about a day to come."""
    today = datetime.now(UTC).date()
    for day in range(days):
        acts = day % 7 == 6
        measured = MeasuredDay(today - timedelta(days=days + 1 - day), 500, 120 + day % 7, 115, 30, 110)
        reasons = (f"Because of {day} <b>.", "The rest of the budget asks for 10 triples.")
        made = CadenceDecision(
            today - timedelta(days=days - day), "rag_refresh" if acts else "none", reasons, 23.0 if acts else 0.0
        )
        cadence.add(conn, "default", made, measured, Cadence(policy="adaptive"), RUN)
    later = today + timedelta(days=30)
    cadence.say(conn, "default", Override("none", later, later, "ana", "<b>a sale"))


def fill_with_counts(conn: Connection, run: RunIds, review: str) -> int:
    """A candidate that counts answered: no model, no exact-match rate."""
    shop, size = open_shop(conn), len(NAMES)
    pairs = list(permutations(range(size), 2))
    answer = [next(c for c in range(size) if c not in pair) for pair in pairs]
    made = AnsweredRef("file:///a", "answers", len(pairs), {"strength": Fitted(12.5), "single": Fitted(40.0)})
    request = StoreTable("rag", START + timedelta(days=120), shop.counts, None, None, None, None, run)
    request = replace(request, answered=made, fitted=AnswerPairs("counts", shop.counts, shop.counts, shop.test_counts))
    columns = {"c1": [c1 for c1, _ in pairs], "c2": [c2 for _, c2 in pairs], "c_next": answer}
    mapping = pa.table({name: pa.array(column, pa.int32()) for name, column in columns.items()})
    table = tables.add(conn, request, mapping.append_column("score", pa.array([-1.0] * len(pairs), pa.float32()))).version
    stopped = judge(replace(judged(recall=0.05), exact_match_rate=None), Gates())
    evaluations.add(conn, table, shop.test_counts, stopped)
    reviews.open(conn, OpenReview(review, table, stopped, run, datetime.now(UTC) + timedelta(days=6), "default"))
    return table
