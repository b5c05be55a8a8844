"""python -m bench [name …] [--small]: all benchmarks, or those named, one after the other.

Each is a module of this folder with `rows(small)`, PACKAGES whose versions matter, and NOTE, which a reader of the rows has to
know. Full runs are kept in `bench/results.json`, one set for each kind of machine, and written up in `docs/performance.md`; a
small one shows that everything runs, and is kept nowhere.
"""

import importlib
import importlib.util
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.machine import kind, machine
from bench.rows import HEADINGS, cells, show

BENCHES = (
    "counting",
    "inference",
    "training",
    "precision",
    "knobs",
    "publish",
    "serving",
    "clustering",
    "web",
    "commands",
    "cadence",
    "sequence",
)
RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"

HEAD = """# Performance

Each heavy step beside what people would use instead, by `make bench`, or `make bench-counting` and so on for one. Ours and the
peers run in turn; a figure is the best of its rounds. Other programs on the machine disturb CPU-seconds least. A ratio is ours
/ peer, or peer / ours where the goal is how many times better (≥) and in the rows beside. This page is made by `python -m
bench`; do not edit it.
"""


def main() -> None:
    known = [name for name in BENCHES if importlib.util.find_spec(f"bench.{name}")]
    parser = ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(known)}; without one, all")
    parser.add_argument("--small", action="store_true", help="a fraction of the work; nothing is kept")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(known):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))} (there are: {', '.join(known)})")
    kept: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for name in asked.names or known:
        module = importlib.import_module(f"bench.{name}")
        rows = module.rows(asked.small)
        show(rows, Console())
        if not asked.small:
            where = machine(module.PACKAGES)
            kept = [row for row in kept if row["bench"] != name or row.get("kind") not in (None, kind())]
            kept += [{**row, "machine": where, "kind": kind()} for row in rows]
            kept.sort(key=lambda row: BENCHES.index(row["bench"]))
            RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
            PAGE.write_text(page(kept))


def page(kept: list[dict[str, Any]]) -> str:
    """docs/performance.md."""
    parts = [HEAD]
    for title in dict.fromkeys(row["bench"] for row in kept):
        note = importlib.import_module(f"bench.{title}").NOTE
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n{note.strip()}\n")
        all_of = [row for row in kept if row["bench"] == title]
        for where in dict.fromkeys(row["machine"] for row in all_of):
            rows = [row for row in all_of if row["machine"] == where]
            table = [HEADINGS, ("---",) * len(HEADINGS), *(cells(row) for row in rows)]  # type: ignore[arg-type]
            lines = "\n".join(f"| {' | '.join(line)} |" for line in table)
            parts.append(f"{goals(rows)}{lines}\n\nMeasured on {where}.\n")
    return "\n".join(parts)


def goals(rows: list[dict[str, Any]]) -> str:
    """How many goals are met, and which measures miss theirs."""
    judged = [row for row in rows if row["met"] is not None]
    missed = [row["metric"] for row in judged if not row["met"]]
    if not judged:
        return ""
    if not missed:
        return f"All {len(judged)} goals are met.\n\n"
    return f"{len(judged) - len(missed)} of {len(judged)} goals are met. **Missed:** {'; '.join(dict.fromkeys(missed))}.\n\n"


if __name__ == "__main__":
    main()
