"""Cases that gbstats 0.8.0 has answered: `python -m tests.interests.experiments.oracle` asks it again and writes `gbstats.json`.

gbstats wants an older NumPy, so it lives in `.venv-bench/gbstats`, which this makes.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from bench import environment
from driftline.interests.experiments.moments import Moments, moments_of

FIXTURE = Path(__file__).parent / "gbstats.json"
CHILD = Path(__file__).parent / "gbstats_child.py"
PACKAGE = "gbstats==0.8.0"
PLANNED = (5000.0, 400.0)


def cases(seed: int) -> list[dict[str, Any]]:
    """Means, ratios and adjusted means of arms of unlike sizes; and splits of users."""
    rng = np.random.default_rng(seed)
    made: list[dict[str, Any]] = []
    for kind in ("mean", "ratio", "cuped"):
        for n, effect in ((40, 0.0), (300, 0.2), (5000, -0.05)):
            arms = {name: jsonable(moments_of(users(rng, kind, size, lift))) for name, size, lift in _arms(n, effect)}
            made.append({"kind": kind, "planned": PLANNED[n > 100], **arms})
    splits = (([4980, 5020], [1, 1]), ([5200, 4800], [1, 1]), ([950, 95], [0.9, 0.1]), ([120, 70, 10], [1, 1, 1]))
    return made + [{"kind": "srm", "users": observed, "weights": weights} for observed, weights in splits]


def users(rng: np.random.Generator, kind: str, n: int, lift: float) -> np.ndarray:
    """[n, 4]: a heavy tail and many zeros, as clicks have."""
    taste = rng.gamma(0.7, 2.0, n)
    shown = 1.0 + rng.poisson(5 * taste + 1) if kind == "ratio" else np.ones(n)
    now = rng.poisson(taste * (1 + lift) * shown).astype(float)
    return np.stack([now, shown, rng.poisson(taste).astype(float), np.ones(n)], axis=-1)


def jsonable(moments: Moments) -> dict[str, Any]:
    return {"n": float(moments.n), "sums": moments.sums.tolist(), "products": moments.products.tolist()}


def moments(arm: dict[str, Any]) -> Moments:
    return Moments(*(np.asarray(arm[name], dtype=np.float64) for name in ("n", "sums", "products")))


def installed() -> str | None:
    """The interpreter that has gbstats, if it was made."""
    python = environment.HOME / "gbstats" / "bin" / "python"
    return str(python) if python.exists() else None


def ask(python: str, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = subprocess.run([python, "-P", str(CHILD)], input=json.dumps(asked), capture_output=True, text=True, check=True)
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def _arms(n: int, effect: float) -> tuple[tuple[str, int, float], ...]:
    return ("control", n, 0.0), ("treatment", n * 2 // 3, effect)


if __name__ == "__main__":
    asked = cases(0)
    answers = ask(environment.python("gbstats", PACKAGE), asked)
    pairs = [{"case": case, "answer": answer} for case, answer in zip(asked, answers, strict=True)]
    FIXTURE.write_text(json.dumps({"made_with": PACKAGE, "cases": pairs}, indent=1) + "\n")
