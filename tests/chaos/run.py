"""The same pipelines in two homes: one is left alone, the other is in a storm. Both have to make the same."""

import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import tomli_w

from driftline import embedded
from driftline.embedded import temporal
from tests.chaos.pipelines import Pipeline, broken, made, pipelines
from tests.chaos.storm import Storm
from tests.end_to_end.commands import Commands
from tests.end_to_end.conftest import SETTINGS
from tests.end_to_end.shop import VOCABULARY, write_shop
from tests.end_to_end.stack import Stack
from tests.tiny import make_tiny_llm

AT_ONCE = 4
PATIENCE = 600.0
"""Seconds without a run that ends, after the storm."""


class Failed(Exception):
    """The message says what differs, and where the evidence is."""


@contextmanager
def home(shop: Path) -> Iterator[Stack]:
    """A home of its own, with interests that are imported, so that both have the same."""
    folder = Path(tempfile.mkdtemp(prefix="driftline-chaos-"))
    stack = Stack(folder, commands := Commands())
    try:
        for file in shop.iterdir():
            (folder / file.name).symlink_to(file)
        (folder / "driftline.toml").write_text(tomli_w.dumps(SETTINGS | {"drain": 5}))
        stack("up")
        stack("clusters", "import", "taxonomy.csv")
        yield stack
    finally:
        commands.close()
        embedded.stop(stack.home, drain_seconds=5)
        shutil.rmtree(folder)


def chaos(seed: int, of_counts: int, fine_tunes: int, refreshes: int, calm: float, keep: Path) -> list[str]:
    """Run it; what the storm did.

    Raises:
        Failed: something differs, or does not hold.
    """
    phases = pipelines(of_counts, fine_tunes, refreshes)
    shop = Path(tempfile.mkdtemp(prefix="driftline-chaos-"))
    try:
        write_shop(shop)
        if fine_tunes:
            make_tiny_llm(shop / "llm", words=VOCABULARY, vocabulary=600)
        with home(shop) as stack:
            for phase in phases:
                complete(stack, phase)
            expected = made(stack, [*phases[0], *phases[1]])
        with home(shop) as stack:
            storm = Storm(stack, random.Random(seed))
            try:
                for phase in phases:
                    complete(stack, phase, storm, calm)
                compare(expected, made(stack, [*phases[0], *phases[1]]))
                wrong = list(broken(stack))
                if wrong:
                    raise Failed("; ".join(wrong))
            except Exception as error:
                place = evidence(stack, seed, storm, keep)
                raise Failed(f"{error}\nthe storm, histories and logs are in {place}") from error
    finally:
        shutil.rmtree(shop)
    return storm.done


def complete(stack: Stack, runs: list[Pipeline], storm: Storm | None = None, calm: float = 0) -> None:
    """Start the runs, a few at once, and see them through; whatever waits for review is approved."""
    waiting, open_, last = list(runs), set[str](), time.monotonic()
    while waiting or open_:
        if storm is not None and waiting:
            time.sleep(storm.chance.uniform(0, calm))
            storm.strike()
        with suppress(*([AssertionError] if storm is not None else [])):  # the server was just killed
            while waiting and len(open_) < AT_ONCE:
                stack(*waiting[0].command)
                open_.add(waiting.pop(0).workflow_id)
            for review in stack.json("review", "list"):
                stack("review", "approve", review["review_id"], "--as", "chaos")
            ended = {run["workflow_id"] for run in states(stack) if run["status"] != "Running"} & open_
            failed = [
                run for run in states(stack) if run["workflow_id"] in open_ and run["status"] not in ("Running", "Completed")
            ]
            if failed:
                raise Failed(f"{failed[0]['workflow_id']} is {failed[0]['status']}")
            if ended:
                last = time.monotonic()
            open_ -= ended
        if time.monotonic() - last > PATIENCE:
            raise Failed(f"nothing ends any more: {sorted(open_)}")
        time.sleep(0.3)


def states(stack: Stack) -> list[dict[str, str]]:
    listed = ["workflow", "list", "--address", embedded.status(stack.home).temporal_address, "--limit", "500", "--output", "json"]
    done = subprocess.run([temporal.binary(), *listed], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [
        {
            "workflow_id": run["execution"]["workflowId"],
            "status": run["status"].removeprefix("WORKFLOW_EXECUTION_STATUS_").capitalize(),
        }
        for run in json.loads(done.stdout or "[]")
    ]


def compare(expected: list[tuple[object, ...]], found: list[tuple[object, ...]]) -> None:
    if expected != found:
        pairs = [f"undisturbed {one}\nin the storm {other}" for one, other in zip(expected, found, strict=False) if one != other]
        raise Failed("\n".join([f"{len(found)} tables instead of {len(expected)}", *pairs[:5]]))


def evidence(stack: Stack, seed: int, storm: Storm, keep: Path) -> Path:
    """The seed, what was done, every history and log."""
    place = keep / str(seed)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(stack.home / "logs", place / "logs")
    (place / "storm.txt").write_text("\n".join([f"seed {seed}", *storm.done]) + "\n")
    with suppress(Exception):
        stack("up")
        address = embedded.status(stack.home).temporal_address
        for run in states(stack):
            shown = ["workflow", "show", "--address", address, "--workflow-id", run["workflow_id"], "--output", "json"]
            done = subprocess.run([temporal.binary(), *shown], capture_output=True, text=True, check=False, timeout=60)
            (place / f"{run['workflow_id']}.json").write_text(done.stdout)
    return place.absolute()
