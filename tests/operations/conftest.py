from tests.workflows.conftest import dev_server

__all__ = ["dev_server"]
