import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts import Retrieval
from driftline.interests import prompts
from driftline.interests.retrieval import retrieve
from tests.interests.tables import Counts, counts_of, table

NAMES = ["beef, pork", "bread, rolls", "cheese, natural", "milk, fluid"]


def text_of(table: pa.Table, c1: int, c2: int) -> str:
    row = next(row for row in table.to_pylist() if (row["c1"], row["c2"]) == (c1, c2))
    return str(row["shared"] + row["first"] + row["rest"])


def test_prompt_without_retrieval() -> None:
    assert text_of(prompts.prompts_table(NAMES, None), 0, 1) == (
        "Predict a user's next new interest from the last two.\nInterest 1: beef, pork\nInterest 2: bread, rolls\nNext interest:"
    )


def test_prompt_with_retrieved_successors() -> None:
    table_ = prompts.prompts_table(NAMES, retrieve(table({(0, 1, 2): 3, (0, 1, 3): 2}), None, Retrieval(top_k=2), 4))

    assert text_of(table_, 0, 1).endswith("Interest 2: bread, rolls\nOften next: cheese, natural; milk, fluid\nNext interest:")
    assert text_of(table_, 1, 0).endswith("Interest 2: beef, pork\nNext interest:")
    assert [row["retrieved"] for row in table_.to_pylist()][:2] == [[2, 3], []]


def test_prompt_with_one_list_for_all() -> None:
    retrieved = retrieve(table({(0, 1, 2): 3, (2, 1, 3): 2}), None, Retrieval(granularity="global"), 4)
    table_ = prompts.prompts_table(NAMES, retrieved)

    assert table_["shared"].unique().to_pylist() == [
        prompts.INSTRUCTION
        + "Frequent paths:\nbeef, pork > bread, rolls > cheese, natural\ncheese, natural > bread, rolls > milk, fluid\n"
    ]
    assert text_of(table_, 0, 1).endswith("Interest 1: beef, pork\nInterest 2: bread, rolls\nNext interest:")


def test_samples_read_as_the_prompts_do() -> None:
    samples = table({(0, 1, 2): 3, (3, 2, 0): 1})
    rendered = prompts.samples_table(NAMES, samples)

    assert rendered.column_names == ["shared", "first", "rest", "label", "c1", "c2", "c_next"]
    assert rendered["label"].to_pylist() == [" cheese, natural", " beef, pork"]
    assert text_of(rendered, 3, 2) == text_of(prompts.prompts_table(NAMES, None), 3, 2)


def test_a_share_of_the_samples_is_told_what_a_refresh_will_tell() -> None:
    counts = table({(0, 1, 2): 3, (0, 1, 3): 2, (1, 0, 2): 2, (1, 2, 3): 1})
    retrieved = retrieve(counts, None, Retrieval(), 4)
    asked = prompts.prompts_table(NAMES, retrieved).to_pylist()

    samples = prompts.samples_table(NAMES, counts, retrieved, 0.5).to_pylist()

    assert [("Often next: " in row["rest"]) for row in samples] == [False, True, False, True]
    for row in samples[1::2]:
        assert row["rest"] == next(a["rest"] for a in asked if (a["c1"], a["c2"]) == (row["c1"], row["c2"]))
    assert prompts.samples_table(NAMES, counts, retrieved, 0.0).equals(prompts.samples_table(NAMES, counts))
    for_all = retrieve(counts, None, Retrieval(granularity="global"), 4)
    assert prompts.samples_table(NAMES, counts, for_all, 1.0).equals(prompts.samples_table(NAMES, counts))


@given(counts_of(5).filter(bool), st.integers(1, 3))
def test_every_ordered_pair_once_in_order(counts: Counts, k: int) -> None:
    names = [*NAMES, "ice"]
    rows = prompts.prompts_table(names, retrieve(table(counts), None, Retrieval(top_k=k), 5)).to_pylist()

    assert [(row["c1"], row["c2"]) for row in rows] == [(a, b) for a in range(5) for b in range(5) if a != b]
    for row in rows:
        assert row["first"] == f"Interest 1: {names[row['c1']]}\n"
        told = f"Often next: {'; '.join(names[c] for c in row['retrieved'])}\n" if row["retrieved"] else ""
        assert row["rest"] == f"Interest 2: {names[row['c2']]}\n{told}Next interest:"


def test_hash_covers_all_text_and_not_the_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retrieved = retrieve(table({(0, 1, 2): 3}), None, Retrieval(), 4)
    made = prompts.prompts_table(NAMES, retrieved)
    pq.write_table(made, tmp_path / "prompts.parquet", row_group_size=5)
    same = prompts.prompt_hash(made)

    assert prompts.prompt_hash(pq.read_table(tmp_path / "prompts.parquet")) == same
    assert (
        prompts.prompt_hash(
            made.cast(pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in made.schema]))
        )
        == same
    )
    others = [prompts.prompts_table(NAMES, None), prompts.prompts_table([*NAMES[:3], "milk"], retrieved)]
    monkeypatch.setattr(prompts, "VERSION", 2)
    assert len({same, *map(prompts.prompt_hash, [*others, made])}) == 4


def test_761_clusters_take_seconds() -> None:
    random = np.random.default_rng(0)
    ids = np.array([random.choice(761, 3, replace=False) for _ in range(20_000)]).astype(np.int32)
    counts = pa.table({"c1": ids[:, 0], "c2": ids[:, 1], "c_next": ids[:, 2], "n": random.integers(1, 9, len(ids))})
    began = time.perf_counter()

    table_ = prompts.prompts_table([f"interest number {i}." for i in range(761)], retrieve(counts, None, Retrieval(), 761))

    assert table_.num_rows == 761 * 760
    assert time.perf_counter() - began < 10
