import errno
import os
import resource
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gptrilogy.errors import FormatError, MissingExtraError
from gptrilogy.files import replacing
from gptrilogy.interop import gguf as module
from gptrilogy.interop.gguf import check_gguf, write_gguf
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.tokenizers import END_OF_TEXT, ByteLevelBPE, BytesTokenizer, Tokenizer, train_byte_bpe
from gptrilogy.tokenizers.symbols import to_symbols

BY_HEART = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a "
    "wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, this "
    "truth is so well fixed in the minds of the surrounding families, that he is considered the rightful property of "
    "some one or other of their daughters."
)
TEXTS = [
    "we've, they'll, it's, I'm, he'd, you're, don't; WE'VE, it’s, ''s",
    "naïve café, e\u0301, Ελλάδα, 中文字, 👩\u200d👩\u200d👧 🇫🇷",
    "line\n\nline\r\n\r\n\tline\n",
    "one two   three          ten ",
    "1815, 3.14, 1,234,567, ½, ٣",
    f"a\x00b\x1cc\u00a0d\u3000e {END_OF_TEXT}",
    "",
]
N_PROMPT, N_NEW = 16, 32


@pytest.fixture(scope="session")
def llama_cpp() -> Generator[Any]:
    """llama.cpp's Python binding; without it skip, or fail where GPTRILOGY_REQUIRE_PEERS=1."""
    try:
        binding = import_module("llama_cpp")
    except ModuleNotFoundError:
        reason = "needs llama-cpp-python: `make peers` builds it"
        return pytest.fail(reason) if os.environ.get("GPTRILOGY_REQUIRE_PEERS") == "1" else pytest.skip(reason)
    yield binding
    for file in (binding._utils.outnull_file, binding._utils.errnull_file):
        file.close()  # or Python complains, at its own end, that nobody did


@pytest.fixture(scope="session")
def trained() -> ByteLevelBPE:
    return train_byte_bpe([BY_HEART], n_vocab=300)


@pytest.fixture(params=["trained", "bytes"])
def tokenizer(request: pytest.FixtureRequest, trained: ByteLevelBPE) -> Tokenizer:
    return trained if request.param == "trained" else BytesTokenizer()


def random_model(n_vocab: int, **changes: Any) -> GPT:
    """No weight small, no bias 0: whatever is mixed up or left out shows."""
    config = GPTConfig(n_vocab=n_vocab, n_ctx=20, n_embd=12, n_head=3, n_layer=2).replace(**changes)
    generator = torch.Generator().manual_seed(0)
    model = GPT(config, generator).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return model


def export(path: Path, model: GPT, tokenizer: Tokenizer) -> Path:
    with replacing(path) as temporary:
        assert write_gguf(temporary, model.config, model.state_dict(), tokenizer) == []
    return path


def contents(path: Path) -> dict[str, Any]:
    return {key: field.contents() for key, field in GGUFReader(path).fields.items()}


def test_the_file_holds_every_number_of_the_model(tmp_path: Path, tokenizer: Tokenizer) -> None:
    model = random_model(tokenizer.n_vocab)
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(export(tmp_path / "m.gguf", model, tokenizer)).tensors}
    for theirs, ours in {
        "token_embd.weight": model.wte.weight,
        "position_embd.weight": model.wpe.weight,
        "blk.0.attn_qkv.weight": model.get_parameter("h.0.attn.c_attn.weight"),
        "blk.1.attn_output.bias": model.get_parameter("h.1.attn.c_proj.bias"),
        "blk.1.ffn_up.weight": model.get_parameter("h.1.mlp.c_fc.weight"),
        "blk.0.ffn_down.weight": model.get_parameter("h.0.mlp.c_proj.weight"),
        "output_norm.bias": model.get_parameter("ln_f.bias"),
    }.items():
        assert tensors[theirs].tobytes() == ours.detach().numpy().tobytes(), theirs
        assert tensors[theirs].shape == ours.shape
    assert len(tensors) == len(model.state_dict())  # no output.weight: llama.cpp then takes token_embd.weight
    assert sum(tensor.size for tensor in tensors.values()) == sum(parameter.numel() for parameter in model.parameters())
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}


def test_the_file_says_what_the_model_is(tmp_path: Path) -> None:
    found = contents(export(tmp_path / "m.gguf", random_model(257), BytesTokenizer()))
    assert {key: value for key, value in found.items() if key.startswith(("general", "gpt2"))} == {
        "general.architecture": "gpt2",
        "general.type": "model",
        "general.file_type": 0,
        "gpt2.context_length": 20,
        "gpt2.embedding_length": 12,
        "gpt2.feed_forward_length": 48,
        "gpt2.block_count": 2,
        "gpt2.attention.head_count": 3,
        "gpt2.attention.layer_norm_epsilon": pytest.approx(1e-5, rel=1e-7),
    }


def test_weights_of_lower_precision_are_written_as_floats(tmp_path: Path) -> None:
    model = random_model(257).bfloat16()
    path = export(tmp_path / "m.gguf", model, BytesTokenizer())
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(path).tensors}
    assert tensors["token_embd.weight"].tobytes() == model.wte.weight.detach().float().numpy().tobytes()


def test_the_file_holds_tokens_merges_and_the_end_of_a_text(tmp_path: Path) -> None:
    tokenizer = ByteLevelBPE([("h", "e"), ("Ġ", "he"), ("Ã", "©")])
    found = contents(export(tmp_path / "m.gguf", random_model(260), tokenizer))
    tokens = found["tokenizer.ggml.tokens"]
    assert (tokens[0], tokens[187], tokens[220], tokens[255]) == ("!", "ÿ", "Ġ", "Ń")
    assert tokens[256:] == ["he", "Ġhe", "Ã©", "<|endoftext|>"]
    assert found["tokenizer.ggml.merges"] == ["h e", "Ġ he", "Ã ©"]
    assert found["tokenizer.ggml.token_type"] == [1] * 259 + [3]
    keys = ("model", "pre", "bos_token_id", "eos_token_id", "eot_token_id", "add_bos_token")
    assert [found[f"tokenizer.ggml.{key}"] for key in keys] == ["gpt2", "gpt-2", 259, 259, 259, False]


def test_bytes_are_tokens_in_their_own_order_and_without_merges(tmp_path: Path) -> None:
    found = contents(export(tmp_path / "m.gguf", random_model(257), BytesTokenizer()))
    tokens = found["tokenizer.ggml.tokens"]
    assert (tokens[0], tokens[10], tokens[32], tokens[65], tokens[255]) == ("Ā", "Ċ", "Ġ", "A", "ÿ")
    assert tokens[256] == END_OF_TEXT
    assert found["tokenizer.ggml.merges"] == []


@pytest.mark.parametrize("changes", [{"norm": "post", "final_norm": False}, {"norm": "post"}, {"final_norm": False}])
def test_a_gpt1_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"GGUF has no GPT-1: .* norm = '\w+' and final_norm = \w+; --to hf can"):
        export(tmp_path / "m.gguf", random_model(257, **changes), BytesTokenizer())
    assert list(tmp_path.iterdir()) == []


def test_heads_of_one_number_are_refused(tmp_path: Path) -> None:
    """llama.cpp aborts on them."""
    with pytest.raises(FormatError, match=r"heads one number wide: n_embd and n_head are both 7; --to hf can"):
        export(tmp_path / "m.gguf", random_model(257, n_embd=7, n_head=7), BytesTokenizer())
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_word_rules_is_refused(tmp_path: Path) -> None:
    class Words:
        n_vocab, name = 257, "words-257"

    with pytest.raises(FormatError, match=r"not the rules of the tokenizer words-257; --to hf can"):
        export(tmp_path / "m.gguf", random_model(257), cast("Tokenizer", Words()))
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_size_is_refused(tmp_path: Path, trained: ByteLevelBPE) -> None:
    with pytest.raises(FormatError, match=r"the model has 257 tokens, its tokenizer byte_bpe-300 has 300"):
        export(tmp_path / "m.gguf", random_model(257), trained)
    assert list(tmp_path.iterdir()) == []


def test_a_token_spelled_like_the_end_of_a_text_is_refused(tmp_path: Path) -> None:
    """llama.cpp finds tokens by their spelling and aborts the whole process where two are spelled alike."""
    starts = [END_OF_TEXT[:n] for n in range(1, len(END_OF_TEXT) + 1)]
    tokenizer = ByteLevelBPE((start, longer[-1]) for start, longer in pairwise(starts))
    with pytest.raises(FormatError, match=r"token 267 is spelled <\|endoftext\|> like the end of a text"):
        export(tmp_path / "m.gguf", random_model(tokenizer.n_vocab), tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"writing GGUF needs gguf, .* pip install 'gptrilogy\[export\]'"):
        export(tmp_path / "m.gguf", random_model(257), BytesTokenizer())
    assert list(tmp_path.iterdir()) == []


@contextmanager
def at_most(size_bytes: int) -> Generator[None]:
    """No file of this process may grow larger: what is left of a disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("size_bytes", "reason"),
    [(0, "File too large"), (1_000, "File too large"), (20_000, "the disk did not take all numbers, is it full")],
    ids=["at once", "in the tokens", "in the tensors"],
)
def test_a_disk_that_fills_up_leaves_the_old_file_and_no_other(size_bytes: int, reason: str, tmp_path: Path) -> None:
    path, model = tmp_path / "m.gguf", random_model(257, n_embd=16, n_head=2)
    path.write_bytes(b"old")
    with pytest.raises(OSError, match=rf"{reason}.*: '.*m\.gguf'") as caught, at_most(size_bytes):
        export(path, model, BytesTokenizer())
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_does_not_reach_the_disk_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(tmp_path / "m.gguf", random_model(257), BytesTokenizer())
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*m\.gguf"):
        export(path, random_model(257, n_layer=1), BytesTokenizer())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*/nowhere/"):
        export(tmp_path / "nowhere" / "m.gguf", random_model(257), BytesTokenizer())


@pytest.fixture
def without_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)


@pytest.mark.usefixtures("without_llama_cpp")
def test_a_check_without_llama_cpp_says_what_it_leaves_out(tmp_path: Path, tokenizer: Tokenizer) -> None:
    model = random_model(tokenizer.n_vocab)
    assert check_gguf(export(tmp_path / "m.gguf", model, tokenizer), model, tokenizer) == [
        "gguf: 18 settings and 28 tensors equal, to the bit",
        "logits and token ids: not checked, llama-cpp-python is not installed: pip install llama-cpp-python",
    ]


@pytest.mark.usefixtures("without_llama_cpp")
@pytest.mark.parametrize(
    ("n_layer", "key"),
    [(1, r"gpt2\.block_count is 2 in the file, not 1"), (3, r"gpt2\.block_count is 2 in the file, not 3")],
)
def test_a_check_of_another_models_file_names_the_setting(n_layer: int, key: str, tmp_path: Path) -> None:
    path = export(tmp_path / "m.gguf", random_model(257), BytesTokenizer())
    with pytest.raises(FormatError, match=key):
        check_gguf(path, random_model(257, n_layer=n_layer), BytesTokenizer())


@pytest.mark.usefixtures("without_llama_cpp")
def test_a_check_finds_one_bit(tmp_path: Path) -> None:
    model = random_model(257)
    path = export(tmp_path / "m.gguf", model, BytesTokenizer())
    content = bytearray(path.read_bytes())
    content[content.index(model.get_parameter("h.1.ln_2.bias").detach().numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        FormatError, match=r"the tensor blk\.1\.ffn_norm\.bias in the file is not the model's; write it again"
    ):
        check_gguf(path, model, BytesTokenizer())


@pytest.mark.usefixtures("without_llama_cpp")
def test_a_check_finds_another_merge(tmp_path: Path) -> None:
    one, other = (ByteLevelBPE([("a", "b"), pair]) for pair in (("a", "c"), ("a", "d")))
    model = random_model(259)
    with pytest.raises(FormatError, match=r"tokenizer\.ggml\.(tokens|merges) is \["):
        check_gguf(export(tmp_path / "m.gguf", model, one), model, other)


@pytest.mark.usefixtures("without_llama_cpp")
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.1, 0.9])
def test_a_check_of_a_file_cut_short_says_so(kept: float, tmp_path: Path) -> None:
    model = random_model(257)
    path = export(tmp_path / "m.gguf", model, BytesTokenizer())
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(FormatError, match=r"the file cannot be read again: .*; write it again"):
        check_gguf(path, model, BytesTokenizer())


def by_heart(tokenizer: Tokenizer) -> GPT:
    """A model that has learned the first 48 tokens of a text, so that no other token comes close to the next one."""
    config = GPTConfig(n_vocab=tokenizer.n_vocab, n_ctx=N_PROMPT + N_NEW, n_embd=32, n_head=4, n_layer=2)
    model = GPT(config, torch.Generator().manual_seed(0))
    ids = torch.tensor([tokenizer.encode(BY_HEART)[: config.n_ctx]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loss = model.loss(ids)
    while loss > 0.02:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss = model.loss(ids)
    return model.eval()


@dataclass(frozen=True)
class Peer:
    """One model here and, loaded from its file, there."""

    path: Path
    model: GPT
    tokenizer: Tokenizer
    llama: Any

    def encode(self, text: str) -> list[int]:
        return self.llama.tokenize(text.encode(), add_bos=False, special=False)


@pytest.fixture(scope="module", params=["gpt2", "trained", "bytes"])
def peer(
    request: pytest.FixtureRequest,
    llama_cpp: Any,
    trained: ByteLevelBPE,
    shared_data: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterable[Peer]:
    if request.param == "gpt2":
        lines = shared_data("vocab/gpt2/vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
        tokenizer = ByteLevelBPE((left, right) for left, right in (line.split(" ") for line in lines))
    else:
        tokenizer = trained if request.param == "trained" else BytesTokenizer()
    model = by_heart(tokenizer)
    path = export(tmp_path_factory.mktemp("gguf") / "m.gguf", model, tokenizer)
    f32 = llama_cpp.GGML_TYPE_F32
    llama = llama_cpp.Llama(
        str(path), n_ctx=model.config.n_ctx, n_threads=1, n_threads_batch=1, type_k=f32, type_v=f32, verbose=False
    )
    with closing(llama):
        yield Peer(path, model, tokenizer, llama)


def test_llama_cpp_goes_on_with_the_same_tokens(peer: Peer) -> None:
    ids = torch.tensor([peer.tokenizer.encode(BY_HEART)[:N_PROMPT]])
    for _ in range(N_NEW):
        with torch.inference_mode():
            best, second = peer.model(ids)[0, -1].topk(2).values
            assert best - second > 1, "the choice must be clear, for equality to mean something"
            ids = torch.cat([ids, peer.model(ids)[:, -1:].argmax(-1)], dim=1)
    ours = ids[0].tolist()
    theirs = list(islice(peer.llama.generate(ours[:N_PROMPT], top_k=1, temp=0.0), N_NEW))
    assert theirs == ours[N_PROMPT:]
    assert len(set(theirs)) > 5


def test_llama_cpp_recites_the_text(peer: Peer) -> None:
    ids = peer.tokenizer.encode(BY_HEART)
    prompt, rest = peer.tokenizer.decode(ids[:N_PROMPT]), peer.tokenizer.decode(ids[N_PROMPT : N_PROMPT + N_NEW])
    answer = peer.llama.create_completion(prompt, max_tokens=N_NEW, temperature=0.0)
    assert answer["choices"][0]["text"] == rest
    assert answer["usage"]["prompt_tokens"] == N_PROMPT  # nothing was put in front


@pytest.mark.parametrize("text", TEXTS)
def test_llama_cpp_gives_the_same_ids(peer: Peer, text: str) -> None:
    assert peer.encode(text) == peer.tokenizer.encode(text)


@settings(max_examples=60)
@given(text=st.text() | st.text(alphabet="ab'1 \n\t\u00a0,"))
def test_llama_cpp_gives_the_same_ids_for_any_text(peer: Peer, text: str) -> None:
    assert peer.encode(text) == peer.tokenizer.encode(text)


def test_llama_cpp_knows_the_end_of_a_text(peer: Peer) -> None:
    end = peer.tokenizer.eot_id
    assert (peer.llama.token_eos(), peer.llama.token_bos()) == (end, end)
    assert peer.llama.tokenize(END_OF_TEXT.encode(), add_bos=False, special=True) == [end]


def test_a_check_with_llama_cpp_compares_everything(llama_cpp: Any, tmp_path: Path, tokenizer: Tokenizer) -> None:
    model, untouched = random_model(tokenizer.n_vocab), random_model(tokenizer.n_vocab)
    numbers, logits, ids = check_gguf(export(tmp_path / "m.gguf", model, tokenizer), model, tokenizer)
    assert numbers == "gguf: 18 settings and 28 tensors equal, to the bit"
    assert logits.startswith("llama.cpp: logits of 40 tokens equal, largest difference ")
    assert ids == "llama.cpp: token ids of 4 texts equal"
    some = torch.arange(20)[None]
    assert torch.equal(model(some), untouched(some)), "a check must leave the model as it was"


def test_a_check_finds_a_model_that_computes_something_else(llama_cpp: Any, tmp_path: Path) -> None:
    model = random_model(257)
    path = export(tmp_path / "m.gguf", model, BytesTokenizer())
    assert len(check_gguf(path, model, BytesTokenizer())) == 3
    cast("nn.LayerNorm", model.get_submodule("h.1.ln_2")).eps = 1e-2
    with pytest.raises(FormatError, match=r"llama.cpp's logits differ from ours by \S+, more than"):
        check_gguf(path, model, BytesTokenizer())


def test_a_check_finds_a_tokenizer_that_splits_otherwise(llama_cpp: Any, tmp_path: Path) -> None:
    class Backwards(BytesTokenizer):
        def encode(self, text: str, **_: Any) -> list[int]:
            return super().encode(text)[::-1]

    model = random_model(257)
    with pytest.raises(FormatError, match=r"the exported tokenizer gives other ids for 'Hello world'"):
        check_gguf(export(tmp_path / "m.gguf", model, Backwards()), model, Backwards())


def test_a_file_that_llama_cpp_does_not_load_is_refused(
    llama_cpp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ARCHITECTURE", "gpt0")
    model = random_model(257)
    with pytest.raises(FormatError, match=r"llama.cpp cannot use the file: .*unknown model architecture: 'gpt0'"):
        check_gguf(export(tmp_path / "m.gguf", model, BytesTokenizer()), model, BytesTokenizer())


def test_a_file_of_which_llama_cpp_dies_is_refused(
    llama_cpp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alike(data: bytes) -> str:
        return "same" if data in {b"a", b"b"} else to_symbols(data)

    monkeypatch.setattr(module, "to_symbols", alike)
    model = random_model(257)
    with pytest.raises(FormatError, match=r"llama.cpp cannot use the file: .*GGML_ASSERT.*; please report this"):
        check_gguf(export(tmp_path / "m.gguf", model, BytesTokenizer()), model, BytesTokenizer())
