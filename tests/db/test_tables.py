import tracemalloc
from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from driftline.contracts import AnswerPairs, Computed, Generation, Retrieval, Verdict
from driftline.db import channels, evaluations, models, reviews, tables
from driftline.interests.pairs import pairs
from tests.db import world


def test_every_answer_is_the_same_by_every_way(conn: Connection) -> None:
    """answers == lookup == next_cluster == current_transition, for all pairs."""
    version = world.add_good_table(conn)
    channels.publish(conn, version, "default", "test")
    rows = tables.answers(conn, version)
    assert [str(kind) for kind in rows.schema.types] == ["int32", "int32", "int32", "bool"]
    assert rows.num_rows == 12
    view = conn.execute(text("SELECT * FROM current_transition ORDER BY c1, c2")).mappings().all()
    for row, seen in zip(rows.to_pylist(), view, strict=True):
        answer = tables.lookup(conn, row["c1"], row["c2"])
        assert (answer.c_next, answer.version) == (row["c_next"], version)
        assert answer.decoding == ("exact" if row["exact"] else "constrained")
        assert dict(seen) == {name: getattr(answer, name) for name in seen}
        assert answer.c_next_name == world.NAMES[row["c_next"]]
        by_sql = conn.execute(text("SELECT * FROM next_cluster(:c1, :c2)"), {"c1": row["c1"], "c2": row["c2"]}).one()
        assert tuple(by_sql) == (answer.c_next, answer.c_next_name, version, answer.decoding)
    (missed,) = tables.inexact(conn, version, 8)
    assert (missed.c1, missed.c2, missed.c1_name, missed.c2_name, missed.free) == (0, 1, "tea", "milk", "tea and")
    assert missed.c_next_name == world.NAMES[missed.c_next]


def test_a_lookup_says_why_there_is_no_answer(conn: Connection) -> None:
    with pytest.raises(ValueError, match="nothing is published on channel 'default'"):
        tables.lookup(conn, 0, 1)
    channels.publish(conn, world.add_good_table(conn), "default", "test")
    with pytest.raises(ValueError, match=r"two different cluster ids out of 0\.\.3"):
        tables.lookup(conn, 2, 2)


def test_a_listed_table_has_what_scripts_rely_on(conn: Connection) -> None:
    version = world.add_table(conn)
    (listed,) = tables.list_tables(conn)
    assert (listed.version, listed.rows, listed.complete, listed.kind) == (version, 12, True, "fine_tune")
    assert listed.exact_match_rate == pytest.approx(11 / 12)
    assert (listed.recall, listed.failed_gates, listed.approved, listed.channels, listed.published_at) == (
        None,
        None,
        False,
        [],
        None,
    )
    world.evaluate(conn, version)
    channels.publish(conn, version, "default", "test")
    channels.publish(conn, version, "control", "test")
    (listed,) = tables.list_tables(conn)
    assert (listed.recall, listed.failed_gates, listed.approved, listed.channels) == (0.4, [], True, ["control", "default"])
    assert listed.published_at is not None
    assert listed.workflow_id == world.RUN.workflow_id


def test_an_incomplete_table_is_kept_and_never_published(conn: Connection) -> None:
    version = world.add_table(conn, pairs=world.PAIRS[:-1])
    world.evaluate(conn, version)
    assert not tables.get(conn, version).complete
    with pytest.raises(channels.NotPublishable, match="11 of 12 pairs"):
        channels.publish(conn, version, "default", "test")


def test_the_same_request_is_the_same_version(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    counted = world.add_counts(conn, cluster_set)
    model = world.add_model(conn, cluster_set, counted)
    first = tables.add(conn, world.request(model, counted), world.mapping())
    assert tables.add(conn, world.request(model, counted), world.mapping(shift=1)) == first
    assert tables.add(conn, world.request(model, counted, day=1), world.mapping()) != first
    assert tables.add(conn, world.request(model, counted, prompts="others"), world.mapping()) != first


def test_a_mapping_must_fit(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    counted = world.add_counts(conn, cluster_set)
    model = world.add_model(conn, cluster_set, counted)
    good = world.mapping()
    member = good.set_column(2, "c_next", good["c1"])
    with pytest.raises(ValueError, match="12 triples are not three distinct ids of 4 clusters"):
        tables.add(conn, world.request(model, counted), member)
    outside = good.set_column(2, "c_next", pa.array([4] * 12, pa.int32()))
    with pytest.raises(ValueError, match="12 triples are not three distinct ids of 4 clusters"):
        tables.add(conn, world.request(model, counted), outside)
    others = world.add_counts(conn, world.add_clusters(conn, ["a", "b", "c", "d"]))
    with pytest.raises(ValueError, match="the model is of cluster set"):
        tables.add(conn, world.request(model, others), good)
    with pytest.raises(IntegrityError), conn.begin_nested():
        tables.add(conn, world.request(model, counted), pa.concat_tables([good, good.slice(0, 1)]))


def test_retrieved_clusters_are_kept(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    counted = world.add_counts(conn, cluster_set)
    model = world.add_model(conn, cluster_set, counted)
    retrieved = pa.array([[2, 3], *[[]] * 11], pa.list_(pa.int32()))
    tables.add(conn, world.request(model, counted, kind="rag"), world.mapping().append_column("retrieved", retrieved))
    stored = conn.execute(text("SELECT retrieved FROM transition ORDER BY c1, c2")).scalars().all()
    assert stored == retrieved.to_pylist()


def test_lineage_walks_from_an_answer_to_everything(conn: Connection) -> None:
    version = world.add_table(conn)
    world.evaluate(conn, version, "recall")
    world.open_review(conn, version, "review-1", "recall")
    reviews.record_verdict(conn, Verdict("review-1", "approve", "ada", "looks right"))
    channels.publish(conn, version, "default", "fine-tune", review_id="review-1", run=world.RUN)
    seen = tables.lineage(conn, tables.lookup(conn, 0, 1).version)
    assert seen["adapter_hash"] == "adapter"
    assert (seen["window_start"], seen["predicate"], seen["dedup"]) == (world.START, "quantity > 0", "first")
    assert (seen["cluster_method"], seen["prompts_hash"], seen["recipe"]) == ({"fan_out": [4]}, "prompts", {"steps": 60})
    assert seen["generation"] == {"engine": "trie", "batch_size": 64, "precision": "auto"}
    assert seen["computed"] == asdict(world.COMPUTED)
    assert (seen["workflow_id"], seen["model_workflow_id"]) == (world.RUN.workflow_id, world.RUN.workflow_id)
    assert seen["evaluation"]["failed_gates"] == ["recall"]
    assert [(gate["gate_id"], gate["decision"], gate["reviewer"]) for gate in seen["gates"]] == [("review-1", "approve", "ada")]
    assert [(move["channel"], move["gate_id"]) for move in seen["publications"]] == [("default", "review-1")]


def test_answers_of_another_kind_of_machine_are_another_table(conn: Connection) -> None:
    counted = world.add_counts(conn, world.add_clusters(conn))
    model = world.add_model(conn, tables.get(conn, world.add_table(conn)).cluster_set, counted)

    def stored(computed: Computed | None) -> int:
        asked = world.request(model, counted, day=9)
        assert asked.mapping
        return tables.add(conn, replace(asked, mapping=replace(asked.mapping, computed=computed)), world.mapping()).version

    machines = [
        world.COMPUTED,
        replace(world.COMPUTED, precision="float32"),
        replace(world.COMPUTED, device="cpu AVX2"),
        replace(world.COMPUTED, torch="2.14.0"),
        None,  # made before it was kept
    ]
    versions = list(map(stored, machines))
    assert len(set(versions)) == len(machines)
    assert list(map(stored, machines)) == versions
    assert tables.lineage(conn, versions[-1])["computed"] is None


def test_the_newest_approved_model_goes_by_nominal_time(conn: Connection) -> None:
    table = world.add_table(conn, day=10)
    cluster_set = tables.get(conn, table).cluster_set
    assert models.newest_approved(conn, cluster_set=cluster_set) is None
    world.evaluate(conn, table)
    newest = models.newest_approved(conn, cluster_set=cluster_set)
    assert newest is not None
    assert newest.version == tables.get(conn, table).model_version
    counted = world.add_counts(conn, cluster_set)
    backfilled = world.add_model(conn, cluster_set, counted, "older")
    older = tables.add(conn, world.request(backfilled, counted, day=5), world.mapping()).version
    world.evaluate(conn, older)
    assert models.newest_approved(conn, cluster_set=cluster_set) == newest
    until = tables.get(conn, older).nominal
    assert models.newest_approved(conn, until, cluster_set) == models.get(conn, backfilled)
    world.evaluate(conn, table, "exact_match")  # judged again, by stricter gates
    assert models.newest_approved(conn, cluster_set=cluster_set) == models.get(conn, backfilled)


def test_evaluations_are_kept_and_the_newest_counts(conn: Connection) -> None:
    version = world.add_table(conn)
    assert evaluations.get(conn, version) is None
    test_counts = world.add_counts(conn, tables.get(conn, version).cluster_set, day=200)
    first = evaluations.add(conn, version, test_counts, world.evaluation("recall"))
    assert evaluations.add(conn, version, test_counts, world.evaluation("recall")) == first
    assert evaluations.add(conn, version, test_counts, world.evaluation()) != first
    assert evaluations.get(conn, version) == world.evaluation()


@pytest.mark.parametrize(
    "statement", ["UPDATE transition SET c_next = 3", "DELETE FROM transition_table", "UPDATE model SET adapter_uri = ''"]
)
def test_versions_are_immutable(conn: Connection, statement: str) -> None:
    world.add_table(conn)
    with pytest.raises(IntegrityError, match="append-only"):
        conn.execute(text(statement))


def test_retrieval_is_part_of_the_key(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    counted = world.add_counts(conn, cluster_set)
    about = world.request(world.add_model(conn, cluster_set, counted), counted, kind="rag")
    one = tables.add(conn, replace(about, retrieval=Retrieval()), world.mapping())
    assert tables.add(conn, replace(about, retrieval=Retrieval(top_k=2)), world.mapping()) != one


def test_a_table_of_761_clusters_is_shown_without_a_python_object_for_each_row(conn: Connection) -> None:
    """578,360 pairs, of which a tenth is inexact."""
    size, step = 761, 10
    names = [f"interest {n}" for n in range(size)]
    cluster_set = world.add_clusters(conn, names)
    counted = world.add_counts(conn, cluster_set)
    model = world.add_model(conn, cluster_set, counted)
    c1, c2 = pairs(size)
    exact = np.arange(len(c1)) % step != 0

    answer = np.where((c1 < 2) & (c2 < 2), 2, np.where((c1 == 0) | (c2 == 0), 1, 0))
    answer = np.where((answer == c1) | (answer == c2), 2, answer)
    free = pa.array([None if yes else "freely" for yes in exact], pa.string())
    columns = {"c1": c1, "c2": c2, "c_next": answer}
    table = pa.table({name: pa.array(ids, pa.int32()) for name, ids in columns.items()})
    mapping = table.append_column("exact", pa.array(exact)).append_column("free", free)
    version = tables.add(conn, world.request(model, counted), mapping).version
    tracemalloc.start()
    shown = tables.inexact(conn, version, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * len(c1), "the smallest Python object takes 16 bytes: there is one for each row"
    every = len(c1) // step // 8 * step
    assert [c1[place] * size + c2[place] for place in range(0, 8 * every, every)] == [x.c1 * size + x.c2 for x in shown]


def test_days_that_chose_a_checkpoint_are_not_held_out_from_its_model(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    learned, chose = world.add_counts(conn, cluster_set), world.add_counts(conn, cluster_set, n=4, day=14)
    plain, validated = (
        world.add_model(conn, cluster_set, learned, "plain"),
        world.add_model(conn, cluster_set, learned, "validated", chose),
    )
    assert models.trained_until(conn, validated) - models.trained_until(conn, plain) == timedelta(days=14)
    for model in (plain, validated):
        world.evaluate(conn, tables.add(conn, world.request(model, learned, day=20 + model), world.mapping()).version)
    until = models.trained_until(conn, plain)
    assert models.newest_trained_before(conn, until, cluster_set) == models.get(conn, plain)
    assert models.newest_trained_before(conn, models.trained_until(conn, validated), cluster_set) == models.get(conn, validated)


def test_a_table_of_counts_needs_no_model(conn: Connection) -> None:
    """Stored, judged, published, looked up and traced without one."""
    version = world.add_table_of_counts(conn)
    world.evaluate_counts(conn, version)
    found = tables.get(conn, version)
    assert (found.model_version, found.exact_match_rate, found.approved) == (None, None, True)
    assert tables.answers(conn, version).column_names == ["c1", "c2", "c_next"]
    assert tables.llm_answers(conn, version) is None
    channels.publish(conn, version, "default", "test")
    answer = tables.lookup(conn, 0, 1)
    assert (answer.decoding, answer.answers, answer.version) == (None, "counts", version)
    assert answer.score == pytest.approx(-0.5)
    lineage = tables.lineage(conn, version)
    assert (lineage["answers"], lineage["base_model"], lineage["generation"], lineage["prompts_hash"]) == ("counts", *[None] * 3)
    assert lineage["weights"] == {"strength": {"value": 10.0, "low": None, "high": None}}
    assert lineage["fitted_window_end"] > lineage["fitted_window_start"]
    assert tables.inexact(conn, version, 5) == []
    assert conn.execute(text("SELECT c_next, version, decoding FROM next_cluster(0, 1)")).one() == (answer.c_next, version, None)
    assert conn.execute(text("SELECT count(*) FROM current_transition")).scalar_one() == 12


def test_a_blend_keeps_what_its_llm_says_alone(conn: Connection) -> None:
    version = world.add_blend(conn)
    found = tables.get(conn, version)
    assert found.exact_match_rate == pytest.approx(11 / 12)
    alone = tables.llm_answers(conn, version)
    assert alone is not None
    assert alone["c_next"].to_pylist() == world.mapping()["c_next"].to_pylist()
    assert tables.answers(conn, version)["c_next"].to_pylist() == world.mapping(shift=1)["c_next"].to_pylist()
    (missed,) = tables.inexact(conn, version, 5)  # what is not exact is the LLM's answer
    assert missed.c_next == alone["c_next"][0].as_py()
    world.evaluate(conn, version)
    channels.publish(conn, version, "default", "test")
    row = conn.execute(text("SELECT answers, score, llm_next, decoding FROM next_answer(0, 1)")).one()
    assert row == ("blend", pytest.approx(-0.5), alone["c_next"][0].as_py(), "constrained")
    weights = conn.execute(text("SELECT name, value, low, high FROM table_weight WHERE version = :v"), {"v": version}).all()
    assert weights == [("llm", 0.4, 0.3, 0.5)]
    assert conn.execute(text("SELECT count(*) FROM current_answer WHERE llm_next IS NOT NULL")).scalar_one() == 12


def test_what_a_table_is_made_of_and_was_fitted_on_is_in_its_key(conn: Connection) -> None:
    cluster_set = world.add_clusters(conn)
    counted, later, latest = (world.add_counts(conn, cluster_set, day=day) for day in (0, 100, 110))
    model = world.add_model(conn, cluster_set, counted)
    asked = world.request(model, counted)
    blend = replace(asked, answered=world.ANSWERED, fitted=AnswerPairs("blend", counted, counted, later))
    other = replace(blend, fitted=AnswerPairs("blend", counted, counted, latest))
    scored = replace(asked, generation=Generation(scores=16))
    newer = replace(blend, fitted=AnswerPairs("blend", counted, counted, later, fitting=2))
    versions = {tables.add(conn, one, world.mapping()).version for one in (asked, blend, other, scored, newer)}
    assert len(versions) == 5


def test_a_model_is_left_out_by_counts_only(conn: Connection) -> None:
    with pytest.raises(IntegrityError, match="transition_table_model_check"):
        tables.add(conn, replace(world.request(0, world.add_counts(conn, world.add_clusters(conn))), model=None), world.mapping())


def test_the_newest_approved_model_is_that_of_a_table_that_has_one(conn: Connection) -> None:
    llm = world.add_good_table(conn)
    counted = world.add_table_of_counts(conn, day=30)
    world.evaluate_counts(conn, counted)
    newest = models.newest_approved(conn)
    assert newest is not None
    assert newest.version == tables.get(conn, llm).model_version
