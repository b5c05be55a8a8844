"""Small pipelines, what they come to, and what has to hold whatever happened to the servers meanwhile."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psutil
import psycopg

from driftline import embedded
from driftline.activities.artifacts import LocalArtifacts, hash_folder
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_table_of_counts import WINDOWS

FIRST = date(2024, 3, 2)
"""Of the refreshes of counts; fine-tunes begin later, because they read a longer window."""
FIRST_FINE_TUNE = date(2024, 4, 4)
COUNTS = ("--set", "rag_refresh.answers=counts", *WINDOWS)
TRAINING = tuple(
    part for knob in ("steps=30", "checkpoint_every=5", "validate_every=15") for part in ("--set", f"training.{knob}")
)
MADE = """
    SELECT t.kind, t.nominal::date::text, t.answers, t.rows, t.complete, t.prompts_hash, t.mapping_hash,
        m.adapter_hash, m.samples_hash,
        (SELECT md5(string_agg(concat_ws(',', r.c1, r.c2, r.c_next, r.decoding, r.free, r.retrieved, r.score, r.llm_next), ';'
            ORDER BY r.c1, r.c2)) FROM transition r WHERE r.version = t.version) AS rows_hash,
        (SELECT array_agg(p.channel || ' ' || p.action ORDER BY p.id) FROM publication p WHERE p.to_version = t.version) AS served
    FROM transition_table t LEFT JOIN model m ON m.version = t.model_version
    WHERE t.workflow_id IN (SELECT unnest(%s::text[])) ORDER BY 1, 2
"""
BROKEN = """
    SELECT 'channel ' || name || ' is not at its newest publication' FROM channel c
    WHERE publication <> (SELECT max(id) FROM publication p WHERE p.channel = c.name)
    UNION ALL SELECT 'channel ' || ch.name || ' serves what may not be served' FROM channel ch
    WHERE NOT EXISTS (SELECT FROM table_overview o WHERE o.version = ch.table_version AND complete AND approved)
    UNION ALL SELECT 'the publications of ' || channel || ' are no chain' FROM (
        SELECT channel, from_version, lag(to_version) OVER (PARTITION BY channel ORDER BY id) AS before FROM publication) p
    WHERE from_version IS DISTINCT FROM before
    UNION ALL SELECT 'run ' || run_id || ' published table ' || to_version || ' twice' FROM publication
    WHERE run_id IS NOT NULL GROUP BY run_id, channel, to_version HAVING count(*) > 1
    UNION ALL SELECT 'table ' || t.version || ' is not whole' FROM transition_table t
    WHERE t.rows <> (SELECT count(*) FROM transition r WHERE r.version = t.version)
    UNION ALL SELECT 'two tables of ' || workflow_id FROM transition_table GROUP BY workflow_id, run_id HAVING count(*) > 1
"""


@dataclass(frozen=True)
class Pipeline:
    """A run of one date on a channel of its own, so that its outcome depends on no other's."""

    kind: str
    at: date
    counts: bool

    @property
    def workflow_id(self) -> str:
        return f"{self.kind}-{self.at}"

    @property
    def command(self) -> tuple[str, ...]:
        channel = ("--set", f"channel={self.workflow_id}")
        return ("run", self.kind, "--at", str(self.at), *channel, *(COUNTS if self.counts else TRAINING))


def pipelines(of_counts: int, fine_tunes: int, refreshes: int) -> tuple[list[Pipeline], list[Pipeline]]:
    """The first may all run at once; the second ask the models of the first."""
    days = iter([FIRST + timedelta(days=n) for n in range(30)])
    later = [FIRST_FINE_TUNE + timedelta(days=n) for n in range(24)]
    first = [Pipeline("fine-tune", day, False) for day in later[:fine_tunes]]
    first += [Pipeline("rag-refresh", next(days), True) for _ in range(of_counts)]
    return first, [Pipeline("rag-refresh", day, False) for day in later[fine_tunes : fine_tunes + refreshes]]


def made(stack: Stack, runs: list[Pipeline]) -> list[Any]:
    """What the runs came to, without what differs between two homes: versions and times."""
    with closing(psycopg.connect(embedded.status(stack.home).postgres_url)) as connection:
        return connection.execute(MADE, [[run.workflow_id for run in runs]]).fetchall()


def broken(stack: Stack) -> Iterator[str]:
    """What does not hold, in words."""
    with closing(psycopg.connect(embedded.status(stack.home).postgres_url)) as connection:
        yield from (what for (what,) in connection.execute(BROKEN))
    artifacts = LocalArtifacts(stack.home / "artifacts")
    for each in artifacts.everything():
        if each.hash and hash_folder(artifacts.place(each.uri)) != each.hash:
            yield f"artifact {each.uri} is not its hash"
    worker = embedded.status(stack.home).worker
    for process in psutil.process_iter(["cmdline", "ppid"]):
        words = process.info["cmdline"] or []
        ours = any(word.startswith("driftline.engines.") for word in words) and str(stack.home) in " ".join(words)
        if ours and (worker is None or process.info["ppid"] != worker.pid):
            yield f"an orphan computes: {' '.join(words)}"
