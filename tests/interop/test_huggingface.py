"""Hugging Face folders both ways, against `transformers` itself."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
)

from gptrilogy.errors import FormatError
from gptrilogy.interop.comparing import TEXTS
from gptrilogy.interop.huggingface import check_hf, read_hf, write_hf
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.models.weights import with_weights
from gptrilogy.tokenizers import BytesTokenizer, Tokenizer, load_tokenizer, train_byte_bpe

CPU = torch.device("cpu")
GPT2_LIKE = GPTConfig(n_vocab=257, n_ctx=24, n_embd=16, n_head=4, n_layer=3)
GPT1_LIKE = GPT2_LIKE.replace(norm="post", final_norm=False, scale_residual_init=False)


@pytest.fixture(params=["gpt2", "openai-gpt"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder that `transformers` saved, with clearly different numbers everywhere."""
    sizes: dict[str, Any] = {"n_layer": 3, "n_embd": 16, "n_head": 4, "n_positions": 24, "vocab_size": 257}
    torch.manual_seed(0)
    if request.param == "gpt2":
        model: Any = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None))
    else:
        model = OpenAIGPTLMHeadModel(OpenAIGPTConfig(**sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def model_of(folder: Path) -> GPT:
    read = read_hf(folder)
    return with_weights(read.config, read.weights, CPU).eval()


def trained_bpe(n_vocab: int = 300) -> Tokenizer:
    return train_byte_bpe(["It was the best of times, it was the worst of times. " * 9], n_vocab)


def filled(config: GPTConfig, seed: int = 0) -> GPT:
    model = GPT(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return model


def export(folder: Path, config: GPTConfig, tokenizer: Tokenizer | None = None) -> GPT:
    model = filled(config)
    folder.mkdir()
    write_hf(folder, config, model.state_dict(), tokenizer or BytesTokenizer())
    return model


def changed(folder: Path, **fields: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return folder


def test_a_folder_of_theirs_gives_their_logits(theirs: Path) -> None:
    ids = torch.randint(257, (3, 24))
    with torch.inference_mode():
        expected = AutoModelForCausalLM.from_pretrained(theirs).eval()(ids).logits
        torch.testing.assert_close(model_of(theirs)(ids), expected, rtol=1e-5, atol=1e-4)


def test_weights_go_in_and_out_to_the_bit(theirs: Path, tmp_path: Path) -> None:
    read = read_hf(theirs)
    (tmp_path / "ours").mkdir()
    write_hf(tmp_path / "ours", read.config, read.weights, BytesTokenizer())
    before, after = load_file(theirs / "model.safetensors"), load_file(tmp_path / "ours" / "model.safetensors")
    assert sorted(before) == sorted(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("config", [GPT2_LIKE, GPT1_LIKE], ids=["gpt2", "gpt1"])
def test_what_is_written_loads_in_transformers_and_comes_back(config: GPTConfig, tmp_path: Path) -> None:
    model = export(tmp_path / "out", config)
    ids = torch.randint(257, (2, 24))
    with torch.inference_mode():
        expected = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()(ids).logits
        torch.testing.assert_close(model(ids), expected, rtol=1e-5, atol=1e-4)
    back = read_hf(tmp_path / "out")
    assert back.config == config.replace(position_init_std=config.init_std)
    assert all(torch.equal(back.weights[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("tokenizer", [BytesTokenizer(), trained_bpe()], ids=["bytes", "byte_bpe"])
def test_their_tokenizer_gives_our_ids_and_comes_back_as_ours(tokenizer: Tokenizer, tmp_path: Path) -> None:
    export(tmp_path / "out", GPT2_LIKE.replace(n_vocab=tokenizer.n_vocab), tokenizer)
    read: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in TEXTS:
        assert read(text)["input_ids"] == tokenizer.encode(text)
        assert read.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text
    assert read.eos_token_id == read.bos_token_id == tokenizer.eot_id
    found = read_hf(tmp_path / "out").tokenizer
    assert found is not None
    assert found.fingerprint == tokenizer.fingerprint


def test_gpt1s_vocabulary_is_written_with_the_note_that_transformers_reads_it_otherwise(
    shared_data: Any, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(shared_data("vocab/gpt1"))
    config = GPT1_LIKE.replace(n_vocab=tokenizer.n_vocab)
    (tmp_path / "out").mkdir()
    [note] = write_hf(tmp_path / "out", config, filled(config).state_dict(), tokenizer)
    assert "other ids there" in note
    read: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert read("the president is a very good man .")["input_ids"] == [481, 4735, 544, 246, 963, 870, 762, 239]
    found = read_hf(tmp_path / "out").tokenizer
    assert found is not None
    assert found.fingerprint == tokenizer.fingerprint


def test_the_check_compares_logits_and_ids(tmp_path: Path) -> None:
    model = export(tmp_path / "out", GPT2_LIKE)
    logits, ids = check_hf(tmp_path / "out", model, BytesTokenizer())
    assert logits.startswith("transformers: logits of 48 tokens equal, largest difference")
    assert ids == "transformers: token ids of 4 texts equal"


def test_the_check_finds_a_changed_weight(tmp_path: Path) -> None:
    export(tmp_path / "out", GPT2_LIKE)
    with pytest.raises(FormatError, match="logits differ from ours by"):
        check_hf(tmp_path / "out", filled(GPT2_LIKE, seed=1), BytesTokenizer())


def test_the_check_finds_another_tokenizer(tmp_path: Path) -> None:
    tokenizer, other = trained_bpe(), train_byte_bpe(["an entirely different text, entirely " * 9], 275)
    config = GPT2_LIKE.replace(n_vocab=tokenizer.n_vocab)
    model = export(tmp_path / "out", config, tokenizer)
    with pytest.raises(FormatError, match="other ids for"):
        check_hf(tmp_path / "out", model, other)


def test_folders_of_several_files_are_read(theirs: Path) -> None:
    whole = read_hf(theirs).weights
    tensors = load_file(theirs / "model.safetensors")
    (theirs / "model.safetensors").unlink()
    halves = {"a.safetensors": sorted(tensors)[:9], "b.safetensors": sorted(tensors)[9:]}
    for file, names in halves.items():
        save_file({name: tensors[name] for name in names}, theirs / file)
    place = {name: file for file, names in halves.items() for name in names}
    index = theirs / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": place}))
    assert all(torch.equal(read_hf(theirs).weights[name], tensor) for name, tensor in whole.items())

    index.write_text(json.dumps({"weight_map": place | {sorted(tensors)[0]: "b.safetensors"}}))
    with pytest.raises(FormatError, match=r"model\.safetensors\.index\.json: .* (is missing from|is not listed for)"):
        read_hf(theirs)
    index.write_text(json.dumps({"weight_map": place | {sorted(tensors)[0]: "../../x"}}))
    with pytest.raises(FormatError, match=r"names the file '\.\./\.\./x'"):
        read_hf(theirs)
    index.write_text(json.dumps({"weight_map": place}))
    (theirs / "b.safetensors").unlink()
    with pytest.raises(FormatError, match=r"b\.safetensors is missing, though the index names it; take the folder"):
        read_hf(theirs)
    index.write_text(json.dumps({"metadata": {}}))
    with pytest.raises(FormatError, match=r"index\.json has no weight_map, .* take the folder again"):
        read_hf(theirs)
    index.write_text("{")
    with pytest.raises(FormatError, match=r"index\.json: it is not a JSON file that can be read"):
        read_hf(theirs)


def test_the_first_gpt2_folders_have_bare_names_and_masks(tmp_path: Path) -> None:
    model = export(tmp_path / "out", GPT2_LIKE)
    path = tmp_path / "out" / "model.safetensors"
    bare = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 24, 24) for layer in range(3)}
    save_file(bare | masks, path)
    assert torch.equal(read_hf(tmp_path / "out").weights["wte.weight"], model.wte.weight)


def test_a_head_of_its_own_is_refused_and_a_copy_of_the_embedding_is_not(tmp_path: Path) -> None:
    export(tmp_path / "out", GPT2_LIKE)
    path = tmp_path / "out" / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"lm_head.weight": tensors["transformer.wte.weight"].clone()}, path)
    read_hf(tmp_path / "out")
    save_file(tensors | {"lm_head.weight": tensors["transformer.wte.weight"] + 1}, path)
    with pytest.raises(FormatError, match=r"lm_head\.weight differs from the token embedding"):
        read_hf(tmp_path / "out")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_type": "llama"}, "model_type 'llama' is not read here; known: gpt2, openai-gpt"),
        ({"activation_function": "relu"}, "activation_function = 'relu' is not computed here; it must be 'gelu_new'"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon = 1e-06 is not computed here"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx = True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings = False"),
        ({"quantization_config": {"bits": 4}}, "quantization_config ="),
        ({"n_inner": 100}, "n_inner = 100 is not computed here"),
        ({"n_layer": "3"}, "n_layer must be a whole number, got '3'"),
        ({"vocab_size": True}, "vocab_size must be a whole number, got True"),
        ({"n_head": 3}, "n_embd must be a multiple of n_head"),
        ({"n_layer": 4}, "lacks the tensor transformer.h.3."),
        ({"n_layer": 2}, "has the tensor transformer.h.2."),
        ({"n_positions": 25}, "transformer.wpe.weight has shape (24, 16), its config asks for (25, 16)"),
    ],
)
def test_a_model_that_is_not_ours_is_refused_by_name_and_value(
    fields: dict[str, object], said: str, tmp_path: Path
) -> None:
    export(tmp_path / "out", GPT2_LIKE)
    with pytest.raises(FormatError) as caught:
        read_hf(changed(tmp_path / "out", **fields))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_three_dropouts_are_told_when_they_differ(tmp_path: Path) -> None:
    export(tmp_path / "out", GPT2_LIKE)
    with pytest.warns(UserWarning, match=r"dropouts of 0\.1, 0\.1, 0\.0"):
        assert read_hf(changed(tmp_path / "out", attn_pdrop=0.1, embd_pdrop=0.1)).config.dropout == 0.1


def test_a_pickle_is_refused_with_the_reason_and_the_remedy_and_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "it-ran",))

    export(tmp_path / "out", GPT2_LIKE)
    (tmp_path / "out" / "model.safetensors").unlink()
    (tmp_path / "out" / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FormatError, match=r"pytorch_model\.bin is a pickle, which can run any code .* safetensors"):
        read_hf(tmp_path / "out")
    assert not (tmp_path / "it-ran").exists()


def test_a_cut_or_foreign_weights_file_is_named(tmp_path: Path) -> None:
    export(tmp_path / "out", GPT2_LIKE)
    path = tmp_path / "out" / "model.safetensors"
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:100], b"", b"\xff" * 64, pickle.dumps({"a": 1})):
        path.write_bytes(broken)
        with pytest.raises(FormatError, match=r"model\.safetensors is not a safetensors file"):
            read_hf(tmp_path / "out")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", '{"model_type": NaN}', "\x00"])
def test_a_config_that_is_no_config_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FormatError, match=r"config\.json"):
        read_hf(tmp_path)


def test_a_model_of_neither_kind_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="norm = 'post' and final_norm = True"):
        write_hf(tmp_path, GPT2_LIKE.replace(norm="post"), {}, BytesTokenizer())
