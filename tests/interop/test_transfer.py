"""Which format a folder holds, and models that go in or out whole or not at all."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import gptrilogy
from gptrilogy.checkpoints import manifest, verify_checkpoint
from gptrilogy.errors import FormatError, MissingExtraError
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.interop import transfer
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import BytesTokenizer, load_tokenizer

CONFIG = GPTConfig(n_vocab=257, n_ctx=24, n_embd=16, n_head=4, n_layer=2)


def speaker(seed: int = 0, config: GPTConfig = CONFIG) -> LanguageModel:
    return LanguageModel(GPT(config, torch.Generator().manual_seed(seed)), BytesTokenizer())


@pytest.fixture
def hf_folder(tmp_path: Path) -> Path:
    transfer.export_model(speaker(), "hf", tmp_path / "hf")
    return tmp_path / "hf"


def test_an_imported_model_is_a_checkpoint_that_talks_like_the_original(hf_folder: Path, tmp_path: Path) -> None:
    read = transfer.read_foreign(hf_folder)
    transfer.import_model(read, BytesTokenizer(), tmp_path / "in")
    verify_checkpoint(tmp_path / "in")
    assert manifest(tmp_path / "in")["imported_from"] == f"Hugging Face gpt2 {hf_folder}"
    answers = [
        model.generate("To be", max_tokens=20, temperature=0)
        for model in (speaker(), gptrilogy.load(tmp_path / "in"), gptrilogy.load(hf_folder))
    ]
    assert answers[0] == answers[1] == answers[2]


def test_a_round_trip_is_exact_to_the_bit(hf_folder: Path, tmp_path: Path) -> None:
    transfer.import_model(transfer.read_foreign(hf_folder), BytesTokenizer(), tmp_path / "in")
    transfer.export_model(gptrilogy.load(tmp_path / "in", device="cpu"), "hf", tmp_path / "again")
    assert (hf_folder / "model.safetensors").read_bytes() == (tmp_path / "again" / "model.safetensors").read_bytes()


def test_a_foreign_folder_without_a_tokenizer_says_how_to_give_it_one(hf_folder: Path) -> None:
    for name in ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"):
        (hf_folder / name).unlink()
    with pytest.raises(FormatError, match=r"came without a tokenizer: `gpt import .* --tokenizer gpt2 --out DIR`"):
        gptrilogy.load(hf_folder)


def test_a_tokenizer_of_another_size_is_refused(hf_folder: Path, tmp_path: Path) -> None:
    read = transfer.read_foreign(hf_folder)
    other = load_tokenizer(small_bpe(tmp_path / "other"))
    with pytest.raises(FormatError, match=r"has 257 tokens, its tokenizer byte_bpe-\d+ has"):
        transfer.import_model(read, other, tmp_path / "in")
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("to", list(transfer.FORMATS))
def test_a_failed_check_leaves_what_was_there(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / f"out.{to}"
    transfer.export_model(speaker(), to, out)
    before = [path.read_bytes() for path in sorted([out, *out.rglob("*")]) if path.is_file()]

    def fails(*_: object) -> list[str]:
        raise FormatError("logits differ")

    broken = transfer.Format(transfer.FORMATS[to].write, fails, is_folder=transfer.FORMATS[to].is_folder)
    monkeypatch.setitem(transfer.FORMATS, to, broken)
    with pytest.raises(FormatError, match="logits differ"):
        transfer.export_model(speaker(seed=1), to, out, check=True)
    assert [path.read_bytes() for path in sorted([out, *out.rglob("*")]) if path.is_file()] == before
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("to", ["hf", "gguf"])
def test_a_model_whose_attention_no_format_can_say_is_refused(to: str, tmp_path: Path) -> None:
    sparse = speaker(config=CONFIG.replace(attention="dense,banded", band_width=8))
    with pytest.raises(FormatError, match=r"can say that attention is dense, banded, .* only models whose layers are"):
        transfer.export_model(sparse, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_weights_of_a_trained_model_leave_as_they_are(tmp_path: Path) -> None:
    model = speaker()
    transfer.export_model(model, "hf", tmp_path / "out")
    saved = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(saved["transformer.wte.weight"], model.model.wte.weight)
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "does not exist; give a Hugging Face folder"),
        ("model.gguf", "GGUF is written here, not read"),
        ("model.pt", "is a pickle, which can run any code"),
        ("folder", "is no model that is read here; known: a Hugging Face folder"),
        ("notes.txt", "is no model that is read here"),
    ],
)
def test_what_is_no_model_is_refused_with_what_would_be_one(name: str, said: str, tmp_path: Path) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif name != "nothing":
        (tmp_path / name).write_bytes(b"\x80\x04c__main__\nx\n.")
    assert not transfer.is_foreign(tmp_path / name)
    with pytest.raises(FormatError) as caught:
        transfer.read_foreign(tmp_path / name)
    assert said in str(caught.value)


def test_a_damaged_config_is_named(hf_folder: Path) -> None:
    (hf_folder / "config.json").write_text("{")
    with pytest.raises(FormatError, match=r"config\.json: it is not a JSON file that can be read"):
        transfer.read_foreign(hf_folder)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gptrilogy\[export\]'"):
        transfer.export_model(speaker(), "gguf", tmp_path / "out.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_ours_is_not_taken_for_a_foreign_folder(hf_folder: Path, tmp_path: Path) -> None:
    transfer.import_model(transfer.read_foreign(hf_folder), BytesTokenizer(), tmp_path / "in")
    assert transfer.is_foreign(hf_folder)
    assert transfer.is_foreign("hf:someone/tiny")
    assert not transfer.is_foreign(tmp_path / "in")


def test_a_tensor_that_does_not_fit_leaves_no_import_behind(hf_folder: Path, tmp_path: Path) -> None:
    path = hf_folder / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"transformer.wpe.weight": torch.zeros(23, 16)}, path)
    with pytest.raises(
        FormatError, match=r"transformer\.wpe\.weight has shape \(23, 16\), its config asks for \(24, 16\)"
    ):
        transfer.read_foreign(hf_folder)
    assert not (tmp_path / "in").exists()


def small_bpe(folder: Path) -> Path:
    from gptrilogy.tokenizers import save_tokenizer, train_byte_bpe

    save_tokenizer(train_byte_bpe(["a small text, a small text, a small text"], 262), folder)
    return folder
