"""Cost, agility, knowledge: what each kind of update cost over its last runs, how soon it acted and what it learnt (paper §1);
and what the cadence decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from driftline.db.measurements import Measurement
from driftline.report import cadences
from driftline.report.cadences import Decided
from driftline.report.content import CostRow
from driftline.report.finding import Finding
from driftline.report.words import count, duration, kind, percent


@dataclass(frozen=True)
class TableDimensions:
    """One table, and how good it was on its test window."""

    cost: CostRow
    answers: str
    """llm | blend | counts"""
    recall: float | None = None
    chance: float | None = None
    popular: float | None = None
    """Recall of the most popular successor."""

    @property
    def update(self) -> str:
        """Names the kind of update in words."""
        asked = kind(self.cost.kind)
        return asked if self.answers == "llm" else f"{asked} of {'a blend' if self.answers == 'blend' else 'counts'}"

    @property
    def cpu_seconds(self) -> float | None:
        return _sum(self.cost.train_cpu_seconds, self.cost.generate_cpu_seconds)

    @property
    def gpu_seconds(self) -> float | None:
        return _sum(self.cost.train_gpu_seconds, self.cost.generate_gpu_seconds)

    @property
    def wall_seconds(self) -> float | None:
        return _sum(self.cost.train_wall_seconds, self.cost.generate_wall_seconds)

    @property
    def delay(self) -> float | None:
        """Seconds from the end of its data to its first publication."""
        published = self.cost.published_at
        return None if published is None else (published - self.cost.window_end).total_seconds()


@dataclass(frozen=True)
class Dimensions:
    channel: str
    runs: tuple[TableDimensions, ...]
    """Of each kind the newest, oldest first."""
    days: tuple[Decided, ...] = ()
    """Oldest first."""
    replays: tuple[Measurement, ...] = ()
    """Of the same days, log and model, each with another interval, the newest last."""

    @property
    def kinds(self) -> dict[str, list[TableDimensions]]:
        """Groups the runs by kind, in words."""
        found: dict[str, list[TableDimensions]] = {}
        for run in self.runs:
            found.setdefault(run.update, []).append(run)
        return found

    @property
    def refresh_seconds(self) -> float | None:
        """CPU of a typical RAG refresh of the LLM."""
        return typical([run.cpu_seconds for run in self.kinds.get("RAG refresh", [])])

    @property
    def lost(self) -> list[int]:
        """Triples lost since the last update, on each of the days."""
        found, so_far = [], 0
        for decided in self.days:
            so_far += decided.measured.fresh - decided.measured.stale if decided.measured else 0
            found.append(so_far)
            so_far = so_far if decided.action == "none" else 0
        return found


def typical(values: Sequence[float | None]) -> float | None:
    """The median of those that are on record."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def findings(found: Dimensions) -> tuple[Finding, ...]:
    """What a reader takes home, most important first."""
    said = []
    for name, runs in found.kinds.items():
        cpu, gpu = (typical([getattr(run, f"{unit}_seconds") for run in runs]) for unit in ("cpu", "gpu"))
        delay, recall = typical([run.delay for run in runs]), typical([run.recall for run in runs])
        parts = []
        if cpu is not None or gpu is not None:
            spent = [f"{duration(seconds)} of {of}" for seconds, of in ((cpu, "CPU"), (gpu, "GPU")) if seconds]
            parts.append(f"cost {' and '.join(spent) or 'nothing measurable'}")
        if delay is not None:
            parts.append(f"was served {duration(delay)} after the end of its data")
        if recall is not None:
            chance = typical([run.chance for run in runs])
            beside = "" if chance is None else f" (chance: {percent(chance)})"
            parts.append(f"predicted {percent(recall)} of its test window's triples{beside}")
        if parts:
            *most, last = parts
            text = f"{', '.join(most)} and {last}" if most else last
            said.append(Finding("neutral", f"A {name} {text}: medians of the last {len(runs)}."))
    return (*said, *_dearer(found), *cadences.findings(cadences.replayed(found.replays)), *_cadence(found))


def _dearer(found: Dimensions) -> list[Finding]:
    cost = {name: typical([run.cpu_seconds for run in runs]) for name, runs in found.kinds.items()}
    slow, fast = cost.get("fine-tune"), cost.get("RAG refresh")
    if not slow or not fast:
        return []
    return [Finding("neutral", f"A fine-tune cost {slow / fast:.1f} times as many CPU-seconds as a RAG refresh.")]


def _cadence(found: Dimensions) -> list[Finding]:
    if not found.days:
        return []
    acted = [day for day in found.days if day.action != "none"]
    measured = [day.measured for day in found.days if day.measured]
    triples = sum(day.triples for day in measured)
    lost = sum(day.fresh - day.stale for day in measured)
    text = f"The cadence acted on {len(acted)} of {len(found.days)} days."
    if triples:
        text += (
            f" On those that were measured, counts of the day before would have hit {percent(lost / triples)} more of "
            f"{count(triples)} triples than the served table's."
        )
    return [Finding("neutral", text)]


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
