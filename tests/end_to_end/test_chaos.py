"""A short storm; `make chaos` has the long one."""

import os
import random
from pathlib import Path

import pytest

from tests.chaos.run import chaos


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_pipelines_in_a_storm_end_as_they_do_undisturbed(tmp_path: Path) -> None:
    seed = int(os.environ.get("DRIFTLINE_CHAOS_SEED", random.randrange(10**6)))
    print(f"seed {seed}: DRIFTLINE_CHAOS_SEED={seed} repeats it")
    print(chaos(seed, of_counts=4, fine_tunes=1, refreshes=0, calm=1, keep=tmp_path))
