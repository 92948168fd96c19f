"""Any foreign model in, by what its folder holds; and any of ours out, checked before it takes its name."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gptrilogy.checkpoints import Checkpoint, write_checkpoint
from gptrilogy.errors import FormatError, RunError
from gptrilogy.files import replacing, replacing_folder
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.interop.foreign import ForeignModel, must_fit
from gptrilogy.interop.gguf import check_gguf, write_gguf
from gptrilogy.interop.hub import PREFIX, download
from gptrilogy.interop.huggingface import CONFIG, PICKLES, check_hf, is_hf_folder, read_hf, write_hf
from gptrilogy.interop.openai import is_openai_gpt1, is_openai_gpt2, read_openai_gpt1, read_openai_gpt2
from gptrilogy.interop.untrusted import read_json
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.models.patterns import Dense
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.saved import save_tokenizer
from gptrilogy.training.config import RunConfig


@dataclass(frozen=True, slots=True)
class Format:
    """A format that models are written in: how, and how another program checks it."""

    write: Callable[[Path, GPTConfig, Mapping[str, Tensor], Tokenizer], list[str]]
    check: Callable[[Path, GPT, Tokenizer], list[str]]
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, what its user must know, and what was compared, a line each."""

    path: Path
    notes: tuple[str, ...]
    checked: tuple[str, ...]


FORMATS = {
    "hf": Format(write_hf, check_hf, is_folder=True),
    "gguf": Format(write_gguf, check_gguf, is_folder=False),
}
READERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], ForeignModel]], ...] = (
    (is_hf_folder, read_hf),
    (is_openai_gpt2, read_openai_gpt2),
    (is_openai_gpt1, read_openai_gpt1),
)
KNOWN = (
    "a Hugging Face folder (config.json, model.safetensors), OpenAI's GPT-2 (hparams.json, model.ckpt.index) "
    "or OpenAI's GPT-1 (params_shapes.json, params_0.npy ...)"
)


def is_foreign(source: str | Path) -> bool:
    """Whether `read_foreign` has a reader for it."""
    return str(source).startswith(PREFIX) or _reader(Path(source)) is not None


def read_foreign(source: str | Path) -> ForeignModel:
    """The model of another program's folder, or of `hf:NAME`.

    Raises: FormatError, TokenizerError: what cannot be read, the value and the remedy.
    """
    path = download(str(source)) if str(source).startswith(PREFIX) else Path(source)
    if reader := _reader(path):
        return reader(path)
    if not path.exists():
        raise FormatError(f"{path} does not exist; give {KNOWN}")
    raise FormatError(_why_not(path))


def import_model(model: ForeignModel, tokenizer: Tokenizer, out: Path) -> None:
    """Write a checkpoint folder, which everything here takes for a model.

    Raises: FormatError where the tokenizer is not the model's; CheckpointError where it cannot be written.
    """
    must_fit(tokenizer, model.config, where=model.origin)
    config = RunConfig(recipe="import", tokenizer=tokenizer.name, model=model.config)
    with tempfile.TemporaryDirectory() as folder:
        save_tokenizer(tokenizer, Path(folder))
        checkpoint = Checkpoint(config.model_dump(mode="json"), model.weights)
        write_checkpoint(out, checkpoint, tokenizer=Path(folder), summary={"step": 0, "imported_from": model.origin})


def export_model(model: LanguageModel, to: str, out: Path, *, check: bool = False) -> Exported:
    """Write a model as another program has it; with `check`, that program loads it before it takes the name `out`.

    Raises: FormatError where the format cannot hold the model or the check fails; MissingExtraError; RunError where it
    cannot be written. `out` is then as it was.
    """
    form = FORMATS[to]
    _must_be_dense(model.model.config)
    weights = {name: tensor.detach().cpu() for name, tensor in model.model.state_dict().items()}
    replaced = replacing_folder if form.is_folder else replacing
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replaced(out) as temporary:
            notes = form.write(temporary, model.model.config, weights, model.tokenizer)
            checked = form.check(temporary, model.model, model.tokenizer) if check else []
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}; choose another --out") from None
    return Exported(out, tuple(notes), tuple(checked))


def is_export(path: Path, to: str) -> bool:
    """Whether a path holds what `export_model` writes for a format."""
    return is_hf_folder(path) if FORMATS[to].is_folder else path.suffix == ".gguf" and path.is_file()


def _must_be_dense(config: GPTConfig) -> None:
    """Raises: FormatError: their GPT-2 would compute something else from the same weights."""
    if not all(isinstance(pattern, Dense) for pattern in config.patterns()):
        raise FormatError(
            f"no format here can say that attention is {', '.join(config.attention)}, and dense attention would "
            "compute something else; only models whose layers are all dense can be exported"
        )


def _reader(path: Path) -> Callable[[Path], ForeignModel] | None:
    return next((read for fits, read in READERS if path.is_dir() and fits(path)), None)


def _why_not(path: Path) -> str:
    """Raises: FormatError of its own for a config that is damaged, which makes no folder a foreign one."""
    if (path / CONFIG).is_file():
        read_json(path / CONFIG)
    if path.suffix == ".gguf":
        return f"{path}: GGUF is written here, not read; import the model from the folder it was made of"
    if path.is_file() and any(path.match(pattern) for pattern in PICKLES):
        return (
            f"{path} is a pickle, which can run any code when it is read, so it is not read here; ask its source for "
            "safetensors, and give the folder that holds them"
        )
    return f"{path} is no model that is read here; known: {KNOWN}"
