"""Folders as OpenAI released its models: a GPT-2 that TensorFlow saved, and a GPT-1 of ten arrays."""

import json
from pathlib import Path

import numpy as np

from gptrilogy.interop.tf_bundle import Numbers

GPT2 = Path(__file__).parents[1] / "interop" / "fixtures" / "gpt2-tiny"
GPT1_SIZES = {"n_vocab": 13, "n_ctx": 6, "n_embd": 128, "n_layer": 2}


def gpt2_tensors() -> dict[str, Numbers]:
    """What the GPT-2 was saved from, under TensorFlow's names."""
    return dict(np.load(GPT2 / "expected.npz"))


def gpt1_shapes(n_vocab: int, n_ctx: int, n_embd: int, n_layer: int) -> list[list[int]]:
    block = [
        [1, n_embd, 3 * n_embd], [3 * n_embd], [1, n_embd, n_embd], [n_embd], [n_embd], [n_embd],
        [1, n_embd, 4 * n_embd], [4 * n_embd], [1, 4 * n_embd, n_embd], [n_embd], [n_embd], [n_embd],
    ]  # fmt: skip
    return [[n_ctx, n_embd], [n_vocab, n_embd], *(block * n_layer)]


def write_gpt1(folder: Path) -> Path:
    """Ten files, whose ends are not those of tensors."""
    shapes = gpt1_shapes(**GPT1_SIZES)
    n_numbers = sum(int(np.prod(shape)) for shape in shapes)
    row = np.random.default_rng(0).normal(0, 0.2, n_numbers).astype("<f4")
    folder.mkdir()
    for number, part in enumerate(np.array_split(row, 10)):
        np.save(folder / f"params_{number}.npy", part)
    (folder / "params_shapes.json").write_text(json.dumps(shapes))
    return folder
