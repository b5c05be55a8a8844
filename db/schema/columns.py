"""Columns that many tables have alike, and the metadata that all tables share."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, MetaData, Text, func

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

INSTANT = DateTime(timezone=True)


def version() -> Column[int]:
    return Column("version", BigInteger, Identity(always=True), primary_key=True, comment="Grows with every new version")


def key(of: str) -> Column[str]:
    return Column("key", Text, nullable=False, unique=True, comment=f"SHA-256 of {of}: the same input is the same version")


def created() -> Column[object]:
    return Column("created_at", INSTANT, nullable=False, server_default=func.now(), comment="When this row was written")


def reference(name: str, to: str, comment: str, **options: bool) -> Column[int]:
    return Column(name, BigInteger, ForeignKey(to), comment=comment, **{"nullable": False, **options})  # type: ignore[arg-type]
