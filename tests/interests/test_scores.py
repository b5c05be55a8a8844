import numpy as np
import pyarrow as pa
import pytest

from driftline.interests.pairs import pairs
from driftline.interests.scores import Scores, of_answers

NONE = -np.inf


def table() -> pa.Table:
    """Of the six pairs of three clusters the one novel answer; the last pair has none."""
    c1, c2 = pairs(3)
    novel = [[int(c)] for c in 3 - c1 - c2]
    columns = {"answer": [*novel[:-1], []], "log_p": [[-0.1 * i] for i in range(1, 6)] + [[]], "log_rest": [NONE] * 5 + [-2.0]}
    kinds = [pa.list_(pa.int32()), pa.list_(pa.float32()), pa.float32()]
    return pa.table({name: pa.array(column, kind) for (name, column), kind in zip(columns.items(), kinds, strict=True)})


def test_lists_become_rows() -> None:
    scores = Scores.of(table(), 3)
    assert scores.answer.tolist() == [[2], [1], [2], [0], [1], [-1]]
    dense = scores.dense(np.arange(6))
    assert dense[:5].max(axis=1) == pytest.approx([-0.1, -0.2, -0.3, -0.4, -0.5], abs=1e-6)
    assert dense[5].tolist() == pytest.approx([-2.0, NONE, NONE])  # (2, 1): what is left is all for 0


def test_the_score_of_one_answer_of_each_pair() -> None:
    assert of_answers(table(), pa.chunked_array([[2, 0, 2, 0, 1, 0]])).to_pylist() == pytest.approx(
        [-0.1, None, -0.3, -0.4, -0.5, None], abs=1e-6
    )
