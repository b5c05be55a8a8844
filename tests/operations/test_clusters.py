"""A cluster set goes from one database to another in a file, and is the same set there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftline.contracts import BadInput
from driftline.db import assignments as db_assignments
from driftline.db import clusters as db_clusters
from driftline.operations import clusters
from driftline.operations.context import Context
from driftline.settings import Settings
from tests.db import world


@pytest.fixture
def here(make_database: Callable[[], str], tmp_path: Path) -> Context:
    """A database whose first set has other clusters than the second: versions differ between databases, keys do not."""
    context = Context(Settings(postgres_url=make_database(), temporal_address="nowhere:1", home=tmp_path))
    with context.engine.begin() as connection:
        world.add_clusters(connection, ["other", "names", "of", "things"])
        version = world.add_clusters(connection, ["thé", "ミルク", "[rice]", "soap"])
        centres = np.array([[0.6, 0.8], [1 / 3, 2 / 3]], np.float32)
        db_assignments.add_centres(connection, version, np.array([0, 2], np.int32), centres, "minilm")
    return context


@pytest.fixture
def there(make_database: Callable[[], str], tmp_path: Path) -> Context:
    return Context(Settings(postgres_url=make_database(), temporal_address="nowhere:1", home=tmp_path))


def test_the_same_set_with_the_same_key_in_another_database(here: Context, there: Context, tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    about = clusters.export(here, file)
    assert clusters.is_exported(str(file))
    made = clusters.import_exported(there, str(file))

    ours, theirs = clusters.get(here, about.version), clusters.get(there, made.version)
    assert ours[0].version != theirs[0].version
    assert (ours[0].key, ours[0].method, ours[1]) == (theirs[0].key, theirs[0].method, theirs[1])
    with here.engine.connect() as one, there.engine.connect() as other:
        assert db_clusters.items(one, about.version) == db_clusters.items(other, made.version)
        known, centres = db_assignments.centres(other, made.version)
        assert (known.tolist(), db_assignments.model_of_centres(other, made.version)) == ([0, 2], "minilm")
        assert centres.tolist() == db_assignments.centres(one, about.version)[1].tolist()
    assert clusters.import_exported(there, str(file)) == made, "a second time it is found"
    clusters.export(there, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == file.read_bytes()


def edited(file: Path, number: int, **changes: Any) -> str:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines[number].update(changes)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("number", "changes", "said"),
    [
        (1, {"description": "coffee"}, "is not what was exported: its content has another key"),
        (1, {"items": []}, "ends too early: it has 4 clusters and 3 items"),
        (1, {"description": "[rice], fresh and white"}, r"equal to or the beginning of another.*3|2 '\[rice\], fresh'"),
        (1, {"description": "a\nb"}, "not one line of visible text"),
        (2, {"cluster": 7}, "line 3: not cluster 1 with its name, description, keywords, traffic"),
        (0, {"format": 2}, "has format 2, this release reads 1: update it"),
    ],
)
def test_a_file_that_is_not_what_was_exported_is_refused(
    here: Context, there: Context, tmp_path: Path, number: int, changes: dict[str, Any], said: str
) -> None:
    file = tmp_path / "set.jsonl"
    clusters.export(here, file)
    with pytest.raises(BadInput, match=said):
        clusters.import_exported(there, edited(file, number, **changes))
    with there.engine.connect() as connection:
        assert db_clusters.newest(connection) is None


def test_a_person_writes_better_descriptions(here: Context, tmp_path: Path) -> None:
    about, before = clusters.get(here)
    file = tmp_path / "names.csv"
    file.write_text("cluster,description\n3,bars of soap\n0,\n1,milk & cream\n", encoding="utf-8")
    made = clusters.rename(here, about.version, clusters.written(str(file)), "ada")

    described, after = clusters.get(here, made.version)
    assert made.version > about.version
    assert after["description"].to_pylist() == ["thé, fresh", "milk & cream", "[rice], fresh", "bars of soap"]
    assert after["traffic"] == before["traffic"]
    assert described.method == {**about.method, "describes": about.key, "described_by": "ada"}
    with here.engine.connect() as connection:
        assert db_clusters.items(connection, made.version) == db_clusters.items(connection, about.version)
    assert clusters.rename(here, made.version, {1: "milk & cream"}, "bob") == made, "what changes nothing makes no version"


@pytest.mark.parametrize(
    ("descriptions", "said"),
    [
        ({9: "tea"}, "has no cluster 9: its ids are 0 to 3"),
        ({1: "soap, fresh"}, "equal to or the beginning of another"),
        ({1: "soap"}, "equal to or the beginning of another"),
        ({1: "x" * 201}, "more than 200 characters"),
        ({1: "\u202emoor"}, "not one line of visible text"),
    ],
)
def test_descriptions_that_an_llm_could_not_answer_with_are_refused(
    here: Context, descriptions: dict[int, str], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        clusters.rename(here, clusters.get(here)[0].version, descriptions, "ada")


def test_half_a_file_and_another_file_are_told(here: Context, tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    clusters.export(here, file)
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[: len(whole) // 2], encoding="utf-8")
    with pytest.raises(BadInput, match=r"set\.jsonl, line \d"):
        clusters.import_exported(here, str(file))
    taxonomy = tmp_path / "taxonomy.csv"
    taxonomy.write_text("item,cluster\n1,tea\n", encoding="utf-8")
    assert not clusters.is_exported(str(taxonomy))
    assert not clusters.is_exported("s3://bucket/taxonomy.csv")
