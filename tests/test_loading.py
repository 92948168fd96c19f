"""A path and a precision become a model that talks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gptrilogy import load, loading
from gptrilogy.checkpoints import Checkpoint, write_checkpoint
from gptrilogy.errors import CheckpointError, ConfigError
from gptrilogy.files import remove_folder
from gptrilogy.generation import language_model as language_model_module
from gptrilogy.generation.config import Sampling
from gptrilogy.interop.huggingface import write_hf
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.runs import Run
from gptrilogy.tokenizers import BytesTokenizer, save_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "hf"
    path.mkdir()
    config = GPTConfig(n_vocab=257, n_ctx=64, n_embd=64, n_head=2, n_layer=2, init_std=0.2)
    write_hf(path, config, GPT(config, torch.Generator().manual_seed(0)).state_dict(), BytesTokenizer())
    return path


@pytest.mark.parametrize(
    ("precision", "dtype", "weights"),
    [("fp32", torch.float32, "fp32"), ("bf16", torch.bfloat16, "bf16"), ("int8", torch.bfloat16, "int8")],
)
def test_a_precision_is_that_of_the_weights(
    folder: Path, precision: loading.Format, dtype: torch.dtype, weights: str
) -> None:
    loaded = load(folder, precision=precision)
    assert loaded.model.wte.weight.dtype == dtype
    assert loaded.native is not None
    assert loaded.native.format == weights
    text = loaded.complete(["On", "Off"], Sampling(temperature=0), max_tokens=70)
    assert [len(found.ids) for found in text] == [70, 70]
    assert loaded.complete(["On"], Sampling(temperature=0), max_tokens=70) == text[:1]


def test_weights_are_prepared_once(folder: Path) -> None:
    loaded = load(folder, precision="int8")
    first = loaded.native
    loaded.generate("a", max_tokens=3)
    assert loaded.native is first


def test_an_unknown_precision_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="unknown precision fp64: give fp32, bf16, int8"):
        load(folder, precision="fp64")  # pyright: ignore[reportArgumentType] - that is the point


def test_int8_without_the_kernel_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_model: GPT, *, int8: bool) -> None:
        assert int8

    monkeypatch.setattr(language_model_module, "native_model", nowhere)
    with pytest.raises(ConfigError, match=r"int8 needs a CPU and a C\+\+ compiler; give bf16"):
        load(folder, precision="int8")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of three checkpoints, of which the second is the best."""
    made = Run.create(tmp_path / "run", {}, {"threads": 1})
    save_tokenizer(BytesTokenizer(), made.tokenizer_folder)
    config = GPTConfig(n_vocab=257, n_ctx=8, n_embd=8, n_head=2, n_layer=1)
    weights = GPT(config, torch.Generator().manual_seed(0)).state_dict()
    for step, loss in ((1, 3.0), (2, 2.0), (3, 2.5)):
        saved = Checkpoint({"model": config.model_dump(mode="json")}, weights)
        summary = {"step": step, "valid_loss_nats": loss}
        write_checkpoint(made.checkpoint_folder(step), saved, tokenizer=made.tokenizer_folder, summary=summary)
    return made


@pytest.mark.parametrize("seen", ["chosen", "verified"])
def test_a_checkpoint_pruned_while_it_is_loaded_makes_way_for_the_next(
    run: Run, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    def prune_then(real: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **options: object) -> object:
            if run.checkpoint_folder(2).exists():
                remove_folder(run.checkpoint_folder(2))
            return real(*arguments, **options)

        return called

    name = {"chosen": "verify_checkpoint", "verified": "read_checkpoint"}[seen]
    monkeypatch.setattr(loading, name, prune_then(getattr(loading, name)))
    assert load(run.folder).source == run.checkpoint_folder(3)


def test_a_checkpoint_that_is_there_and_damaged_is_still_named(run: Run) -> None:
    (run.checkpoint_folder(2) / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"step-00000002.model\.safetensors"):
        load(run.checkpoint_folder(2))
    with pytest.warns(UserWarning, match="step-00000003 is used instead"):
        load(run.folder)
