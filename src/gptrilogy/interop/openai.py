"""OpenAI's released models: GPT-2 as TensorFlow saved it, and GPT-1 as ten arrays in a row. Nothing in them can run."""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from gptrilogy.config import parse
from gptrilogy.errors import ConfigError, FormatError
from gptrilogy.interop.foreign import ForeignModel, folder_tokenizer
from gptrilogy.interop.names import OPENAI, to_ours
from gptrilogy.interop.tf_bundle import Bundle, Numbers, read_bundle
from gptrilogy.interop.untrusted import MAX_JSON_BYTES, damaged, naming, read_json, small_file
from gptrilogy.models.config import GPTConfig

HPARAMS, CHECKPOINT, PREFIX = "hparams.json", "checkpoint", "model.ckpt"
SIZES = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")

SHAPES = "params_shapes.json"
N_PARTS = 10
D_HEAD = 64  # GPT-1's files do not give n_head; all heads that OpenAI released for GPT-1 and GPT-2 are so wide
BLOCK = (
    *("attn/c_attn/w", "attn/c_attn/b", "attn/c_proj/w", "attn/c_proj/b", "ln_1/g", "ln_1/b"),
    *("mlp/c_fc/w", "mlp/c_fc/b", "mlp/c_proj/w", "mlp/c_proj/b", "ln_2/g", "ln_2/b"),
)

NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?P<n_bytes>..)"
    rb"\{'descr': '<f4', 'fortran_order': False, 'shape': \((?P<n_numbers>\d{1,15})L?,\), \} *\n",
    re.DOTALL,
)
NPY_HEADER_BYTES = 256  # NumPy ends the header of such an array at 80 or 128; Python 2 gave long numbers an L

MAX_SIZE = 2**31 - 1


class Tensors(Mapping[str, Tensor]):
    """Tensors that are read one by one when asked for, so that a model need not be in memory twice."""

    def __init__(self, names: Collection[str], read: Callable[[str], Numbers]) -> None:
        self._names = names
        self._read = read

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self._read(name))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


# GPT-2


def is_openai_gpt2(folder: Path) -> bool:
    """Whether a folder has the file of sizes that OpenAI put beside each GPT-2."""
    return (folder / HPARAMS).is_file()


def read_openai_gpt2(folder: Path) -> ForeignModel:
    """GPT-2 as OpenAI released it: sizes in `hparams.json`, weights in TensorFlow's files.

    They are `model.ckpt.*`, or what a file named `checkpoint` says, which has to be in the folder. No dropout was
    published: 0.0 is our choice.

    Raises: FormatError, TokenizerError: the file or tensor that cannot be read, the value and the remedy.
    """
    config = _sizes(folder / HPARAMS)
    prefix = folder / _prefix(folder / CHECKPOINT)
    bundle = read_bundle(prefix)
    _must_agree(config, bundle, f"{prefix}.index")
    weights = to_ours(Tensors(bundle, bundle.__getitem__), config, OPENAI, source=f"{prefix}.index")
    return ForeignModel(config, weights, folder_tokenizer(folder, config), f"OpenAI GPT-2 {folder}")


def _sizes(path: Path) -> GPTConfig:
    found = read_json(path)
    with naming(path):
        if not isinstance(found, dict):
            raise damaged(f"it must be a JSON object, got {type(found).__name__}")
        sizes = cast("dict[str, object]", found)
        if unknown := sorted(set(sizes) - set(SIZES)):
            raise FormatError(f"{unknown[0]!r:.60} is not known; a GPT-2 has {', '.join(SIZES)} alone")
        for key in SIZES:
            if not _is_size(sizes.get(key)):
                raise FormatError(f"{key} must be a whole number from 1 to {MAX_SIZE}, got {sizes.get(key)!r:.60}")
        try:
            return parse(GPTConfig, sizes)
        except ConfigError as error:
            raise FormatError(str(error)) from None


def _prefix(path: Path) -> str:
    """The newest checkpoint, as TensorFlow notes it: a name that may not lead out of the folder."""
    if not path.is_file():
        return PREFIX
    with naming(path):
        text = small_file(path, MAX_JSON_BYTES).decode("utf-8", errors="replace")
        line = re.search(r'^model_checkpoint_path: *"(.*)"$', text, re.MULTILINE)
        if line is None:
            raise FormatError(f"it has no line model_checkpoint_path; remove it if the files are named {PREFIX}.*")
        if not re.fullmatch(r"\w[\w.-]*", line[1]):
            raise FormatError(
                f"model_checkpoint_path is {line[1]!r:.80}; only a file of the same folder is read, so write its name "
                f"alone, such as {PREFIX}"
            )
        return line[1]


def _must_agree(config: GPTConfig, bundle: Bundle, source: str) -> None:
    """Sizes that the checkpoint bears out can be trusted: a model of them is no larger than its files."""
    expected = {"model/wte": (config.n_vocab, config.n_embd), "model/wpe": (config.n_ctx, config.n_embd)}
    for name, shape in expected.items():
        if name not in bundle:
            raise damaged(f"{source} lacks the tensor {name}, which every GPT-2 has")
        if bundle.entries[name].shape != shape:
            found = bundle.entries[name].shape
            raise damaged(f"{source}: {name} has shape {found}, {HPARAMS} beside it asks for {shape}")
    if config.n_layer > len(bundle) // len(BLOCK):
        raise damaged(
            f"{source} has {len(bundle)} tensors, {HPARAMS} beside it asks for {config.n_layer} layers of {len(BLOCK)}"
        )


# GPT-1


@dataclass(frozen=True, slots=True)
class Part:
    """One of the ten files, and where its numbers begin."""

    path: Path
    offset: int
    n_numbers: int


def is_openai_gpt1(folder: Path) -> bool:
    """Whether a folder has the file of shapes by which GPT-1's arrays are cut."""
    return (folder / SHAPES).is_file()


def read_openai_gpt1(folder: Path) -> ForeignModel:
    """GPT-1 as OpenAI released it: `params_0.npy` to `params_9.npy`, one row of numbers, cut by `params_shapes.json`.

    The files do not give n_head; it is taken to be n_embd / 64, as in every GPT-1 and GPT-2 that was released. Nor have
    they a checksum: that a number was damaged on the way cannot be seen.

    Raises: FormatError, TokenizerError: the file or tensor that cannot be read, the value and the remedy.
    """
    path = folder / SHAPES
    shapes = _shapes(path)
    parts = [_part(folder / f"params_{number}.npy") for number in range(N_PARTS)]
    with naming(path):
        config = _gpt1_config(shapes)
        asked, held = sum(map(math.prod, shapes)), sum(part.n_numbers for part in parts)
        if asked != held:
            raise damaged(f"its shapes ask for {asked} numbers, params_0.npy to params_{N_PARTS - 1}.npy hold {held}")
    begins = accumulate(map(math.prod, shapes), initial=0)
    places = dict(zip(_gpt1_names(config.n_layer), zip(begins, shapes, strict=False), strict=True))
    tensors = Tensors(places, lambda name: _numbers(parts, *places[name]))
    weights = to_ours(tensors, config, OPENAI, source=str(path))
    return ForeignModel(config, weights, folder_tokenizer(folder, config), f"OpenAI GPT-1 {folder}")


def _shapes(path: Path) -> list[tuple[int, ...]]:
    found = read_json(path)
    with naming(path):
        if not isinstance(found, list):
            raise damaged(f"it must be a JSON list of shapes, got {type(found).__name__}")
        return [_shape(at, shape) for at, shape in enumerate(cast("list[object]", found))]


def _shape(at: int, found: object) -> tuple[int, ...]:
    sizes = cast("list[int]", found) if isinstance(found, list) else []
    if not (1 <= len(sizes) <= 3 and all(map(_is_size, sizes))):
        raise damaged(f"shape {at} must be a list of 1 to 3 whole numbers from 1 to {MAX_SIZE}, got {found!r:.60}")
    return tuple(sizes)


def _gpt1_config(shapes: list[tuple[int, ...]]) -> GPTConfig:
    n_layer, odd = divmod(len(shapes) - 2, len(BLOCK))
    if n_layer < 1 or odd:
        raise damaged(f"it has {len(shapes)} shapes, a GPT-1 has 2 and {len(BLOCK)} for each layer")
    positions, tokens = shapes[:2]
    if len(positions) != 2 or len(tokens) != 2 or positions[1] != tokens[1] or positions[1] % D_HEAD:
        raise damaged(
            f"its first shapes {positions} and {tokens} must be (positions, width) and (tokens, width), "
            f"the width a multiple of {D_HEAD}"
        )
    n_ctx, (n_vocab, n_embd) = positions[0], tokens
    sizes = {"n_vocab": n_vocab, "n_ctx": n_ctx, "n_embd": n_embd, "n_head": n_embd // D_HEAD, "n_layer": n_layer}
    try:
        return GPTConfig.preset("gpt1").replace(**sizes)
    except ConfigError as error:
        raise FormatError(str(error)) from None


def _gpt1_names(n_layer: int) -> list[str]:
    """What lies where in the row of numbers, under the names that GPT-2's files give the same things."""
    return ["model/wpe", "model/wte", *(f"model/h{layer}/{name}" for layer in range(n_layer) for name in BLOCK)]


def _part(path: Path) -> Part:
    """Find one row of float32 behind the header that NumPy puts before it.

    NumPy's own reader takes a header for code to evaluate, and can be told to unpickle; all that may stand there is
    one pattern.

    Raises: FormatError where there is another header, or not as many bytes behind it as it announces.
    """
    with naming(path):
        if path.exists() and not path.is_file():
            raise damaged("it is not a file")
        with path.open("rb") as file:
            start = file.read(NPY_HEADER_BYTES)
        header = NPY_HEADER.match(start)
        if header is None:
            raise damaged(f"it must begin as NumPy's file of one row of float32 does, got {start!r:.120}")
        part = Part(path, header.end(), int(header["n_numbers"]))
        size, needed = path.stat().st_size, part.offset + 4 * part.n_numbers
        if size != needed:
            raise damaged(f"it must have {needed} bytes for the {part.n_numbers} numbers it announces, got {size}")
        n_bytes = int.from_bytes(header["n_bytes"], "little")
        if part.offset != 10 + n_bytes:
            raise damaged(f"it must give its header {part.offset - 10} bytes, got {n_bytes}")
        return part


def _numbers(parts: list[Part], begin: int, shape: tuple[int, ...]) -> Numbers:
    """A stretch of the row of numbers, from as many parts as it lies in."""
    numbers = np.empty(math.prod(shape), "<f4")
    end = begin + numbers.size
    first = 0
    for part in parts:
        low, high = max(begin, first), min(end, first + part.n_numbers)
        if low < high:
            with naming(part.path):
                found = np.fromfile(part.path, "<f4", high - low, offset=part.offset + 4 * (low - first))
                if found.size < high - low:
                    raise damaged("it has become shorter")
            numbers[low - begin : high - begin] = found
        first += part.n_numbers
    return numbers.reshape(shape)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_SIZE  # not isinstance: true is an int too, and no size
