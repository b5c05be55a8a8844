"""python -m bench.inference_engines ENGINE FOLDER: a folder's prompts (`bench.inference`) through one engine, in this process."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.inference_prompts import BATCH, MODEL, WARM_UP, Prompts, answer, read
from bench.spent import report
from driftline.engines import child, weights
from driftline.engines.shared_prefix import Prefix
from driftline.engines.tokens import Segments
from driftline.engines.trie import Trie
from driftline.engines.trie_engine import TrieEngine, TrieRow

SCORES = 16
"""Log-probabilities that are kept of each pair."""
BATCH_TOKENS = 1 << 14
"""Of `generate`: it copies a long prompt to every row."""


class Thorough(TrieEngine):
    """Checks every answer to its end token, as if free decoding wrote all of them: what a fine-tuned model costs."""

    def _finished(self, row: TrieRow, greedy: list[int], chosen: int) -> bool:
        return bool(super()._finished(row, row.forced if row.at_end else [*row.forced, chosen], chosen))


class Unchecked(TrieEngine):
    """Checks nothing: an answer is done as soon as no choice is left, because no description has the token 0."""

    def _finished(self, row: TrieRow, greedy: list[int], chosen: int) -> bool:
        return bool(super()._finished(row, [0] * len(greedy), chosen))


ENGINES = {"trie": Thorough, "trie-early": TrieEngine, "trie-unchecked": Unchecked}


def main() -> None:
    engine, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(child.threads())
    model, tokenizer = weights.load_causal_lm(MODEL)
    prompts, labels = read(folder)
    work: Callable[[Prompts], dict[str, Any]]
    if engine == "generate":
        work = Generate(model.eval(), tokenizer, labels, constrained=True)
    elif engine == "generate-free":
        work = Generate(model.eval(), tokenizer, labels, constrained=False)
    else:
        kept = SCORES if engine == "scored" else 0
        made = ENGINES.get(engine, Thorough)(model, tokenizer, prompts[0]["shared"], labels, BATCH, scores=kept)
        work = Stages(made) if engine == "stages" else Ours(made)
    work(prompts[:WARM_UP])
    report(lambda: work(prompts), json.dumps)


class Ours:
    """c_next of every prompt, and how many tokens the model was fed."""

    def __init__(self, engine: TrieEngine) -> None:
        self.engine = engine

    def __call__(self, prompts: Prompts) -> dict[str, Any]:
        before, engine = self.engine.tokens, self.engine
        # Made once per run, with the engine; here its cost belongs to the pairs.
        engine._shared = engine._extend(Prefix(), engine._segments.start(prompts[0]["shared"]))
        return {"c_next": answer(engine, prompts), "tokens": engine.tokens - before}


class Stages(Ours):
    """Where the CPU-seconds go, and how many operations the layers cannot avoid on the tokens they were fed."""

    def __init__(self, engine: TrieEngine) -> None:
        super().__init__(engine)
        self.spent: Counter[str] = Counter()
        self.forward = engine._model.forward
        engine._model.forward = self._timed
        self.head = engine._model._model.get_output_embeddings().weight.numel()
        linear = [layer for layer in engine._model._model.modules() if isinstance(layer, torch.nn.Linear)]
        self.weights = sum(layer.weight.numel() for layer in linear) - self.head

    def __call__(self, prompts: Prompts) -> dict[str, Any]:
        self.spent.clear()
        began = time.process_time()
        super().__call__(prompts)
        return {**self.spent, "all": time.process_time() - began, "matmul": _matmul()}

    def _timed(self, rows: Any, busy: list[int], feed: list[list[int]], scores: list[int]) -> Any:
        stage = "prefixes" if rows.count == 1 else "answers" if any(rows.lengths) else "prompts"
        began = time.process_time()
        logits = self.forward(rows, busy, feed, scores)
        spent = time.process_time() - began
        flops = 2 * self.weights * sum(map(len, feed)) + 2 * self.head * sum(scores)
        self.spent.update({stage: spent, "model": spent, "flops": flops})
        return logits


def _matmul() -> float:
    """Operations per CPU-second of a product as large as the largest of a layer."""
    one, other = torch.randn(1408, 576), torch.randn(576, 1536)
    one @ other
    began = time.process_time()
    for _ in range(20):
        one @ other
    return 20 * 2 * 1408 * 576 * 1536 / (time.process_time() - began)


class Generate:
    """The same by `generate(prefix_allowed_tokens_fn=…)`: whole prompts, padded on the left, as many at a time as fit.

    Not constrained it writes what comes, which a comparison with the answer needs: it gives no answers then.
    """

    def __init__(self, model: Any, tokenizer: Any, labels: list[str], constrained: bool) -> None:
        self.constrained = constrained
        self.model, self.segments = model, Segments(tokenizer)
        self.labels: list[list[int]] = [self.segments.label(label) for label in labels]
        self.trie = Trie(self.labels)
        self.end = tokenizer.eos_token_id

    def __call__(self, prompts: Prompts) -> dict[str, Any]:
        found: list[int] = []
        step = max(1, min(BATCH, BATCH_TOKENS // len(self._tokens(prompts[0]))))
        for begin in range(0, len(prompts), step):
            found += self._batch(prompts[begin : begin + step])
        if not self.constrained:
            return {}
        # The end token is written, but never fed.
        fed = [self._tokens(prompt) + self.labels[c][:-1] for prompt, c in zip(prompts, found, strict=True)]
        distinct = {hash(tuple(row[: end + 1])) for row in fed for end in range(len(row))}
        return {"c_next": found, "tokens": sum(map(len, fed)), "distinct": len(distinct)}

    def _batch(self, prompts: Prompts) -> list[int]:
        rows = [self._tokens(prompt) for prompt in prompts]
        width = max(map(len, rows))

        def allowed(number: int, tokens: torch.Tensor) -> list[int]:
            node = self.trie.root
            for token in tokens[width:].tolist():
                if node.cluster is not None:
                    break
                node = node.children[token]
            return self.trie.allowed(node, prompts[number]["c1"], prompts[number]["c2"]) or [self.end]

        with torch.inference_mode():
            written = self.model.generate(
                torch.tensor([[0] * (width - len(row)) + row for row in rows]),
                attention_mask=torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
                prefix_allowed_tokens_fn=allowed if self.constrained else None,
                do_sample=False,
                max_new_tokens=max(map(len, self.labels)),
                pad_token_id=self.end,
            )
        return [self._cluster(tokens) for tokens in written[:, width:].tolist()] if self.constrained else []

    def _cluster(self, tokens: list[int]) -> int:
        node = self.trie.root
        for token in tokens:
            node = node.children[token]
            if node.cluster is not None:
                return int(node.cluster)
        raise RuntimeError("generate has not written a description")

    def _tokens(self, prompt: dict[str, Any]) -> list[int]:
        return [*self.segments.start(prompt["shared"]), *self.segments.of(prompt["first"]), *self.segments.of(prompt["rest"])]


if __name__ == "__main__":
    main()
