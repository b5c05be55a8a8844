"""Grafana: its address, and where it finds what it draws."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from driftline.contracts import STRICT


@dataclass(frozen=True, config=STRICT)
class Dashboards:
    """Grafana (docs/monitoring.md)."""

    url: str = ""
    """Its address, e.g. `https://grafana.example.com`."""
    token: str = Field(default="", repr=False)
    """Of a service account that may edit; read from the environment only."""
    postgres: str = ""
    """Where Grafana finds Postgres, e.g. `postgresql://db.example.com:5432/driftline`. Empty: as `postgres_url`."""
    user: str = "driftline_grafana"
    """Whom it logs in as: the role that a migration makes, or another member of `driftline_reader`."""
    password: str = Field(default="", repr=False)
    """That user's; read from the environment only."""
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = "require"
    """How it connects to Postgres."""
    prometheus: str = ""
    """Where Grafana finds the Prometheus that scrapes the workers; without it there is no board of the workers."""
