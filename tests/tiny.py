"""A language model small enough for tests: a random two-layer Llama and a byte-level tokenizer that reads any text."""

from pathlib import Path

VOCABULARY = 320
WORDS = "Interest Interest Name the next new interest Next milk bread cheese fresh frozen soft drinks snacks : , 1 2 3 4"


def make_tiny_llm(path: Path, seed: int = 0, words: str = WORDS, vocabulary: int = VOCABULARY, head: int = 8) -> Path:
    """Saves model and tokenizer under `path` in the format of `from_pretrained`; the same bits for the same seed.

    Args:
        words: text that the tokenizer learns its merges from.
        vocabulary: tokens; with enough of them each of `words` is one token.
        head: numbers of an attention head.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([words] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head,
        max_position_embeddings=1024,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
