"""`make chaos`: pipelines in a storm end byte for byte as they do undisturbed. `--seed` repeats a storm's choices."""

import argparse
import random
import sys
from pathlib import Path

from tests.chaos.run import Failed, chaos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--counts", type=int, default=30, help="refreshes of counts")
    parser.add_argument("--fine-tunes", type=int, default=8)
    parser.add_argument("--refreshes", type=int, default=12, help="refreshes that ask an LLM")
    parser.add_argument("--calm", type=float, default=2.0, help="most time between two blows, in starts of the servers")
    parser.add_argument("--keep", type=Path, default=Path("chaos"), help="where histories and logs of a failure are put")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    try:
        storm = chaos(asked.seed, asked.counts, asked.fine_tunes, asked.refreshes, asked.calm, asked.keep)
    except Failed as error:
        sys.exit(f"seed {asked.seed}: {error}")
    print(f"{storm}\n{asked.counts + asked.fine_tunes + asked.refreshes} pipelines, all as undisturbed")


if __name__ == "__main__":
    main()
