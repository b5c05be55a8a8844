"""The search attributes that the workflows set, so that Temporal's lists can be searched by them."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

STAGE = SearchAttributeKey.for_keyword("DriftlineStage")
TABLE = SearchAttributeKey.for_int("DriftlineTable")

_types = {
    STAGE.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    TABLE.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
}


async def register(client: Client) -> None:
    """Add those that the namespace does not have yet."""
    for name, kind in _types.items():
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes={name: kind})
            )
        except RPCError as error:
            if error.status != RPCStatusCode.ALREADY_EXISTS:
                raise
