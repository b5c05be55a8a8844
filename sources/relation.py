"""What every reader of a log or catalogue can ask of it, whatever engine it lies in."""

from collections.abc import Mapping
from typing import Any, Protocol


class Relation(Protocol):
    """A log or catalogue that resolves the types of its expressions: in DuckDB's FROM clause, or in another engine's."""

    @property
    def sql(self) -> str: ...

    @property
    def where(self) -> str: ...

    @property
    def columns(self) -> Mapping[str, str]:
        """DuckDB's types by name; empty where it has yet to be asked for."""

    def kind(self, sql: str) -> str:
        """DuckDB's name of the expression's type. Raises BadInput with the engine's words."""

    @property
    def strptime(self) -> bool:
        """Whether the engine reads a time by the formats of DuckDB's `try_strptime`."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The answer to a query over `sql`. Raises BadInput with the engine's words."""

    def example(self, sql: str, condition: str) -> str | None:
        """The expression in some row that meets the condition, as text. Raises BadInput with the engine's words."""

    def trimmed(self, sql: str) -> str:
        """SQL of a text without the blanks around it."""

    def has_nul(self, sql: str) -> str:
        """SQL that says whether a text has a byte 0x00 in it, which Postgres cannot hold."""
