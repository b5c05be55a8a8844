"""Reports on tables."""

from sqlalchemy import BigInteger, Column, Index, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from driftline.db.schema.columns import created, key, metadata, reference, version

report = Table(
    "report",
    metadata,
    version(),
    key("table, measurements, findings and the report before"),
    reference("table_version", "transition_table.version", "The table that is reported on"),
    Column("measurements", ARRAY(BigInteger), nullable=False, comment="Versions of the measurements it rests on"),
    Column("findings", JSONB, nullable=False, comment="Its summary, most important first: [{level, text}]"),
    created(),
    Index(None, "table_version", "version"),
    comment="What the measurements say about a table; a table's newest report counts",
)
