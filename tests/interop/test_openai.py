"""OpenAI's releases give the same logits here as in `transformers`, and come with their tokenizers."""

import json
import shutil
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, OpenAIGPTConfig, OpenAIGPTLMHeadModel

from gptrilogy.errors import FormatError
from gptrilogy.interop.foreign import ForeignModel
from gptrilogy.interop.openai import is_openai_gpt1, is_openai_gpt2, read_openai_gpt1, read_openai_gpt2
from gptrilogy.interop.tf_bundle import Numbers
from gptrilogy.models import GPTConfig
from gptrilogy.models.weights import with_weights
from gptrilogy.tokenizers import ByteLevelBPE
from gptrilogy.tokenizers.symbols import to_symbols
from openai_folders import GPT1_SIZES, GPT2, gpt1_shapes, gpt2_tensors
from tf_bundle_writer import contents, write_bundle


def logits(model: ForeignModel, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return with_weights(model.config, model.weights, torch.device("cpu")).eval()(ids)


def random_ids(n_vocab: int, n_ctx: int) -> Tensor:
    return torch.randint(n_vocab, (16, n_ctx), generator=torch.Generator().manual_seed(0))


def theirs(model: nn.Module, weights: Mapping[str, Numbers], ids: Tensor) -> Tensor:
    """The logits of a model of `transformers` that has been given every one of its weights."""
    state = {f"transformer.{name}": torch.tensor(value) for name, value in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert (set(missing), unexpected) == ({"lm_head.weight"}, [])  # which is the token embedding
    with torch.no_grad():
        return model.eval()(ids).logits


# -- the same models


def test_gpt2_gives_the_logits_of_transformers() -> None:
    read = gpt2_tensors()
    weights = {"wte.weight": read["model/wte"], "wpe.weight": read["model/wpe"]}
    for norm in ("ln_f", "h0/ln_1", "h0/ln_2", "h1/ln_1", "h1/ln_2"):
        name = norm.replace("/", ".").replace("h", "h.")
        weights |= {f"{name}.weight": read[f"model/{norm}/g"], f"{name}.bias": read[f"model/{norm}/b"]}
    for layer in (0, 1):
        for part in ("attn/c_attn", "attn/c_proj", "mlp/c_fc", "mlp/c_proj"):
            name = f"h.{layer}.{part.replace('/', '.')}"
            weights[f"{name}.weight"] = read[f"model/h{layer}/{part}/w"].squeeze(0)
            weights[f"{name}.bias"] = read[f"model/h{layer}/{part}/b"]
    ids = random_ids(11, 8)
    sizes = GPT2Config(vocab_size=11, n_positions=8, n_embd=8, n_head=2, n_layer=2, bos_token_id=0, eos_token_id=0)
    expected = theirs(GPT2LMHeadModel(sizes), weights, ids)
    torch.testing.assert_close(logits(read_openai_gpt2(GPT2), ids), expected, atol=1e-5, rtol=0)


def test_gpt1_gives_the_logits_of_transformers(gpt1: Path) -> None:
    places = ["positions_embed.weight", "tokens_embed.weight"]
    for layer in range(2):
        for part in ("attn.c_attn", "attn.c_proj", "ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2"):
            places += [f"h.{layer}.{part}.weight", f"h.{layer}.{part}.bias"]
    row = np.concatenate([np.load(gpt1 / f"params_{number}.npy") for number in range(10)])
    weights: dict[str, Numbers] = {}
    for name, shape in zip(places, gpt1_shapes(**GPT1_SIZES), strict=True):
        size = int(np.prod(shape))
        tensor, row = row[:size].reshape(shape), row[size:]
        weights[name] = tensor.squeeze(0) if len(shape) == 3 else tensor
    assert row.size == 0
    ids = random_ids(13, 6)
    sizes = OpenAIGPTConfig(vocab_size=13, n_positions=6, n_embd=128, n_head=2, n_layer=2)
    expected = theirs(OpenAIGPTLMHeadModel(sizes), weights, ids)
    torch.testing.assert_close(logits(read_openai_gpt1(gpt1), ids), expected, atol=1e-5, rtol=0)


def test_the_configs_are_those_of_the_papers(gpt1: Path) -> None:
    read = read_openai_gpt2(GPT2)
    assert read.config == GPTConfig(n_vocab=11, n_ctx=8, n_embd=8, n_head=2, n_layer=2)
    assert (read.tokenizer, read.origin) == (None, f"OpenAI GPT-2 {GPT2}")
    read = read_openai_gpt1(gpt1)
    assert read.config == GPTConfig.preset("gpt1").replace(**GPT1_SIZES, n_head=2)
    assert (read.config.norm, read.config.final_norm, read.config.dropout) == ("post", False, 0.1)
    assert (read.tokenizer, read.origin) == (None, f"OpenAI GPT-1 {gpt1}")


def test_the_shapes_that_openai_published_are_a_gpt1s(shared_data: Callable[[str], Path]) -> None:
    found = json.loads(shared_data("vocab/gpt1/params_shapes.json").read_text())
    assert found == gpt1_shapes(n_vocab=40_478, n_ctx=512, n_embd=768, n_layer=12)


def test_a_folder_is_known_by_its_file_of_sizes(gpt1: Path, tmp_path: Path) -> None:
    known = {folder: (is_openai_gpt1(folder), is_openai_gpt2(folder)) for folder in (gpt1, GPT2, tmp_path)}
    assert known == {gpt1: (True, False), GPT2: (False, True), tmp_path: (False, False)}


def test_a_model_is_in_memory_once(gpt1: Path) -> None:
    size_bytes = sum(path.stat().st_size for path in gpt1.iterdir())
    read_openai_gpt1(gpt1)  # what is imported on the way is not the model's
    tracemalloc.start()
    read_openai_gpt1(gpt1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size_bytes  # of the tensors, NumPy's half is let go before the next is read


# -- what lies beside them


def test_other_files_of_the_folder_are_left_alone(gpt2: Path) -> None:
    (gpt2 / "model.ckpt.meta").write_bytes(b"a graph that nobody reads")
    (gpt2 / "weights.pkl").write_bytes(b"\x80\x04.")
    assert len(read_openai_gpt2(gpt2).weights) == 28


def test_a_checkpoint_of_another_name_is_found(gpt2: Path) -> None:
    for path in list(gpt2.glob("model.ckpt.*")):
        path.rename(gpt2 / path.name.replace("model.ckpt", "model-1000"))
    (gpt2 / "checkpoint").write_text('model_checkpoint_path: "model-1000"\nall_model_checkpoint_paths: "model-1"\n')
    assert len(read_openai_gpt2(gpt2).weights) == 28


def test_without_a_note_the_checkpoint_has_its_released_name(gpt2: Path) -> None:
    (gpt2 / "checkpoint").unlink()
    assert len(read_openai_gpt2(gpt2).weights) == 28


def test_the_tokenizer_beside_a_gpt2_comes_along(gpt2: Path) -> None:
    tokenizer = ByteLevelBPE([("l", "o"), ("lo", "w"), ("Ġ", "low")])
    write_pair(gpt2, tokenizer)
    with pytest.raises(FormatError, match=r"gpt2: the model has 11 tokens, its tokenizer .* has 260"):
        read_openai_gpt2(gpt2)
    write_bundle(gpt2 / "model.ckpt", *contents(gpt2_tensors() | {"model/wte": np.zeros((260, 8), "<f4")}))
    sizes = json.loads((gpt2 / "hparams.json").read_text())
    (gpt2 / "hparams.json").write_text(json.dumps(sizes | {"n_vocab": 260}))
    found = read_openai_gpt2(gpt2).tokenizer
    assert found is not None
    assert found.encode("low lower") == tokenizer.encode("low lower") == [257, 258, 68, 81]


def write_pair(folder: Path, tokenizer: ByteLevelBPE) -> None:
    tokens = [to_symbols(tokenizer.token_bytes(token_id)) for token_id in range(tokenizer.n_vocab - 1)]
    ids = {token: token_id for token_id, token in enumerate([*tokens, "<|endoftext|>"])}
    (folder / "encoder.json").write_text(json.dumps(ids))
    merges = [" ".join(pair) for pair in tokenizer.merges]
    (folder / "vocab.bpe").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def test_gpt1s_own_tokenizer_must_be_its_models(gpt1: Path, shared_data: Callable[[str], Path]) -> None:
    for name in ("encoder_bpe_40000.json", "vocab_40000.bpe"):
        shutil.copy(shared_data(f"vocab/gpt1/{name}"), gpt1)
    with pytest.raises(FormatError, match=r"gpt1: the model has 13 tokens, its tokenizer .* has 40478"):
        read_openai_gpt1(gpt1)
