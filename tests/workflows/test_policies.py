"""What is not tried again."""

import pytest
from sqlalchemy.exc import DataError

from driftline import worker  # noqa: F401 (imports every activity)
from driftline.contracts import BadInput
from driftline.db.channels import NotPublishable
from driftline.workflows import policies


@pytest.mark.parametrize("policy", ["record", "store", "compute", "measure", "train", "generate"])
def test_bad_input_is_not_retried_and_every_other_error_is(policy: str) -> None:
    retry = getattr(policies, policy)["retry_policy"]
    public = (refusal for refusal in BadInput.__subclasses__() if not refusal.__name__.startswith("_"))  # others stay inside
    refusals: set[type] = {BadInput, NotPublishable, DataError, *public}
    assert set(retry.non_retryable_error_types) == {refusal.__name__ for refusal in refusals}
    assert retry.maximum_attempts == 0
