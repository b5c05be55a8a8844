import pyarrow as pa
import pytest

from driftline.interests.mapping import check
from tests.interests.test_metrics import mapping


def test_a_complete_novel_mapping_passes() -> None:
    check(mapping({(0, 1): 3}, 4), 4)


def test_missing_and_repeated_pairs() -> None:
    whole = mapping({}, 4)

    with pytest.raises(
        ValueError, match=r"of the 12 ordered pairs 1 have no answer, e\.g\. \(0, 1\); 1 have several answers, e\.g\. \(0, 2\)"
    ):
        check(pa.concat_tables([whole[1:], whole[1:2]]), 4)


@pytest.mark.parametrize("answer", [0, 1, 4, -1])
def test_answers_that_are_not_novel_or_unknown(answer: int) -> None:
    with pytest.raises(ValueError, match=rf"e\.g\. \(0, 1\) → {answer}"):
        check(mapping({(0, 1): answer}, 4), 4)
