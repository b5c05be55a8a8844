import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from driftline.contracts import GenerateJob
from tests.tiny import make_tiny_llm

ROOT = Path(__file__).parents[2]
SHARED = "Name the next new interest.\n"
# Descriptions that share first tokens, fork again later, and differ in length.
DESCRIPTIONS = [
    "milk, fresh",
    "milk, frozen drinks",
    "milk chocolate, snacks",
    "bread, fresh",
    "breaded cheese, soft",
    "soft drinks",
]
MANY = [f"{one} {two}, fresh" for one in ("milk", "bread", "cheese", "snacks", "soft") for two in "abcd"]
"""Enough that a mapping of them can be disturbed."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """The same sums in this process as in the children, and no fight for cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        import torch

        torch.set_num_threads(1)
        yield


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llm(tmp_path_factory.mktemp("tiny-llm"))


def first(c1: int, descriptions: list[str] = DESCRIPTIONS) -> str:
    return f"Interest 1: {descriptions[c1]}\n"


def rest(c2: int, descriptions: list[str] = DESCRIPTIONS) -> str:
    return f"Interest 2: {descriptions[c2]}\nNext:"


def write_prompts(folder: Path, descriptions: list[str], told: dict[tuple[int, int], str] | None = None) -> Path:
    """The prompts of every ordered pair; `told`: what some of them begin their rest with."""
    folder.mkdir()
    pairs = [(c1, c2) for c1 in range(len(descriptions)) for c2 in range(len(descriptions)) if c1 != c2]
    prompts = {
        "c1": pa.array([c1 for c1, _ in pairs], pa.int32()),
        "c2": pa.array([c2 for _, c2 in pairs], pa.int32()),
        "shared": [SHARED] * len(pairs),
        "first": [first(c1, descriptions) for c1, _ in pairs],
        "rest": [(told or {}).get(pair, "") + rest(pair[1], descriptions) for pair in pairs],
        "retrieved": pa.array([[]] * len(pairs), pa.list_(pa.int32())),
    }
    table = pa.table({name: pa.array(column) for name, column in prompts.items()})
    for at, name in enumerate(table.column_names[:]):
        if pa.types.is_string(table[name].type):  # as they are rendered
            table = table.set_column(at, name, table[name].dictionary_encode())
    pq.write_table(table, folder / "prompts.parquet")
    labels = {"cluster": pa.array(range(len(descriptions)), pa.int32()), "description": descriptions}
    pq.write_table(pa.table(labels), folder / "labels.parquet")
    return folder


def write_samples(path: Path) -> Path:
    """One sample for every ordered pair of `DESCRIPTIONS`: the label is the next cluster that is in neither place."""
    pairs = [(c1, c2) for c1 in range(6) for c2 in range(6) if c1 != c2]
    labels = [next(c % 6 for c in range(c2 + 1, 12) if c % 6 not in (c1, c2)) for c1, c2 in pairs]
    columns = {
        "shared": [SHARED] * len(pairs),
        "first": [first(c1) for c1, _ in pairs],
        "rest": [rest(c2) for _, c2 in pairs],
        "label": [" " + DESCRIPTIONS[c] for c in labels],
    }
    pq.write_table(pa.table(columns), path)
    return path


def kept(work: Path) -> list[dict[str, float]]:
    """What the attempts at a job have entered in their accounts by now."""
    return [json.loads(path.read_text()) for path in sorted(work.glob("*/spent/*.json")) + sorted(work.glob("spent-*/*.json"))]


OF_ANOTHER_JOB = {
    "RANK": "3",
    "LOCAL_RANK": "3",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "nowhere",
    "ACCELERATE_MIXED_PRECISION": "fp16",
}
"""What a launcher of something else may have left in the worker's environment."""


def write_validation(folder: Path) -> Path:
    """Every ordered pair of `DESCRIPTIONS` to ask, and the samples of `write_samples`."""
    folder.mkdir()
    write_samples(folder / "samples.parquet")
    pairs = [(c1, c2) for c1 in range(6) for c2 in range(6) if c1 != c2]
    columns = {
        "shared": [SHARED] * len(pairs),
        "first": [first(c1) for c1, _ in pairs],
        "rest": [rest(c2) for _, c2 in pairs],
        "c1": [c1 for c1, _ in pairs],
        "c2": [c2 for _, c2 in pairs],
    }
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    pq.write_table(pa.table({"description": DESCRIPTIONS}), folder / "labels.parquet")
    return folder


def start(module: str, job: object, folder: Path) -> subprocess.Popen[str]:
    """Starts `python -m driftline.engines.<module>` as an activity would."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "JOB.json").write_bytes(TypeAdapter(type(job)).dump_json(job))
    return subprocess.Popen(
        [sys.executable, "-m", f"driftline.engines.{module}", str(folder / "JOB.json")],
        cwd=ROOT,
        env=os.environ | OF_ANOTHER_JOB | {"DRIFTLINE_PARENT_PID": str(os.getpid()), "DRIFTLINE_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_blocks(process: "subprocess.Popen[str]", job: GenerateJob, number: int) -> None:
    """As long as it takes: how soon torch is loaded is the machine's."""
    while len(finished(job)) < number and process.poll() is None:
        time.sleep(0.005)


def finished(job: GenerateJob) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path(job.work).glob("blocks-*/[0-9]*.parquet")}


def fills_the_disk(process: "subprocess.Popen[str]") -> None:
    """From now on it can write no file of more than a thousand bytes."""
    psutil.Process(process.pid).rlimit(resource.RLIMIT_FSIZE, (1000, 1000))
