"""A parent whose processes do what their files say: `python -m tests.serving.family FOLDER NUMBER`.

Each leaves a file named by its number when it is ready. `FOLDER/fails`, `FOLDER/hangs`: the next one does.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from driftline.serving import parent

parent.AGAIN_SECONDS, parent.LOOK_SECONDS = 0.2, 0.05
SIGN_SECONDS, parent.HUNG_SECONDS = 0.05, 5.0
START_SECONDS = 0.5
"""Long enough to be seen, should another have ended before."""


def main(folder: Path, number: int) -> int:
    def serve(alive: Callable[[], None]) -> None:
        if (folder / "fails").exists():
            (folder / "failed").touch()
            sys.exit(7)
        time.sleep(START_SECONDS)
        (folder / str(os.getpid())).touch()
        alive()
        while not (folder / "hangs" / str(os.getpid())).exists():
            time.sleep(SIGN_SECONDS)
            alive()
        time.sleep(600)

    return parent.Parent(serve, number).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
