"""A small world to test in: four interests, a model, and tables over its twelve ordered pairs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from driftline.contracts import (
    AnsweredRef,
    AnswerPairs,
    Computed,
    Evaluation,
    Fitted,
    Generation,
    Kind,
    MappingRef,
    OpenReview,
    PromptsRef,
    RunIds,
    StoreTable,
    Window,
)
from driftline.db import channels, clusters, counts, evaluations, models, reviews, tables
from driftline.interests.pairs import pairs as all_pairs

NAMES = ["tea", "milk", "rice", "soap"]
PAIRS = list(permutations(range(len(NAMES)), 2))
START = datetime(2026, 1, 1, tzinfo=UTC)
COMPUTED = Computed("trie", "bfloat16", "cpu AVX512", "2.13.0", "5.19.0")
RUN = RunIds("fine-tune-2026-04-01", "run-1")


def add_clusters(conn: Connection, names: list[str] = NAMES) -> int:
    ids = list(range(len(names)))
    described = [f"{name}, fresh" for name in names]
    table = pa.table(
        {
            "cluster": ids,
            "name": names,
            "description": described,
            "keywords": [[name] for name in names],
            "traffic": [10] * len(ids),
        }
    )
    items = pa.table({"item": [f"item-{i}" for i in ids], "cluster": ids})
    return clusters.add(conn, table, items, {"fan_out": [len(names)]}).version


def some_counts(n: int = 3) -> pa.Table:
    return pa.table({"c1": [1, 0, 0], "c2": [0, 1, 1], "c_next": [2, 3, 2], "n": [5, 1, n]})


def add_counts(conn: Connection, cluster_set: int, n: int = 3, day: int = 0) -> int:
    window = Window(START + timedelta(days=day), START + timedelta(days=day + 90))
    about: dict[str, Any] = {"cluster_set": cluster_set, "window": window, "dedup": "first", "predicate": "quantity > 0"}
    return counts.add(conn, **about, counts=some_counts(n), events=100, users=9, dropped={"unknown item": 2}).version


def add_model(
    conn: Connection, cluster_set: int, counts_version: int, adapter_hash: str = "adapter", validation: int | None = None
) -> int:
    return models.add(
        conn,
        cluster_set=cluster_set,
        counts=counts_version,
        base_model="smollm2",
        adapter_uri=f"file:///adapters/{adapter_hash}",
        adapter_hash=adapter_hash,
        samples_hash="samples",
        recipe={"steps": 60},
        metrics={"losses": [2.0, 0.5]},
        run=RUN,
        validation_counts=validation,
    ).version


def mapping(shift: int = 0, pairs: list[tuple[int, int]] = PAIRS) -> pa.Table:
    """Every pair answers one of the two other clusters; `shift` = 1 takes the other one where c1 is 0."""
    answers = [[c for c in range(len(NAMES)) if c not in pair][shift if pair[0] == 0 else 0] for pair in pairs]
    exact = [pair != (0, 1) for pair in pairs]
    return pa.table(
        {
            "c1": pa.array([pair[0] for pair in pairs], pa.int32()),
            "c2": pa.array([pair[1] for pair in pairs], pa.int32()),
            "c_next": pa.array(answers, pa.int32()),
            "exact": exact,
            "free": pa.array([None if yes else "tea and" for yes in exact], pa.string()),
        }
    )


def request(
    model: int, counts_version: int, *, day: int = 0, prompts: str = "prompts", kind: Kind = "fine_tune", run: RunIds = RUN
) -> StoreTable:
    return StoreTable(
        kind=kind,
        nominal=START + timedelta(days=120 + day),
        counts=counts_version,
        model=model,
        prompts=PromptsRef("file:///prompts", prompts, len(PAIRS)),
        mapping=MappingRef("file:///mapping.parquet", "mapping", len(PAIRS), len(PAIRS) - 1, computed=COMPUTED),
        generation=Generation(),
        run=run,
    )


def add_table(
    conn: Connection, *, day: int = 0, shift: int = 0, pairs: list[tuple[int, int]] = PAIRS, kind: Kind = "fine_tune"
) -> int:
    """A table and everything below it, not evaluated."""
    cluster_set = add_clusters(conn)
    counted = add_counts(conn, cluster_set, day=day)
    model = add_model(conn, cluster_set, counted)
    return tables.add(conn, request(model, counted, day=day, kind=kind), mapping(shift, pairs)).version


ANSWERED = AnsweredRef("file:///answers", "answers", len(PAIRS), {"llm": Fitted(0.4, 0.3, 0.5)})


def add_table_of_counts(conn: Connection, *, day: int = 0) -> int:
    cluster_set = add_clusters(conn)
    counted, later = add_counts(conn, cluster_set, day=day), add_counts(conn, cluster_set, day=day + 90)
    made = AnsweredRef("file:///answers", "answers", len(PAIRS), {"strength": Fitted(10.0)})
    asked = replace(request(0, counted, day=day, kind="rag"), model=None, prompts=None, mapping=None, generation=None)
    asked = replace(asked, answered=made, fitted=AnswerPairs("counts", counted, counted, later))
    return tables.add(conn, asked, mapping().select(["c1", "c2", "c_next"]).append_column("score", scores())).version


def add_blend(conn: Connection) -> int:
    """Everywhere from cluster 0 it answers otherwise than its LLM."""
    cluster_set = add_clusters(conn)
    counted, later = add_counts(conn, cluster_set), add_counts(conn, cluster_set, day=90)
    asked = request(add_model(conn, cluster_set, counted), counted)
    asked = replace(asked, answered=ANSWERED, fitted=AnswerPairs("blend", counted, counted, later))
    answers = mapping(shift=1).append_column("score", scores()).append_column("llm_next", mapping()["c_next"])
    return tables.add(conn, asked, answers).version


def scores() -> pa.Array:
    return pa.array([-0.5] * len(PAIRS), pa.float32())


def evaluate_counts(conn: Connection, table: int) -> None:
    test = add_counts(conn, tables.get(conn, table).cluster_set, day=200)
    evaluations.add(conn, table, test, replace(evaluation(), exact_match_rate=None))


def evaluation(*failed: str) -> Evaluation:
    return Evaluation(
        exact_match_rate=11 / 12,
        recall=0.4,
        recall_low=0.35,
        recall_chance=0.5,
        recall_popular=0.3,
        recall_frequent=0.6,
        test_triples=9,
        coverage=4,
        failed_gates=failed,
        reasons=dict.fromkeys(failed, "too low"),
    )


def evaluate(conn: Connection, table: int, *failed: str) -> None:
    cluster_set = tables.get(conn, table).cluster_set
    evaluations.add(conn, table, add_counts(conn, cluster_set, day=200), evaluation(*failed))


def open_review(conn: Connection, table: int, review_id: str, *failed: str, channel: str = "default") -> None:
    reviews.open(conn, OpenReview(review_id, table, evaluation(*failed), RUN, START + timedelta(days=400), channel))


def add_good_table(conn: Connection, *, day: int = 0, shift: int = 0) -> int:
    """A table whose gates all passed."""
    table = add_table(conn, day=day, shift=shift)
    evaluate(conn, table)
    return table


def add_large_table(conn: Connection, every: int, size: int = 761) -> int:
    """A table of many interests; one of `every` pairs is answered with another interest than the rest."""
    cluster_set = add_clusters(conn, [f"interest {n}" for n in range(size)])
    counted = add_counts(conn, cluster_set)
    model = add_model(conn, cluster_set, counted)
    c1, c2 = all_pairs(size)
    answer = np.where(np.arange(len(c1)) % every == 0, 6, 3)
    for other in (7, 8):
        answer = np.where((answer == c1) | (answer == c2), other, answer)
    ids = {"c1": c1, "c2": c2, "c_next": answer}
    answers = pa.table({name: pa.array(column, pa.int32()) for name, column in ids.items()})
    exact = answers.append_column("exact", pa.array(np.ones(len(c1), bool)))
    return tables.add(conn, request(model, counted, prompts=f"one of {every}"), exact).version


def add_served_table(conn: Connection, by: str) -> None:
    """A good table that `default` serves, and a review that waits."""
    table = add_good_table(conn)
    channels.publish(conn, table, "default", by)
    open_review(conn, table, "one", "recall")
