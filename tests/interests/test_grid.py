import subprocess
import sys

import numpy as np
import pytest

from driftline.interests.grid import FINE, STEP, on_grid
from tests.interests.test_clusters import texts

KINDS = (
    {"OPENBLAS_CORETYPE": "Prescott"},
    {"OPENBLAS_CORETYPE": "Haswell"},
    {"OPENBLAS_CORETYPE": "SkylakeX"},
    {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V3,X86_V4,AVX512_ICL,AVX512_SPR"},
    {"OMP_NUM_THREADS": "2"},
)
"""What numpy and its BLAS would do on other processors; where this one lacks an instruction set they take what it has."""


@pytest.mark.long
def test_the_same_embeddings_make_the_same_clusters_and_centres_on_any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for kind in KINDS:
        with monkeypatch.context() as other:
            for name, value in ({"OMP_NUM_THREADS": "1"} | kind).items():
                other.setenv(name, value)
            found.add(subprocess.run([sys.executable, "-m", "tests.interests.built"], check=True, capture_output=True).stdout)
    assert len(found) == 1


@pytest.mark.parametrize(("step", "dtype"), [(STEP, np.float32), (FINE, np.float64)])
def test_products_of_vectors_on_the_grid_are_exact(step: float, dtype: type) -> None:
    """Forwards, backwards and in whole numbers the sum is the same to the last bit."""
    rows = on_grid(texts(4, 50, noise=1.5), step)
    a: np.ndarray = rows[:100].astype(dtype)
    b: np.ndarray = rows[100:].astype(dtype)
    whole = (np.rint(a.astype(np.float64) / step).astype(np.int64) * np.rint(b.astype(np.float64) / step).astype(np.int64)).sum(1)
    assert ((a * b).cumsum(axis=1)[:, -1] == whole * step**2).all()
    assert ((a * b)[:, ::-1].cumsum(axis=1)[:, -1] == whole * step**2).all()
    assert np.abs(rows - texts(4, 50, noise=1.5)).max() <= step / 2
