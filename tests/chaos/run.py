"""The same pipelines in two homes: one is left alone, the other is in a storm. Both have to make the same."""

import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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

AT_ONCE = 6
PATIENCE = 900.0
"""Seconds without a run that ends."""


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
        training: Any = SETTINGS["training"]
        same = {"training": training | {"base_model": str(shop / "llm")}}  # an adapter's hash covers its base model's address
        (folder / "driftline.toml").write_text(tomli_w.dumps(SETTINGS | {"drain": 5} | same))
        stack("up")
        stack("clusters", "import", "taxonomy.csv")
        yield stack
    finally:
        commands.close()
        embedded.stop(stack.home, drain_seconds=5)
        shutil.rmtree(folder)


def chaos(seed: int, of_counts: int, fine_tunes: int, refreshes: int, calm: float, keep: Path) -> Storm:
    """Run it, both homes at once; the storm that was.

    Raises:
        Failed: something differs, or does not hold, or the storm has missed what it was to hit.
    """
    phases = pipelines(of_counts, fine_tunes, refreshes)
    runs = [run for phase in phases for run in phase]
    shop = Path(tempfile.mkdtemp(prefix="driftline-chaos-"))
    try:
        write_shop(shop)
        if fine_tunes:
            make_tiny_llm(shop / "llm", words=VOCABULARY, vocabulary=600)
        with ThreadPoolExecutor(1, "undisturbed") as other, home(shop) as stack:
            expected = other.submit(undisturbed, shop, phases)
            storm = Storm(stack, random.Random(seed), calm)
            try:
                with storm.blowing():
                    for phase in phases:
                        complete(stack, phase, storm)
                if missed := storm.missed():
                    raise Failed(f"the storm has hit no {', no '.join(missed)}")
                compare(len(runs), expected.result(), made(stack, runs))
                wrong = list(broken(stack))
                if wrong:
                    raise Failed("; ".join(wrong))
            except BaseException as error:  # a test's time-out, too
                place = evidence(stack, seed, storm, keep)
                raise Failed(f"{error}\n{storm}\nthe storm, histories and logs are in {place}") from error
    finally:
        shutil.rmtree(shop)
    return storm


def undisturbed(shop: Path, phases: Sequence[list[Pipeline]]) -> list[tuple[object, ...]]:
    with home(shop) as stack:
        for phase in phases:
            complete(stack, phase)
        return made(stack, [run for phase in phases for run in phase])


def complete(stack: Stack, runs: list[Pipeline], storm: Storm | None = None) -> None:
    """Start the runs, a few at once, and see them through; whatever waits for review is approved.

    In a storm the last one begins when everything was hit at least once. A command that fails then is given again.
    """
    waiting, open_, last = list(runs), set[str](), time.monotonic()
    refused = [AssertionError, subprocess.TimeoutExpired] if storm is not None else []
    while waiting or open_:
        if storm is not None:
            storm.still_blows()
        with suppress(*refused):
            begun = {run["workflow_id"]: run["status"] for run in states(stack)}
            failed = [f"{name} is {begun[name]}" for name in open_ if begun.get(name) not in ("Running", "Completed", None)]
            if failed:
                raise Failed("; ".join(failed))
            ended = {name for name in open_ if begun.get(name) == "Completed"}
            open_ -= ended
            if storm is not None and ended:
                storm.fruitless = 0
                print(f"ended: {', '.join(sorted(ended))}", flush=True)
            last = time.monotonic() if ended else last
            while waiting and len(open_) < AT_ONCE and (len(waiting) > 1 or storm is None or not storm.missed()):
                if waiting[0].workflow_id not in begun:  # unless the server took it, and could not say so any more
                    stack(*waiting[0].command)
                open_.add(waiting.pop(0).workflow_id)
            for review in stack.json("review", "list"):
                stack("review", "approve", review["review_id"], "--as", "chaos")
        if time.monotonic() - last > PATIENCE:
            missed = f"; the storm has hit no {', no '.join(storm.missed())}" if storm is not None and storm.missed() else ""
            raise Failed(f"nothing ends any more: {sorted(open_)} run, {len(waiting)} wait{missed}")
        time.sleep(0.3)


def states(stack: Stack) -> list[dict[str, str]]:
    kinds, address = "WorkflowType IN ('FineTune', 'RagRefresh')", embedded.status(stack.home).temporal_address
    listed = ["workflow", "list", "--query", kinds, "--address", address, "--limit", "500", "--output", "json"]
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


def compare(runs: int, expected: list[tuple[object, ...]], found: list[tuple[object, ...]]) -> None:
    """Each run has made one table, the same in both."""
    if len(expected) != runs:
        raise Failed(f"{runs} runs made {len(expected)} tables where nothing disturbed them")
    if expected != found:
        pairs = [f"undisturbed {one}\nin the storm {other}" for one, other in zip(expected, found, strict=False) if one != other]
        raise Failed("\n".join([f"{len(found)} tables instead of {len(expected)}", *pairs[:5]]))


def evidence(stack: Stack, seed: int, storm: Storm, keep: Path) -> Path:
    """The seed, what was done, every history and log."""
    place = keep / str(seed)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(stack.home / "logs", place / "logs")
    (place / "storm.txt").write_text("\n".join([f"seed {seed}", str(storm), *storm.done]) + "\n")
    with suppress(Exception):
        stack("up")
        address = embedded.status(stack.home).temporal_address
        for run in states(stack):
            shown = ["workflow", "show", "--address", address, "--workflow-id", run["workflow_id"], "--output", "json"]
            done = subprocess.run([temporal.binary(), *shown], capture_output=True, text=True, check=False, timeout=60)
            (place / f"{run['workflow_id']}.json").write_text(done.stdout)
    return place.absolute()
