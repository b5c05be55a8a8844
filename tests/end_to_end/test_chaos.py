"""A short storm; `make chaos` has the long one."""

import os
import random
from pathlib import Path

import pytest

from tests.chaos.run import chaos


@pytest.mark.long
@pytest.mark.timeout(600)
def test_pipelines_in_a_storm_end_as_they_do_undisturbed(tmp_path: Path) -> None:
    seed = int(os.environ.get("DRIFTLINE_CHAOS_SEED", random.randrange(10**6)))
    print(f"seed {seed}: DRIFTLINE_CHAOS_SEED={seed} repeats it")
    assert chaos(seed, of_counts=6, fine_tunes=0, refreshes=0, calm=2, keep=tmp_path)
