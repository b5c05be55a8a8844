"""python -m bench.inference_vllm ENGINE FOLDER: the prompts of a folder (`bench.inference`) through vLLM, in this process.

`choice`: vLLM's own way to choose from a list. Every pair has its own list, without its two clusters: the same task as ours.
`vllm`: our engine on vLLM.

Both get the same tokens, the prefix cache in short blocks, and float32, with which answers can be compared. It runs in vLLM's own
environment, which `make test-vllm` makes.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.inference_prompts import BATCH, MODEL, WARM_UP, Prompts, answer, read
from bench.spent import report
from driftline.engines import child, weights
from driftline.engines.tokens import Segments
from driftline.engines.vllm_engine import (  # type: ignore[attr-defined] # vLLM by way of it: it sets what vLLM reads on import
    CPU,
    LLM,
    SamplingParams,
    VllmEngine,
)

Work = Callable[[Prompts], dict[str, Any]]


def main() -> None:
    engine, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(child.threads())
    prompts, labels = read(folder)
    model, tokenizer = weights.base_model_path(MODEL), weights.load_tokenizer(MODEL)
    llm: Any
    work: Work
    if engine == "choice":
        options = {} if torch.cuda.is_available() else CPU
        llm = LLM(model=str(model), dtype="float32", max_model_len=-1, enable_prefix_caching=True, **options)
        work = choice(llm, tokenizer, labels)
    else:
        made = VllmEngine(model, tokenizer, None, prompts[0]["shared"], labels, BATCH)
        llm, work = made._llm, ours(made)
    work(prompts[:WARM_UP])
    llm.reset_prefix_cache()
    report(lambda: work(prompts), json.dumps)


def ours(engine: VllmEngine) -> Work:
    def work(prompts: Prompts) -> dict[str, Any]:
        before = engine.tokens
        return {"c_next": answer(engine, prompts), "tokens": engine.tokens - before}

    return work


def choice(llm: Any, tokenizer: Any, labels: list[str]) -> Work:
    from vllm.sampling_params import StructuredOutputsParams

    segments = Segments(tokenizer)
    longest = max(len(segments.label(label)) for label in labels)
    clusters = {label: cluster for cluster, label in enumerate(labels)}

    def params(c1: int, c2: int) -> Any:
        novel = [label for cluster, label in enumerate(labels) if cluster not in (c1, c2)]
        # The text may be written with other tokens than the tokenizer's own, and more of them.
        return SamplingParams(temperature=0, max_tokens=2 * longest, structured_outputs=StructuredOutputsParams(choice=novel))

    def work(prompts: Prompts) -> dict[str, Any]:
        tokens = [segments.start(row["shared"]) + segments.of(row["first"]) + segments.of(row["rest"]) for row in prompts]
        outputs = llm.generate(
            [{"prompt_token_ids": prompt} for prompt in tokens],
            [params(prompt["c1"], prompt["c2"]) for prompt in prompts],
            use_tqdm=False,
        )
        fed = sum(
            len(prompt) - output.num_cached_tokens + len(output.outputs[0].token_ids) - 1
            for prompt, output in zip(tokens, outputs, strict=True)
        )
        return {"c_next": [clusters.get(output.outputs[0].text, -1) for output in outputs], "tokens": fed}

    return work


if __name__ == "__main__":
    main()
