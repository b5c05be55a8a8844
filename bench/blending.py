"""Does the blend earn its place? Recall of blend, counting model, pair frequency, LLM and popularity on days that chose nothing.

python -m bench.blending [--per-pair 2] [--clusters 24] [--steps 60] [--at DATE] [--events FILE --items FILE [--source K=V …]]
    [--learn whole] [--prompts-per-interest 5] [--draw 1]

One log (the demo's, or files), one cluster set, one fine-tune. The counts of the training and the validation window are thinned
to so many triples a pair, by chance: that is what the LLM learns from, what the counts know, and what fits strengths and weights.
With `--fit whole` the whole validation window fits them: where pairs are rare because interests are many, it has many triples.
With `--learn whole` the LLM learns from all that was counted, as if from frequent pairs for rare ones; the counts stay thin.
The test window is whole and is read last. `--per-pair 0` thins nothing. What `--keep` has is only read, so that an interrupted
run goes on; `--llm KEY` takes the LLM's answers of another run of the same clusters, so that other thinnings cost seconds, and
`--llm none` compares what needs no LLM.
"""

import dataclasses
import hashlib
import json
import os
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.recipe import child, interests
from driftline.commands.demo import FINE_TUNE_AT
from driftline.contracts import Clusters, GenerateJob, Generation, Samples, Sequences, Source, Training, TrainJob, Window, Windows
from driftline.interests import blend, metrics, prompts, windows
from driftline.interests.counting_model import answers, counting_model, shrunk_strengths
from driftline.interests.curation import Curation
from driftline.interests.mapping import answers_of
from driftline.interests.metrics.estimates import Estimate, ratio
from driftline.interests.pairs import pair_number
from driftline.interests.scores import Scores
from driftline.settings import Settings
from driftline.sources.counting import count_triples
from driftline.sources.demo import write_demo
from driftline.sources.sequences import read_sequences

SEED = 0
BLEND, COUNTED = "blend", "counting model"


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.blending", description=__doc__)
    parser.add_argument("--at", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC), default=FINE_TUNE_AT)
    log_arguments(parser)
    blend_arguments(parser)
    compare(Experiment, parser.parse_args())


def compare(of: type["Experiment"], asked: Namespace) -> None:
    """Runs an experiment in the folder that it keeps, and prints its table and the fitted weights."""
    keep = asked.keep.absolute()
    keep.mkdir(parents=True, exist_ok=True)
    os.environ["DRIFTLINE_HOME"] = str(keep)
    found = of(asked, keep).result()
    Console(width=130).print(table(found))
    print(json.dumps(found["weights"]))


def blend_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments for how much is known, and by whom."""
    parser.add_argument("--per-pair", type=float, default=2.0, help="triples of the training window; 0: all")
    parser.add_argument("--draw", type=int, default=0, help="of the triples that stay")
    parser.add_argument("--steps", type=int, default=60, help="of the fine-tune")
    parser.add_argument("--learn", choices=("thinned", "whole"), default="thinned", help="counts that the LLM learns from")
    parser.add_argument("--prompts-per-interest", type=int, default=5, help="samples of the fine-tune")
    parser.add_argument("--fit", choices=("thinned", "whole"), default="thinned", help="validation window that fits the weights")
    parser.add_argument("--llm", default="", metavar="KEY", help="the answers of that run's LLM")


def log_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments for a log, its interests and windows, and where what is made of them stays."""
    parser.add_argument("--clusters", type=int, default=24)
    parser.add_argument("--days", type=int, nargs=3, default=(90, 28, 14), help="learned from, test, validation")
    parser.add_argument("--events", default="")
    parser.add_argument("--items", default="")
    parser.add_argument("--source", nargs="*", default=[], metavar="K=V", help="more settings of the log")
    parser.add_argument("--keep", type=Path, default=Path(".driftline/bench-blending"))


class Experiment:
    """`key` names what was asked and the folder of what the children read and write."""

    def __init__(self, asked: Namespace, keep: Path) -> None:
        self.keep, self.asked = keep, asked
        source = Source(asked.events, asked.items, **dict(pair.split("=", 1) for pair in asked.source))
        self.settings = Settings(
            source=source if asked.events else write_demo(keep / "demo"),
            sequences=Sequences(dedup="adjacent"),
            clusters=Clusters(fan_out=(asked.clusters,)),
            training=Training(steps=asked.steps, seed=SEED),
            samples=Samples(prompts_per_interest=asked.prompts_per_interest, validation_size=64),
            generation=Generation(scores=16),
            home=keep,
        )
        chosen = self.settings.model_dump(mode="json", include={"source", "sequences", "clusters", "training", "samples"})
        named = [
            chosen,
            asked.per_pair,
            f"{asked.at}",
            list(asked.days),
            asked.llm,
            *([asked.fit] if asked.fit == "whole" else []),
            *(["learn whole"] if asked.learn == "whole" else []),
            *([f"draw {asked.draw}"] if asked.draw else []),
            *self.also(),
        ]
        self.key = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:12]
        self.work = keep / self.key
        self.work.mkdir(exist_ok=True)
        self.descriptions = self.read()
        days, test, validation = asked.days
        self.windows = windows.split(asked.at, Windows(days, test, validation))

    def also(self) -> list[Any]:
        """What else `key` depends on."""
        return []

    def read(self) -> list[str]:
        """The descriptions, by cluster, of the log's own interests."""
        log = self.keep / f"log-{hashlib.sha256(json.dumps(dataclasses.asdict(self.settings.source)).encode()).hexdigest()[:12]}"
        log.mkdir(exist_ok=True)
        self.assignment, descriptions = interests(log, self.settings)
        return descriptions

    def result(self) -> dict[str, Any]:
        done = self.work / "result.json"
        if not done.exists():
            done.write_text(json.dumps(self._measure(), indent=1) + "\n")
        found: dict[str, Any] = json.loads(done.read_text())
        return found

    def _measure(self) -> dict[str, Any]:
        n = len(self.descriptions)
        assert self.windows.validation
        whole = [self.count(window) for window in (self.windows.train, self.windows.validation)]
        share = min(1.0, self.asked.per_pair * n * (n - 1) / triples_in(whole[0])) if self.asked.per_pair else 1.0
        known, validation = (thinned(counts, share, SEED + 100 * self.asked.draw + i) for i, counts in enumerate(whole))
        counts = added(known, validation)
        fits = whole[1] if self.asked.fit == "whole" else validation
        strengths = shrunk_strengths(known, fits, n)
        model = counting_model(counts, n, strengths)
        arms = {
            COUNTED: answers(model.log_p, n),
            "pair frequency": metrics.most_frequent(counts, n),
            "popular": metrics.most_popular(counts, n),
        }
        about: dict[str, Any] = {"weights": {"strength": strengths.pair, "single": strengths.single}}
        if self.asked.llm != "none":
            mapping = self._llm(*(whole if self.asked.learn == "whole" else (known, validation)))
            scores = Scores.of(pq.read_table(mapping / "scores.parquet"), n).smoothed()
            weights = blend.shrunk_fit(counting_model(known, n, strengths), scores, fits)
            alone = pq.read_table(mapping / "mapping.parquet")
            arms = {BLEND: answers(blend.Blend(model, scores, weights).log_p, n), **arms, "LLM": alone}
            fitted = ("llm", "popularity", "backoff", "strength")
            about = {
                "exact": float(np.mean(alone["exact"].to_numpy())),
                "greedy is likeliest": float(np.equal(scores.answer[:, 0], answers_of(alone, n)).mean()),
                "weights": {name: dataclasses.asdict(getattr(weights, name)) for name in fitted}
                | {"llm used": weights.llm_used, "llm alone": weights.llm_alone},
            }
        first, test = next(iter(arms)), self.occurrences(self.windows.test)
        return about | {
            "key": self.key,
            "clusters": n,
            "known": triples_in(known),
            "per pair": round(triples_in(known) / (n * (n - 1)), 2),
            "fitted on": triples_in(fits),
            "test": len(test["pair"]),
            "first": first,
            "recall": {name: dataclasses.asdict(self.recall(test, {name: found})) for name, found in arms.items()},
            "less": {
                name: dataclasses.asdict(self.recall(test, {first: arms[first], name: found}))
                for name, found in arms.items()
                if name != first
            },
        }

    def count(self, window: Window) -> pa.Table:
        return count_triples(self.settings.source, self.settings.sequences, window, self.assignment).table

    def _llm(self, known: pa.Table, validation: pa.Table) -> Path:
        """The folder of the mapping of an LLM that has learned from what is known."""
        work = self.keep / self.asked.llm if self.asked.llm else self.work
        if (work / "mapping").exists():
            return work / "mapping"
        of = Curation(known, self.descriptions, self.settings.samples, self.settings.retrieval)
        pq.write_table(of.rendered(of.curate(known)), work / "samples.parquet")
        (work / "validation").mkdir(exist_ok=True)
        for name, held_out in of.validation(validation).items():
            pq.write_table(held_out, work / "validation" / f"{name}.parquet")
        (work / "prompts").mkdir(exist_ok=True)
        pq.write_table(prompts.prompts_table(self.descriptions, None), work / "prompts" / "prompts.parquet")
        labels = {"cluster": pa.array(np.arange(len(self.descriptions), dtype=np.int32)), "description": self.descriptions}
        pq.write_table(pa.table(labels), work / "prompts" / "labels.parquet")
        train = TrainJob(
            samples=str(work / "samples.parquet"),
            training=self.settings.training,
            work=str(work / "train"),
            out=str(work / "adapter"),
            validation=str(work / "validation"),
        )
        child("driftline.engines.train", train, work)
        generate = GenerateJob(
            prompts=str(work / "prompts"),
            base_model=self.settings.training.base_model,
            generation=self.settings.generation,
            work=str(work / "generate"),
            out=str(work / "mapping"),
            adapter=str(work / "adapter"),
        )
        child("driftline.engines.generate", generate, work)
        return work / "mapping"

    def occurrences(self, window: Window) -> dict[str, Any]:
        """Every triple of the window: its pair's number, what came next, and whose it is."""
        steps = read_sequences(self.settings.source, self.settings.sequences, window, self.assignment)
        user = steps["user"].combine_chunks().dictionary_encode().indices.to_numpy()
        cluster = steps["cluster"].to_numpy().astype(np.int64)
        c1, c2, c_next = cluster[:-2], cluster[1:-1], cluster[2:]
        kept = (user[:-2] == user[2:]) & (c1 != c_next) & (c1 != c2) & (c2 != c_next)
        pair = pair_number(c1[kept], c2[kept], len(self.descriptions))
        return {"pair": pair, "c_next": c_next[kept], "user": user[2:][kept]}

    def recall(self, test: dict[str, Any], arms: dict[str, pa.Table]) -> Estimate:
        """Of one arm, or of the first minus the second; the interval is over users."""
        hits = [answers_of(found, len(self.descriptions))[test["pair"]] == test["c_next"] for found in arms.values()]
        won = hits[0].astype(float) - (hits[1] if len(hits) > 1 else 0)
        users = int(test["user"].max()) + 1
        return ratio(np.bincount(test["user"], won, users), np.bincount(test["user"], minlength=users))


def thinned(counts: pa.Table, share: float, seed: int) -> pa.Table:
    """Each occurrence is kept with this probability."""
    n = np.random.default_rng(seed).binomial(counts["n"].to_numpy(), share)
    return counts.set_column(counts.column_names.index("n"), "n", pa.array(n)).filter(pa.array(n > 0))


def added(*of: pa.Table) -> pa.Table:
    """The counts of all windows together."""
    names = ["c1", "c2", "c_next"]
    summed = pa.concat_tables(of).group_by(names).aggregate([("n", "sum")]).rename_columns([*names, "n"])
    return summed.sort_by([(name, "ascending") for name in names])


def table(found: dict[str, Any]) -> Table:
    title = f"{found['key']}: {found['clusters']} interests, {found['per pair']} triples per pair, test {found['test']:,} triples"
    drawn = Table(title=title, title_justify="left")
    for name in ("arm", "recall", "95 % interval", f"{found['first']} − arm", "95 % interval"):
        drawn.add_column(name, justify="left" if name == "arm" else "right")
    for name, recall in found["recall"].items():
        less = found["less"].get(name)
        drawn.add_row(name, *_shown(recall, "{:.2%}"), *(_shown(less, "{:+.2%}") if less else ("", "")))
    return drawn


def _shown(estimate: dict[str, float], form: str) -> tuple[str, str]:
    return form.format(estimate["value"]), " to ".join(form.format(estimate[end]) for end in ("low", "high"))


def triples_in(counts: pa.Table) -> int:
    return int(counts["n"].to_numpy().sum())


if __name__ == "__main__":
    main()
