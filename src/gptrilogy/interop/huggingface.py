"""Hugging Face folders, in and out: GPT-2 and OpenAI-GPT as `transformers` has them, safetensors only."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from gptrilogy.checkpoints import read_tensors, write_tensors
from gptrilogy.config import parse
from gptrilogy.errors import CheckpointError, ConfigError, FormatError
from gptrilogy.files import write_json
from gptrilogy.interop.comparing import TEXTS, compare_ids, compare_logits
from gptrilogy.interop.foreign import ForeignModel, folder_tokenizer
from gptrilogy.interop.hf_tokenizer import write_hf_tokenizer
from gptrilogy.interop.names import HF_GPT1, HF_GPT2, Dialect, to_ours, to_theirs
from gptrilogy.interop.untrusted import read_json
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.tokenizers.base import Tokenizer

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
DROPOUTS = ("attn_pdrop", "embd_pdrop", "resid_pdrop")
MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)$")  # the causal mask, which old versions saved with the weights
HEAD = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture of `transformers`: what our config says of it, and what its config may say to be ours.

    A key that a folder's config does not hold has the first value of its row: what `transformers` then assumes.
    """

    model_type: str
    architecture: str
    dialect: Dialect
    choices: Mapping[str, object]
    fixed: Mapping[str, tuple[object, ...]]


ALWAYS: Mapping[str, tuple[object, ...]] = {
    "layer_norm_epsilon": (1e-5,),
    "tie_word_embeddings": (True,),
    "quantization_config": (None,),
}
GPT2 = Family(
    "gpt2",
    "GPT2LMHeadModel",
    HF_GPT2,
    {"norm": "pre", "final_norm": True, "scale_residual_init": True},
    ALWAYS
    | {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # two names of one formula
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    },
)
GPT1 = Family(
    "openai-gpt",
    "OpenAIGPTLMHeadModel",
    HF_GPT1,
    {"norm": "post", "final_norm": False, "scale_residual_init": False},
    ALWAYS | {"afn": ("gelu",)},  # which there is the tanh form
)
FAMILIES = {family.model_type: family for family in (GPT2, GPT1)}


def is_hf_folder(folder: Path) -> bool:
    """Whether a folder has a config of `transformers`; ours has none of its keys."""
    try:
        found = read_json(folder / CONFIG)
    except FormatError:
        return False
    return isinstance(found, dict) and "model_type" in found


def read_hf(folder: Path) -> ForeignModel:
    """The model of a Hugging Face folder.

    Raises: FormatError naming the file, key or tensor that cannot be read here, the value and the remedy.
    """
    found = _object(folder / CONFIG)
    family = FAMILIES.get(str(found.get("model_type")))
    if family is None:
        raise FormatError(
            f"{folder / CONFIG}: model_type {found.get('model_type')!r:.60} is not read here; "
            f"known: {', '.join(FAMILIES)}"
        )
    config = _our_config(found, family, folder / CONFIG)
    tensors = _tensors(folder)
    dialect = family.dialect
    if not any(name.startswith(dialect.prefix) for name in tensors):
        dialect = replace(dialect, prefix="")  # a bare model, saved without its head, as the first GPT-2 folders are
    tensors = {name: tensor for name, tensor in tensors.items() if not MASK.search(name)}
    _drop_tied_head(tensors, dialect, config, folder)
    weights = to_ours(tensors, config, dialect, source=str(folder))
    return ForeignModel(config, weights, folder_tokenizer(folder, config), f"Hugging Face {family.model_type} {folder}")


def write_hf(folder: Path, config: GPTConfig, weights: Mapping[str, Tensor], tokenizer: Tokenizer) -> list[str]:
    """Fill an empty folder with what `AutoModelForCausalLM` and `AutoTokenizer` load; -> what its user must know.

    Raises: FormatError where `transformers` has no such model; OSError from the disk.
    """
    family = family_of(config)
    write_json(folder / CONFIG, _their_config(config, family, tokenizer))
    write_tensors(folder / WEIGHTS, to_theirs(weights, config, family.dialect), {"format": "pt"})
    return write_hf_tokenizer(folder, tokenizer, n_ctx=config.n_ctx)


def check_hf(folder: Path, model: GPT, tokenizer: Tokenizer) -> list[str]:
    """What was compared and how it came out, a line each; what could not be compared says so.

    Raises: FormatError where logits differ, or ids that should be equal.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ModuleNotFoundError:
        return ["logits and token ids: not checked, transformers is not installed: pip install 'gptrilogy[hf]'"]
    logging.disable_progress_bar()  # it takes a blink, and draws over our own lines
    theirs = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    line = compare_logits(model, lambda ids: theirs(ids).logits)
    read: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)  # pyright: ignore[reportUnknownVariableType]
    ids: dict[str, list[int]] = {text: read(text, add_special_tokens=False)["input_ids"] for text in TEXTS}
    return [f"transformers: {line}", f"transformers: {compare_ids(tokenizer, ids)}"]


def family_of(config: GPTConfig) -> Family:
    """Raises: FormatError for a model that is neither a GPT-2 nor a GPT-1."""
    for family in FAMILIES.values():
        if (config.norm, config.final_norm) == (family.choices["norm"], family.choices["final_norm"]):
            return family
    raise FormatError(
        f"transformers has no model with norm = {config.norm!r} and final_norm = {config.final_norm}: "
        "GPT-2 is pre with a final norm, GPT-1 post without one"
    )


def _object(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise FormatError(f"{path} must be a JSON object, got {type(found).__name__}")
    return cast("dict[str, Any]", found)


def _our_config(found: Mapping[str, Any], family: Family, path: Path) -> GPTConfig:
    for key, allowed in family.fixed.items():
        value = found.get(key, allowed[0])
        if value not in allowed:
            raise FormatError(f"{path}: {key} = {value!r:.60} is not computed here; it must be {allowed[0]!r}")
    sizes = {"n_vocab": "vocab_size", "n_ctx": "n_positions", "n_embd": "n_embd", "n_head": "n_head"}
    values: dict[str, object] = {ours: found.get(theirs) for ours, theirs in {**sizes, "n_layer": "n_layer"}.items()}
    for ours, value in values.items():
        if type(value) is not int:
            raise FormatError(f"{path}: {sizes.get(ours, ours)} must be a whole number, got {value!r:.60}")
    inner = found.get("n_inner")
    if inner is not None and inner != 4 * found["n_embd"]:
        raise FormatError(f"{path}: n_inner = {inner!r:.60} is not computed here; it must be 4 n_embd or null")
    std = found.get("initializer_range", 0.02)
    values |= {**family.choices, "dropout": _dropout(found, path), "init_std": std, "position_init_std": std}
    try:
        return parse(GPTConfig, values)
    except ConfigError as error:
        raise FormatError(f"{path}: {error}") from None


def _dropout(found: Mapping[str, Any], path: Path) -> object:
    rates = [found.get(key, 0.1) for key in DROPOUTS]
    if len(set(map(str, rates))) > 1:
        warnings.warn(
            f"{path} has dropouts of {', '.join(map(str, rates))}; here one number serves all three, and further "
            f"training would take {rates[0]}",
            stacklevel=2,
        )
    return rates[0]


def _their_config(config: GPTConfig, family: Family, tokenizer: Tokenizer) -> dict[str, object]:
    return {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": config.n_vocab,
        "n_positions": config.n_ctx,
        "n_embd": config.n_embd,
        "n_head": config.n_head,
        "n_layer": config.n_layer,
        **{key: allowed[0] for key, allowed in family.fixed.items() if allowed[0] is not None},
        **dict.fromkeys(DROPOUTS, config.dropout),
        "initializer_range": config.init_std,
        "bos_token_id": tokenizer.eot_id,
        "eos_token_id": tokenizer.eot_id,
        "dtype": "float32",
        "use_cache": True,
    }


def _tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of the one file, or of the files that the index names."""
    if not (folder / INDEX).exists():
        if not (folder / WEIGHTS).is_file():
            raise FormatError(_no_weights(folder))
        return _read(folder / WEIGHTS)
    tensors: dict[str, Tensor] = {}
    by_file = _weight_map(folder / INDEX)
    for file in sorted(set(by_file.values())):
        found = _read(folder / file)
        listed = {name for name, place in by_file.items() if place == file}
        if odd := sorted(listed ^ set(found)):
            where = "is missing from" if odd[0] in listed else "is not listed for"
            raise FormatError(f"{folder / INDEX}: {odd[0]} {where} {file}; take the folder again from its source")
        tensors |= found
    return tensors


def _weight_map(path: Path) -> dict[str, str]:
    found = _object(path).get("weight_map")
    if not isinstance(found, dict):
        raise FormatError(f"{path} has no weight_map, which says what file holds a tensor; take the folder again")
    by_file = cast("dict[str, Any]", found)
    for file in by_file.values():
        if not isinstance(file, str) or not re.fullmatch(r"[\w-][\w.-]*\.safetensors", file):
            raise FormatError(f"{path} names the file {file!r:.80}; it must be a safetensors file beside it")
    return by_file


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FormatError(f"{path} is missing, though the index names it; take the folder again from its source")
    try:
        return read_tensors(path)
    except CheckpointError as error:
        raise FormatError(str(error)) from None


def _no_weights(folder: Path) -> str:
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if not pickles:
        return f"{folder} has a config.json but no {WEIGHTS}; take the folder again from its source"
    return (
        f"{folder / pickles[0]} is a pickle, which can run any code when it is read, so it is not read here; "
        "ask its source for safetensors, or convert it where nothing can be lost: "
        "transformers' AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) writes safetensors"
    )


def _drop_tied_head(tensors: dict[str, Tensor], dialect: Dialect, config: GPTConfig, folder: Path) -> None:
    head = tensors.pop(HEAD, None)
    wte = tensors.get(dict(dialect.pairs(config))["wte.weight"])
    if head is not None and wte is not None and not torch.equal(head, wte):
        raise FormatError(
            f"{folder}: {HEAD} differs from the token embedding; here the two are one (GPT1 eq. 2), "
            "so this model cannot be read"
        )
