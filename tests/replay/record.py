"""Records the histories of this folder anew, on a real dev server: `python -m tests.replay.record [NAME …]`.

Only after a change that no run in flight has to survive: until then the old histories are the proof that it does.
"""

import asyncio
import re
import sys
from pathlib import Path

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from driftline.embedded import temporal
from driftline.operations.stack import add_search_attributes
from tests.replay.stories import STORIES

HISTORIES = Path(__file__).parent / "histories"
TRACE = r'"stackTrace": "(?:[^"\\]|\\.)*"'
"""Of a failed activity: it names folders of this machine, and nothing replays it."""


async def record(names: list[str]) -> None:
    HISTORIES.mkdir(exist_ok=True)
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal.binary(),
        data_converter=pydantic_data_converter,
        identity="recorder",  # the default names this machine
    ) as environment:
        await add_search_attributes(environment.client)
        for name in names:
            handle = await asyncio.wait_for(STORIES[name](environment, name.replace("_", "-")), 30)
            history = await handle.fetch_history()
            (HISTORIES / f"{name}.json").write_text(re.sub(TRACE, '"stackTrace": ""', history.to_json()) + "\n")
            print(f"{name}: {len(history.events)} events")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:] or list(STORIES)))
