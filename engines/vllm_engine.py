"""Bulk inference with vLLM, offline and in this process: one process per GPU.

The prompts of a block go in sorted, as token ids, and vLLM's prefix cache keeps what they share. All have the same sampling
parameters: a logits processor (`engines.vllm_trie`) keeps every answer inside the trie, where vLLM's own `choice` would compile a
grammar for every pair. It sees the logits before it changes them. So one pass gives the constrained answer and tells whether free
greedy decoding writes the same (design §3.7), and only where free decoding leaves the trie is anything constrained at all.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

# vLLM reads them when it is imported. The processor shares this process's memory, and has the interface of the V1 runner.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
os.environ["VLLM_LOGGING_STREAM"] = "ext://sys.stderr"  # stdout is for progress
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

import torch
from transformers import PreTrainedTokenizerBase
from vllm import LLM, SamplingParams
from vllm.config.lora import MaxLoRARanks
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind

from driftline.contracts import BadInput, Sampling
from driftline.engines import weights
from driftline.engines.engine import Answer, Block
from driftline.engines.tokens import Segments
from driftline.engines.trie import Node, Trie
from driftline.engines.vllm_trie import TrieRows, VllmRow

RANKS = sorted(get_args(MaxLoRARanks))
CPU = {
    "enforce_eager": True,
    "block_size": 32,  # the shortest its attention can do; a shared prefix is cached in whole blocks
    "kv_cache_memory_bytes": 1 << 30,  # VLLM_CPU_KVCACHE_SPACE (GiB) changes it. vLLM would take nearly all there is
}


class VllmEngine:
    """Answers blocks with a causal LM that vLLM knows.

    Args:
        model: folder or hub name.
        adapter: folder of a peft adapter; vLLM computes it beside the model, not merged.
        shared: the segment that all prompts begin with.
        labels: what the model has to write for each cluster (`interests.prompts.completion`); position = cluster id.
        batch_size: pairs that are decoded together.
        sampling: draw the answers; None: take the likeliest token at every fork.
        dtype: what the model computes with.

    Raises:
        BadInput: the descriptions are not prefix-free in this tokenizer, or the adapter's rank is more than vLLM can do.
    """

    def __init__(
        self,
        model: Path | str,
        tokenizer: PreTrainedTokenizerBase,
        adapter: str | None,
        shared: str,
        labels: Sequence[str],
        batch_size: int,
        sampling: Sampling | None = None,
        dtype: str = "float32",
    ) -> None:
        self._tokenizer = tokenizer
        self._segments = Segments(tokenizer)
        self._segments.learn(labels)
        tokens = [self._segments.label(label) for label in labels]
        self._trie = Trie(tokens)
        self._answers = TrieRows(self._trie, sampling)
        self._shared = self._segments.start(shared)
        self._params = SamplingParams(
            temperature=0,
            max_tokens=max(map(len, tokens)),
            stop_token_ids=[tokenizer.eos_token_id],
            ignore_eos=True,  # a model may name more end tokens than its tokenizer
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self.tokens = 0
        self._adapter = None
        options = {}
        if adapter is not None:
            # A name of its own for each version: vLLM and its prefix cache know an adapter by its name.
            version = weights.adapter_hash(Path(adapter))
            self._adapter = LoRARequest(version, int(version[:7], 16) + 1, adapter)
            options = {"enable_lora": True, "max_lora_rank": _max_rank(Path(adapter))}
        self._llm = LLM(
            model=str(model),
            skip_tokenizer_init=True,
            dtype=dtype,
            enable_prefix_caching=True,
            async_scheduling=False,  # the processor needs the token before
            max_num_seqs=batch_size,
            max_model_len=-1,  # as long as fits
            logits_processors=[self._answers.processor()],
            **options,
            **({} if torch.cuda.is_available() else CPU),
        )

    def answer(self, block: Block) -> Iterator[Answer]:
        """One answer per pair, in the order in which they finish."""
        self._segments.learn(block.rest)
        begin = [*self._shared, *self._segments.of(block.first)]
        prompts = [(*begin, *self._segments.of(rest)) for rest in block.rest]
        rows = {prompt: VllmRow(block.c1, c2, self._trie.root) for prompt, c2 in sorted(zip(prompts, block.c2, strict=True))}
        if len(rows) < len(prompts):
            raise BadInput(f"two prompts of c1 = {block.c1} are the same: render them with both interests")
        self._answers.asked = rows
        asked = self._llm.enqueue(
            [{"prompt_token_ids": list(prompt)} for prompt in rows], self._params, lora_request=self._adapter, use_tqdm=False
        )
        engine = self._llm.llm_engine
        try:
            while engine.has_unfinished_requests():
                for output in engine.step():
                    prompt, written = output.prompt_token_ids, list(output.outputs[0].token_ids)
                    self.tokens += len(prompt) - output.num_cached_tokens + len(written) - 1
                    yield self._answer(rows[tuple(prompt)], written)
        finally:
            engine.abort_request(asked, internal=True)

    def _answer(self, row: VllmRow, written: list[int]) -> Answer:
        node: Node | None = self._trie.root
        for token in written:
            node = node.children.get(token) if node else None
        if node is None or node.cluster is None or node.cluster in (row.c1, row.c2):
            text = self._tokenizer.decode(written)
            raise RuntimeError(f"vLLM answered ({row.c1}, {row.c2}) with {text!r}, which is no novel description")
        left = next((i for i, (token, free) in enumerate(zip(written, row.greedy, strict=True)) if token != free), None)
        free = None if left is None else self._tokenizer.decode(row.greedy[: left + 1])
        return Answer(row.c2, node.cluster, free)


def _max_rank(adapter: Path) -> int:
    rank = json.loads((adapter / "adapter_config.json").read_text())["r"]
    if rank > RANKS[-1]:
        raise BadInput(f'training.rank {rank} is more than vLLM can do ({RANKS[-1]}): set generation.engine = "trie"')
    return min(able for able in RANKS if able >= rank)
