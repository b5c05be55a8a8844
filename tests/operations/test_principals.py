"""A sender's name that a real server stamps on events is who decides, if the worker believes it. Nothing else a sender says is.

The development server has no authorizer to switch on (`temporal server start-dev --log-config` shows the empty section), so its
front stamps nobody. The stamp itself is the history service's, which takes the name from the front's metadata: the tests speak to
it as the front of a server with an authorizer does.
"""

from collections.abc import Iterator
from typing import Any

import grpc
import psutil
import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, SignalWorkflowExecutionRequest
from temporalio.contrib.pydantic import pydantic_data_converter

from driftline.contracts import Gates
from driftline.operations import verdicts
from tests.operations.test_reviews import Shop, shop
from tests.workflows.test_review import verdict

__all__ = ["shop"]

STAMP = (("temporal-principal-type", "jwt"), ("temporal-principal-name", "ada@shop"))
SIGNAL = "/temporal.server.api.historyservice.v1.HistoryService/SignalWorkflowExecution"


@pytest.fixture
async def stamping(shop: Shop) -> Any:
    """Signals a verdict as the front of a server with an authorizer passes it on, under the name of `STAMP`."""
    client = shop.environment.client
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))

    def signal(workflow_id: str, raw: Any) -> None:
        payloads = Payloads(payloads=pydantic_data_converter.payload_converter.to_payloads([raw]))
        execution = WorkflowExecution(workflow_id=workflow_id)
        asked = SignalWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=execution, signal_name="verdict", input=payloads
        )
        # As historyservice.v1 has it: namespace_id = 1, signal_request = 2. A message is written like bytes.
        inner = Payload(data=asked.SerializeToString()).SerializeToString()
        request = bytes([1 << 3 | 2, len(found.namespace_info.id)]) + found.namespace_info.id.encode() + inner
        assert any(_took(port, request) for port in _listening()), "no port of the server took it"

    return signal


def _listening() -> Iterator[int]:
    for process in psutil.Process().children(recursive=True):
        yield from {c.laddr.port for c in process.net_connections() if c.status == "LISTEN"}


def _took(port: int, request: bytes) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(SIGNAL)(request, timeout=5, metadata=STAMP)
        except grpc.RpcError:
            return False
    return True


async def test_the_stamped_name_decides_whatever_the_verdict_says(shop: Shop, stamping: Any) -> None:
    async with shop.worker(Gates(reviewers=("ada@shop",), claimed_names=False), principals=True):
        handle = await shop.refresh()
        review = await shop.opened(handle)
        stamping(handle.id, verdict(review.review_id, reviewer="somebody"))
        assert (await handle.result()).outcome == "published"
    found = shop.review(review.candidate)
    assert (found.decision, found.reviewer, found.known_by) == ("approve", "ada@shop", "principal")


async def test_the_embedded_worker_believes_no_stamp(shop: Shop, stamping: Any) -> None:
    """Where the server has no network of its own every user of the machine reaches that port."""
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        stamping(handle.id, verdict(review.review_id, reviewer="eve"))
        assert (await handle.result()).outcome == "published"
    assert (shop.review(review.candidate).reviewer, shop.review(review.candidate).known_by) == ("eve", "claimed")


async def test_the_front_takes_no_name_from_a_sender(shop: Shop) -> None:
    """Neither in its own metadata, nor in a token that nobody signed."""
    token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGFAc2hvcCIsInBlcm1pc3Npb25zIjpbInRlbXBvcmFsLXN5c3RlbTphZG1pbiJdfQ."
    forged = {**dict(STAMP), "authorization": f"Bearer {token}"}
    async with shop.worker(Gates(reviewers=("ada@shop",)), principals=True):
        handle = await shop.refresh()
        review = await shop.opened(handle)
        await handle.signal("verdict", verdict(review.review_id, reviewer="eve"), rpc_metadata=forged)
        stamped = [event.principal.name async for event in handle.fetch_history_events()]
        assert set(stamped) == {""}
        assert (await verdicts.submit(shop.context, review, "abort", "ada@shop", "")).accepted
        await handle.result()
