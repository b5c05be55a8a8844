"""Tiny models of many families, with weights large enough for every fault to show."""

from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
MOE = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MLA = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "head_dim": 4,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "n_group": 2,
    "topk_group": 1,
}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8}
GEMMA = {"query_pre_attn_scalar": 8}

RIGHT: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": {**MOE, "decoder_sparse_step": 1},
    "qwen2_moe": {**MOE, "shared_expert_intermediate_size": 32},
    "mixtral": MOE,
    "gemma": {},
    "gemma3_text, wide window": {**GEMMA, "sliding_window": 100},
    "mistral, wide window": {"sliding_window": 100},
    "gpt2": GPT,
    "ctrl": {**GPT, "dff": 64},
    "gpt_neox": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {},
    "phimoe": MOE,
    "olmo": {},
    "olmo2": {},
    "olmoe": MOE,
    "smollm3": {"no_rope_layer_interval": 2},
    "cohere": {},
    "cohere2, wide window": {"sliding_window": 100},
    "starcoder2": {"sliding_window": None},
    "deepseek_v2": MLA,
    "deepseek_v3": MLA,
    "granite": {},
    "granitemoe": MOE,
    "granitemoehybrid, attention": {**MOE, **MAMBA, "layer_types": ["attention", "attention"], "shared_intermediate_size": 32},
    "glm": {},
    "glm4": {},
    "llama4_text, wide chunks": {**MOE, "attention_chunk_size": 100, "intermediate_size_mlp": 64},
    "ernie4_5": {},
    "persimmon": {},
    "helium": {},
    "apertus": {},
    "minimax_m2": MOE,
}
OTHER = "other logits"
WINDOW = "it sees 8 tokens"
CAPPED = "caps the scores of its attention, or has sinks"
FIXED = "cannot be exchanged"
UNSUITED: dict[str, tuple[str, str]] = {
    "gemma2": ("both", CAPPED),
    "vaultgemma": ("both", CAPPED),
    "gpt_oss": ("both", CAPPED),
    "gemma3_text": ("both", WINDOW),
    "mistral": ("both", WINDOW),
    "cohere2": ("both", WINDOW),
    "olmo3": ("both", WINDOW),
    "exaone4": ("both", WINDOW),
    "recurrent_gemma": ("both", WINDOW),
    "recurrent_gemma, wide window": ("both", OTHER),
    "llama4_text": ("both", OTHER),
    "lfm2": ("both", OTHER),
    "lfm2_moe": ("both", OTHER),
    "granitemoehybrid": ("both", OTHER),
    "minimax": ("both", OTHER),
    "doge": ("both", OTHER),
    "bert": ("both", OTHER),
    "diffllama": ("inference", OTHER),
    "nemotron": ("both", "does not hand on"),
    "qwen3_next": ("both", FIXED),
    "mamba2": ("both", FIXED),
    "jamba": ("both", FIXED),
    "falcon": ("both", FIXED),
    "falcon, alibi": ("both", FIXED),
    "bloom": ("both", FIXED),
    "mpt": ("both", FIXED),
    "gptj": ("both", FIXED),
    "stablelm": ("both", FIXED),
}
_CONFIGS: dict[str, dict[str, Any]] = {
    "gemma2": GEMMA,
    "vaultgemma": GEMMA,
    "gpt_oss": MOE,
    "gemma3_text": {**GEMMA, "sliding_window": 8},
    "mistral": {"sliding_window": 8},
    "cohere2": {"sliding_window": 8},
    "olmo3": {"sliding_window": 8},
    "exaone4": {"sliding_window": 8},
    "recurrent_gemma": {"num_hidden_layers": 3, "attention_window_size": 8, "lru_width": 32},
    "recurrent_gemma, wide window": {"num_hidden_layers": 3, "attention_window_size": 100, "lru_width": 32},
    "llama4_text": {**MOE, "attention_chunk_size": 8, "intermediate_size_mlp": 64},
    "lfm2": {"full_attn_idxs": [1]},
    "lfm2_moe": {**MOE, "layer_types": ["conv", "full_attention"]},
    "granitemoehybrid": {**MOE, **MAMBA, "layer_types": ["mamba", "attention"], "shared_intermediate_size": 32},
    "minimax": {**MOE, "layer_types": ["linear_attention", "full_attention"], "block_size": 8},
    "qwen3_next": {
        **MOE,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "shared_expert_intermediate_size": 32,
    },
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "jamba": {**MOE, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 4},
    "falcon, alibi": {"alibi": True},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 256},
    "gptj": {**GPT, "rotary_dim": 8},
    **RIGHT,
}
DERIVED = ("recurrent_gemma", "mamba2", "falcon")
"""They have a `head_dim` of their own."""


def make(name: str, **changes: Any) -> Any:
    """A random model: `name` is that of its family in transformers and, after a comma, what is special about it."""
    family = name.split(",")[0]
    sizes = {size: value for size, value in SIZES.items() if family not in DERIVED or size != "head_dim"}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**{**sizes, **_CONFIGS.get(name, {}), **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    return model.eval()
