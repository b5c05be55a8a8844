"""Heartbeats for a step that computes in the worker's own process, on a thread of its own."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from temporalio import activity

from driftline.contracts import Progress

EVERY = 5.0

Result = TypeVar("Result")


async def beating(stage: str, function: Callable[..., Result], *args: Any) -> Result:
    """Runs `function` in a thread and heartbeats until it returns."""
    computed = asyncio.create_task(asyncio.to_thread(function, *args))
    while not computed.done():
        activity.heartbeat(Progress(stage, 0, 0))
        await asyncio.wait([computed], timeout=EVERY)
    return computed.result()


@contextmanager
def heartbeats(stage: str) -> Iterator[None]:
    """Beat every few seconds while the block runs, so that a dead worker is noticed within a minute."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(EVERY):
            activity.heartbeat(Progress(stage, 0, 0))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(beat,), daemon=True)
    activity.heartbeat(Progress(stage, 0, 0))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
