"""GGUF out: a model and its tokenizer as the one file that llama.cpp and what builds on it load.

Source: llama.cpp's `gpt2` architecture (pre-norm, tied output layer) and its `gpt2` tokenizer with the `gpt-2` pattern.
"""

import errno
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gptrilogy.errors import FormatError
from gptrilogy.extras import needs
from gptrilogy.interop.comparing import TEXTS, TOLERANCE, compare_ids, random_ids
from gptrilogy.interop.foreign import must_fit
from gptrilogy.interop.llama_process import ask_llama_cpp, has_llama_cpp
from gptrilogy.interop.names import GGUF, to_theirs
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT, MLP
from gptrilogy.tokenizers.base import END_OF_TEXT, Tokenizer
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.bytes import BytesTokenizer
from gptrilogy.tokenizers.symbols import to_symbols

Setting: TypeAlias = bool | int | float | str | list[str] | list[int]

ARCHITECTURE = "gpt2"
EPSILON = 1e-5  # of every layer norm here
ALL_F32, NORMAL, CONTROL = 0, 1, 3  # a file type and two token types, as GGUF counts them


def write_gguf(path: Path, config: GPTConfig, weights: Mapping[str, Tensor], tokenizer: Tokenizer) -> list[str]:
    """Write the file; -> what its user must know, which is nothing: it computes the same.

    Raises: FormatError where GGUF has no such model or tokenizer; MissingExtraError without `gguf`; OSError from the
    disk.
    """
    _write(path, _settings(config, tokenizer), to_theirs(weights, config, GGUF))
    return []


def _settings(config: GPTConfig, tokenizer: Tokenizer) -> dict[str, Setting]:
    """Everything in the file that is no tensor, under GGUF's names.

    Raises: FormatError where GGUF cannot say it.
    """
    if config.norm != "pre" or not config.final_norm:
        raise FormatError(
            "GGUF has no GPT-1: its gpt2 has norm = 'pre' and a final norm, this model has "
            f"norm = {config.norm!r} and final_norm = {config.final_norm}; --to hf can hold a GPT-1"
        )
    if config.n_embd == config.n_head:  # llama.cpp would abort
        raise FormatError(
            f"llama.cpp cannot compute heads one number wide: n_embd and n_head are both {config.n_head}; --to hf can"
        )
    must_fit(tokenizer, config, where="export to GGUF")
    return {
        "general.type": "model",
        "general.file_type": ALL_F32,
        f"{ARCHITECTURE}.context_length": config.n_ctx,
        f"{ARCHITECTURE}.embedding_length": config.n_embd,
        f"{ARCHITECTURE}.feed_forward_length": 4 * config.n_embd,
        f"{ARCHITECTURE}.block_count": config.n_layer,
        f"{ARCHITECTURE}.attention.head_count": config.n_head,
        f"{ARCHITECTURE}.attention.layer_norm_epsilon": EPSILON,
        **_tokenizer_settings(tokenizer),
    }


def _tokenizer_settings(tokenizer: Tokenizer) -> dict[str, Setting]:
    match tokenizer:
        case ByteLevelBPE():
            merges = [" ".join(pair) for pair in tokenizer.merges]
        case BytesTokenizer():
            merges = []
        case _:
            raise FormatError(
                f"GGUF can hold byte-level BPE and bytes, not the rules of the tokenizer {tokenizer.name}; --to hf can"
            )
    tokens = [to_symbols(tokenizer.token_bytes(token_id)) for token_id in range(tokenizer.n_vocab)]
    if tokens.count(END_OF_TEXT) > 1:  # llama.cpp would abort
        raise FormatError(
            f"token {tokens.index(END_OF_TEXT)} is spelled {END_OF_TEXT} like the end of a text, and GGUF tells tokens "
            "apart by their spelling; train a tokenizer without that merge"
        )
    end = tokenizer.eot_id
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if token_id == end else NORMAL for token_id in range(len(tokens))],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": end,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.eot_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
    }


def _write(path: Path, settings: Mapping[str, Setting], tensors: Mapping[str, Tensor]) -> None:
    with needs("export", purpose="writing GGUF"):
        from gguf import GGUFValueType, GGUFWriter

    class Writer(GGUFWriter):
        """The package refuses an empty array, which the format has, and which the merges of plain bytes are."""

        def _pack_val(self, val: Any, vtype: GGUFValueType, add_vtype: bool, sub_type: Any = None) -> bytes:
            if val == []:
                return self._pack("I", vtype) + self._pack("I", GGUFValueType.STRING) + self._pack("Q", 0)
            return super()._pack_val(val, vtype, add_vtype, sub_type)

    kinds = {
        bool: GGUFValueType.BOOL,
        int: GGUFValueType.UINT32,
        float: GGUFValueType.FLOAT32,
        str: GGUFValueType.STRING,
        list: GGUFValueType.ARRAY,
    }
    with closing(Writer(path, ARCHITECTURE)) as writer:
        for key, value in settings.items():
            writer.add_key_value(key, value, kinds[type(value)])
        for name, tensor in tensors.items():
            writer.add_tensor(name, _numpy(tensor))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        try:
            writer.write_tensors_to_file()
        except OSError as error:
            if error.errno is not None:
                raise
            # NumPy says how much it wrote, but not what the system said.
            raise OSError(errno.EIO, f"the disk did not take all numbers, is it full? ({error})") from None


def check_gguf(path: Path, model: GPT, tokenizer: Tokenizer) -> list[str]:
    """What was compared and how it came out, a line each; what could not be compared says so.

    Not for files from elsewhere: this trusts the sizes that the file names.

    Raises: FormatError where a setting, a tensor, logits or token ids differ; MissingExtraError without `gguf`.
    """
    numbers = _compare_contents(path, model, tokenizer)
    if not has_llama_cpp():
        reason = "llama-cpp-python is not installed: pip install llama-cpp-python"
        return [numbers, f"logits and token ids: not checked, {reason}"]
    rows = random_ids(model.config)
    asked = cast("list[list[int]]", rows.tolist())
    logits, ids = ask_llama_cpp(path, asked, TEXTS, n_threads=torch.get_num_threads())
    return [
        numbers,
        f"llama.cpp: {_compare_logits(model, rows, torch.from_numpy(logits))}",
        f"llama.cpp: {compare_ids(tokenizer, dict(zip(TEXTS, ids, strict=True)))}",
    ]


def _compare_contents(path: Path, model: GPT, tokenizer: Tokenizer) -> str:
    """Settings and tensors as `gguf` reads them."""
    with needs("export", purpose="checking GGUF"):
        from gguf import GGUFReader
    try:
        reader = GGUFReader(path)
        found = {key: field.contents() for key, field in reader.fields.items()}
    except (ValueError, LookupError) as error:
        raise FormatError(f"the file cannot be read again: {error}; write it again") from None
    settings = {"general.architecture": ARCHITECTURE, **_settings(model.config, tokenizer)}
    for key, value in settings.items():
        if found.get(key) != (np.float32(value) if isinstance(value, float) else value):
            raise FormatError(f"{key} is {found.get(key)!r:.60} in the file, not {value!r:.60}; write it again")
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    expected = {name: _numpy(tensor) for name, tensor in to_theirs(model.state_dict(), model.config, GGUF).items()}
    for name in sorted({*tensors, *expected}):
        if name not in tensors or name not in expected or not _same_bits(tensors[name], expected[name]):
            raise FormatError(f"the tensor {name} in the file is not the model's; write it again")
    return f"gguf: {len(settings)} settings and {len(expected)} tensors equal, to the bit"


def _same_bits(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return one.dtype == other.dtype and np.array_equal(one.view(np.uint32), other.view(np.uint32))


def _numpy(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return tensor.detach().to("cpu", torch.float32).numpy()


@torch.inference_mode()
def _compare_logits(model: GPT, ids: Tensor, theirs: Tensor) -> str:
    """Our logits and theirs.

    llama.cpp's CPU code rounds the argument and the value of GELU to half precision. What the same rounding does to our
    own logits tells how much of a difference that explains.

    Shapes: ids (B, T), theirs (B, T, V).
    """
    model = model.float().cpu().eval()
    ours = model(ids)  # (B, T, V)
    with _gelu_in_halves(model):
        rounding = (model(ids) - ours).abs().max().item()
    difference = (theirs - ours).abs().max().item()
    limit = 2 * rounding + TOLERANCE * max(1.0, ours.abs().max().item())
    if not difference <= limit:
        raise FormatError(
            f"llama.cpp's logits differ from ours by {difference:.1e}, more than {limit:.1e}: please report this with "
            "the model"
        )
    return (
        f"logits of {ids.numel()} tokens equal, largest difference {difference:.1e}; "
        f"GELU in half precision, as llama.cpp has it, makes {rounding:.1e}"
    )


@contextmanager
def _gelu_in_halves(model: GPT) -> Generator[None]:
    """Round what goes into and comes out of each GELU as llama.cpp does: between -10 and 10, to half precision."""

    def rounded(x: Tensor) -> Tensor:
        return torch.where(x.abs() < 10, x.half().float(), x)

    def forward(mlp: MLP, inputs: tuple[Tensor], _output: Tensor) -> Tensor:
        return mlp.c_proj(rounded(F.gelu(rounded(mlp.c_fc(inputs[0])), approximate="tanh")))

    hooks = [module.register_forward_hook(forward) for module in model.modules() if isinstance(module, MLP)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
