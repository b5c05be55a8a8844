"""python -m driftline.system.healthy: whether the worker whose metrics are at this address is in order; exits with 1 if not.

It is if it answers, and says that it polls. Asked every few seconds, by what keeps containers: nothing but the standard library.
"""

import os
import re
import sys
import urllib.request

POLLS = re.compile(r"^driftline_worker_polls\{.*\} (\S+)$", re.MULTILINE)
SECONDS = 3


def polls(metrics: str) -> bool:
    """Whether Temporal has lately seen the worker poll each of its queues; before it was asked, nothing is in order."""
    found = POLLS.findall(metrics)
    return bool(found) and all(map(float, found))


def main() -> None:
    address = f"http://127.0.0.1:{os.environ['DRIFTLINE_METRICS_PORT']}/metrics"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            metrics = answer.read().decode()
    except OSError as error:
        sys.exit(f"{address} does not answer: {error}")
    if not polls(metrics):
        sys.exit(f"this worker does not poll, or Temporal does not answer it: see driftline_worker_polls at {address}")


if __name__ == "__main__":
    main()
