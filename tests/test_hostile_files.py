"""Files from strangers: each is refused in one line, and none of the code in them runs."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptrilogy.cli import main

HF_CONFIG = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 8, "n_embd": 8, "n_head": 2, "n_layer": 1}
SIZES = {"n_vocab": 257, "n_ctx": 8, "n_embd": 8, "n_head": 2, "n_layer": 1}


class Canary:
    """Unpickling it touches a file: the proof that code ran."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def hf_pickle(folder: Path, payload: bytes) -> Path:
    (folder / "config.json").write_text(json.dumps(HF_CONFIG))
    (folder / "pytorch_model.bin").write_bytes(payload)
    return folder


def hf_disguised(folder: Path, payload: bytes) -> Path:
    (folder / "config.json").write_text(json.dumps(HF_CONFIG))
    (folder / "model.safetensors").write_bytes(payload)
    return folder


def hf_own_code(folder: Path, payload: bytes) -> Path:
    """transformers would be asked to trust it; here there is nothing to ask."""
    canary = pickle.loads(payload) or folder.parent / "it-ran"
    canary.unlink(missing_ok=True)
    (folder / "evil.py").write_text(f"import pathlib; pathlib.Path({str(canary)!r}).touch()\n")
    code = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(HF_CONFIG | {"auto_map": code, "model_type": "evil"}))
    return folder


def torch_file(folder: Path, payload: bytes) -> Path:
    (folder / "model.pt").write_bytes(payload)
    return folder / "model.pt"


def numpy_objects(folder: Path, payload: bytes) -> Path:
    (folder / "params_shapes.json").write_text("[[8, 64], [257, 64]" + ", [64]" * 12 + "]")
    for part in range(10):
        np.save(folder / f"params_{part}.npy", np.zeros(1, "f4"))
    np.save(folder / "params_3.npy", np.array([pickle.loads(payload)], dtype=object), allow_pickle=True)
    whole = (folder / "params_3.npy").read_bytes()
    header = whole.index(b"\n") + 1
    (folder / "params_3.npy").write_bytes(whole[:header] + payload)
    return folder


def numpy_disguised(folder: Path, payload: bytes) -> Path:
    numpy_objects(folder, payload)
    (folder / "params_3.npy").write_bytes(payload)
    return folder


def tensorflow_disguised(folder: Path, payload: bytes) -> Path:
    (folder / "hparams.json").write_text(json.dumps(SIZES))
    (folder / "model.ckpt.index").write_bytes(payload)
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(payload)
    return folder


def tensorflow_elsewhere(folder: Path, payload: bytes) -> Path:
    tensorflow_disguised(folder, payload)
    (folder / "checkpoint").write_text('model_checkpoint_path: "../../x"\n')
    return folder


def gguf(folder: Path, payload: bytes) -> Path:
    (folder / "model.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * 16 + payload)
    return folder / "model.gguf"


def own_checkpoint(folder: Path, payload: bytes) -> Path:
    (folder / "manifest.json").write_bytes(payload)
    return folder


MODELS = [
    hf_pickle,
    hf_disguised,
    hf_own_code,
    torch_file,
    numpy_objects,
    numpy_disguised,
    tensorflow_disguised,
    tensorflow_elsewhere,
    gguf,
    own_checkpoint,
]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("verb", ["import", "generate", "export"])
def test_a_hostile_model_is_refused_in_one_line_and_runs_nothing(
    verb: str, make: Callable[[Path, bytes], Path], canary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "from").mkdir()
    payload = pickle.dumps(Canary(canary))
    source = make(tmp_path / "from", payload)
    canary.unlink(missing_ok=True)  # some of the makers had to unpickle it themselves
    before = sorted(path.name for path in tmp_path.rglob("*"))
    options = {
        "import": ["--out", str(tmp_path / "out")],
        "generate": ["--prompt", "x"],
        "export": ["--to", "hf", "--out", str(tmp_path / "out")],
    }
    with pytest.raises(SystemExit) as exit_info:
        main([verb, str(source), *options[verb]])
    said = capsys.readouterr().err
    assert exit_info.value.code == 1
    assert said.startswith("gpt: ")
    assert said.count("\n") == 1
    assert "bug" not in said
    assert str(source) in said
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


TOKENIZERS = {
    "reduce": '{"__reduce__": ["os.system", ["touch it-ran"]], "py/object": "os.system"}',
    "deep": "[" * 100_000,
    "digits": '{"format": "gptrilogy.tokenizer", "version": 1' + "0" * 5_000 + "}",
    "yaml": "!!python/object/apply:os.system ['touch it-ran']",
    "template": '{"version": "1.0", "model": {"type": "BPE"}, "chat_template": "{{ cycler.__init__.__globals__ }}"}',
}


@pytest.mark.parametrize("content", [*TOKENIZERS.values(), None], ids=[*TOKENIZERS, "pickle"])
def test_a_hostile_tokenizer_is_refused_in_one_line_and_runs_nothing(
    content: str | None,
    canary: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(Canary(canary)) if content is None else content.encode()
    (tmp_path / "tokenizer.json").write_bytes(data)
    with pytest.raises(SystemExit) as exit_info:
        main(["tokenizer", "encode", str(tmp_path)])
    said = capsys.readouterr().err
    assert exit_info.value.code == 1
    assert said.startswith("gpt: ")
    assert said.count("\n") == 1
    assert "bug" not in said
    assert "tokenizer.json" in said
    assert not canary.exists()
