import base64
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers import END_OF_TEXT, ByteLevelBPE, BytesTokenizer
from gptrilogy.tokenizers.foreign import PAIRS, check_pieces, holds_tokenizer, read_foreign, read_pair, read_ranks
from gptrilogy.tokenizers.gpt1 import GPT1BPE
from gptrilogy.tokenizers.reference import SPLIT_PATTERN
from gptrilogy.tokenizers.symbols import byte_symbols, to_symbols

OPENAI = PAIRS[0]
KNOWN = st.characters(
    exclude_categories=("Cs", "Cn")
)  # `regex` engines may disagree on which of the newest are letters
TEXTS = st.text(KNOWN) | st.lists(
    st.sampled_from(["the", " I'll", "'S", "  ", "\n\n", "3.14", "naïve", "猫", "😀"])
).map("".join)

Encoder = dict[str, object]


def vocabulary_of(tokenizer: ByteLevelBPE) -> Encoder:
    return {to_symbols(tokenizer.token_bytes(i)): i for i in range(tokenizer.n_vocab)}


def write_pair(folder: Path, encoder: Mapping[str, object], merges: Sequence[str], names: tuple[str, str] = OPENAI):
    folder.mkdir(exist_ok=True)
    (folder / names[0]).write_text(json.dumps(dict(encoder)), encoding="utf-8")
    (folder / names[1]).write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def lines_of(tokenizer: ByteLevelBPE) -> list[str]:
    return [" ".join(pair) for pair in tokenizer.merges]


def ranks_of(tokens: Sequence[bytes]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def tokens_of(tokenizer: ByteLevelBPE) -> list[bytes]:
    return [tokenizer.token_bytes(i) for i in range(tokenizer.n_vocab - 1)]


@pytest.fixture(scope="module")
def openai_pair(shared_data: Callable[[str], Path]) -> ByteLevelBPE:
    found = read_pair(shared_data("vocab/gpt2"), OPENAI)
    assert isinstance(found, ByteLevelBPE)
    return found


@pytest.fixture(scope="module")
def openai_ranks(shared_data: Callable[[str], Path]) -> ByteLevelBPE:
    return read_ranks(shared_data("vocab/gpt2/gpt2.tiktoken"))


@pytest.fixture(scope="module")
def peer(shared_data: Callable[[str], Path]) -> tiktoken.Encoding:
    rows = (line.split() for line in shared_data("vocab/gpt2/gpt2.tiktoken").read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in rows}
    return tiktoken.Encoding("gpt2", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: 50_256})


class TestGPT2:
    def test_pair_and_ranks_are_one_tokenizer(self, openai_pair: ByteLevelBPE, openai_ranks: ByteLevelBPE):
        assert openai_pair.fingerprint == openai_ranks.fingerprint
        assert openai_pair.n_vocab == openai_ranks.n_vocab == 50_257
        assert openai_ranks.encode("Hello world") == [15496, 995]

    def test_a_folder_is_read_by_its_names(self, openai_pair: ByteLevelBPE, shared_data: Callable[[str], Path]):
        found = read_foreign(shared_data("vocab/gpt2"))
        assert found is not None
        assert found.fingerprint == openai_pair.fingerprint

    @given(text=TEXTS)
    def test_ids_are_those_of_tiktoken(self, openai_pair: ByteLevelBPE, peer: tiktoken.Encoding, text: str):
        assert openai_pair.encode(text) == peer.encode(text, disallowed_special=())

    @given(texts=st.lists(TEXTS, min_size=1, max_size=4))
    @settings(max_examples=30)
    def test_the_end_of_text_is_special_only_where_allowed(
        self, openai_pair: ByteLevelBPE, peer: tiktoken.Encoding, texts: list[str]
    ):
        text = END_OF_TEXT.join(texts)
        allowed = openai_pair.encode(text, allowed_special={END_OF_TEXT})
        assert allowed == peer.encode(text, allowed_special={END_OF_TEXT})
        assert allowed.count(50_256) == len(texts) - 1
        assert 50_256 not in openai_pair.encode(text)


class TestPairs:
    @pytest.mark.parametrize("names", PAIRS[:2])
    def test_both_names_of_either_file_lead_to_the_tokenizer(
        self, tokenizer: ByteLevelBPE, tmp_path: Path, names: tuple[str, str]
    ):
        write_pair(tmp_path, vocabulary_of(tokenizer), lines_of(tokenizer), names)
        for place in (tmp_path, *(tmp_path / name for name in names)):
            found = read_foreign(place)
            assert found is not None
            assert found.fingerprint == tokenizer.fingerprint

    def test_merges_may_lack_the_version_and_the_last_newline(self, tokenizer: ByteLevelBPE, tmp_path: Path):
        write_pair(tmp_path, vocabulary_of(tokenizer), [])
        (tmp_path / "vocab.bpe").write_text("\n".join(lines_of(tokenizer)), encoding="utf-8")
        assert read_pair(tmp_path, OPENAI).fingerprint == tokenizer.fingerprint

    def test_without_merges_and_with_each_byte_its_own_id_it_is_plain_bytes(self, tmp_path: Path):
        encoder: Encoder = {symbol: byte for byte, symbol in byte_symbols().items()}
        write_pair(tmp_path, encoder | {END_OF_TEXT: 256}, [])
        assert read_pair(tmp_path, OPENAI).fingerprint == BytesTokenizer().fingerprint
        write_pair(tmp_path, vocabulary_of(ByteLevelBPE([])), [])
        assert read_pair(tmp_path, OPENAI).fingerprint == ByteLevelBPE([]).fingerprint

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"ab": 300}, "'ab' has the id 300 among 258 tokens, 1 merges make it 256"),
            ({"ab": 257, END_OF_TEXT: 256}, "'ab' has the id 257"),
            ({"ab": None}, "the id of 'ab' must be a whole number from 0 to 600000, got None"),
            ({"ab": True}, "the id of 'ab' must be a whole number from 0 to 600000, got True"),
            ({"ab": 256.0}, "the id of 'ab' must be a whole number from 0 to 600000, got 256.0"),
            ({"ab": "256"}, "the id of 'ab' must be a whole number from 0 to 600000, got '256'"),
            ({"ab": float("nan")}, "the id of 'ab' must be a whole number from 0 to 600000, got nan"),
            ({"ab": [256] * 999}, "the id of 'ab' must be a whole number from 0 to 600000, got "),
            ({"abc": 258}, "no merge makes 'abc', whose id is 258; remove the token"),
            ({"abc": -1}, "the id of 'abc' must be a whole number from 0 to 600000, got -1"),
            ({"abc": 10**4000}, "the id of 'abc' must be a whole number from 0 to 600000, got 1000"),
            ({"<unk>": 258}, "no merge makes '<unk>', whose id is 258"),
        ],
    )
    def test_an_encoder_that_the_merges_do_not_build_is_refused(self, tmp_path: Path, changes: Encoder, complaint: str):
        write_pair(tmp_path, vocabulary_of(ByteLevelBPE([("a", "b")])) | changes, ["a b"])
        with pytest.raises(TokenizerError, match=complaint) as caught:
            read_pair(tmp_path, OPENAI)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / 'encoder.json'}: ")
        assert "\n" not in message
        assert len(message) < len(str(tmp_path)) + 350

    def test_an_encoder_without_the_end_of_text_is_refused(self, tmp_path: Path):
        encoder = vocabulary_of(ByteLevelBPE([("a", "b")]))
        del encoder[END_OF_TEXT]
        write_pair(tmp_path, encoder, ["a b"])
        with pytest.raises(TokenizerError, match=r"'<\|endoftext\|>' has no id among 257 tokens, .* make it 257"):
            read_pair(tmp_path, OPENAI)

    def test_merges_that_spell_the_end_of_text_leave_no_name_for_it(self, tmp_path: Path):
        pieces = [END_OF_TEXT[:i] for i in range(1, len(END_OF_TEXT) + 1)]
        spelt = ByteLevelBPE((one, other[-1]) for one, other in pairwise(pieces))
        (tmp_path / "encoder.json").write_text(json.dumps(vocabulary_of(spelt)))
        (tmp_path / "vocab.bpe").write_text("\n".join(lines_of(spelt)))
        with pytest.raises(TokenizerError, match="would be cut into"):
            read_pair(tmp_path, OPENAI)

    @pytest.mark.parametrize(
        ("merges", "complaint"),
        [
            (["a b", "", "c d"], "merge 1 must be two symbols with a space between, got ''"),
            (["a b", "a b c"], "merge 1 must be two symbols"),
            (["ab"], "merge 0 must be two symbols"),
            (["x" * 10**6], "merge 0 must be two symbols"),
            (["a b\r"], "merge 0 .* uses .*before it exists"),
            (["a b", "a b"], "merge 1 .* comes twice"),
            (["ab c"], "merge 0 .* uses 'ab' before it exists"),
            (["#version: 0.2"], "the token '#version:0.2' would be cut into"),
            ([f"{'a' * 2**i} {'a' * 2**i}" for i in range(12)], "the limit is 1024"),
            ([") ;", ");  Ċ"], "merge 1 must be two symbols"),
            ([") ;", "); Ċ"], r"the token '\);\\n' would be cut into \['\);', '\\n'\] by GPT-2's split pattern"),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_merges_that_are_none_of_gpt2_are_refused(self, tmp_path: Path, merges: list[str], complaint: str):
        write_pair(tmp_path, vocabulary_of(ByteLevelBPE([])), merges)
        with pytest.raises(TokenizerError, match=complaint) as caught:
            read_pair(tmp_path, OPENAI)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert len(str(caught.value)) < len(str(tmp_path)) + 400

    @pytest.mark.parametrize("names", PAIRS)
    @pytest.mark.parametrize("missing", [0, 1])
    def test_half_a_pair_names_the_other_half(self, tmp_path: Path, names: tuple[str, str], missing: int):
        write_pair(tmp_path, {}, [], names)
        (tmp_path / names[missing]).unlink()
        there = tmp_path / names[1 - missing]
        for place in (tmp_path, there):
            with pytest.raises(TokenizerError, match=f"{names[missing]} beside it, which is missing") as caught:
                read_foreign(place)
            assert str(caught.value).startswith(str(there))

    def test_merges_of_another_encoding_are_refused(self, tmp_path: Path):
        write_pair(tmp_path, vocabulary_of(ByteLevelBPE([("Ġ", "a")])), [])
        (tmp_path / "vocab.bpe").write_bytes("Ġ a\n".encode("utf-16"))
        with pytest.raises(TokenizerError, match=r"vocab\.bpe is not UTF-8 at byte 0"):
            read_pair(tmp_path, OPENAI)


class TestGPT1:
    def test_the_released_pair_is_read(self, shared_data: Callable[[str], Path]):
        found = read_foreign(shared_data("vocab/gpt1"))
        assert isinstance(found, GPT1BPE)
        assert (found.name, found.token_bytes(481), found.token_bytes(40_476)) == (
            "gpt1_bpe-40478",
            b"the ",
            b"bachelorette ",
        )

    @pytest.mark.parametrize("names", PAIRS)
    def test_its_kind_shows_in_the_encoder_under_whatever_names(self, tmp_path: Path, names: tuple[str, str]):
        original = GPT1BPE("ab", [("a", "b</w>"), ("a", "ab</w>")])
        write_pair(tmp_path, original.vocabulary, [" ".join(pair) for pair in original.merges], names)
        assert read_pair(tmp_path, names).fingerprint == original.fingerprint
        write_pair(tmp_path, {**original.vocabulary, "ab</w>": 1}, ["a b</w>"], names)
        with pytest.raises(TokenizerError, match=names[0]):
            read_pair(tmp_path, names)


class TestRanks:
    def test_merges_follow_from_ranks(self, tokenizer: ByteLevelBPE, tmp_path: Path):
        path = tmp_path / "ours.tiktoken"
        path.write_bytes(ranks_of(tokens_of(tokenizer)))
        assert read_ranks(path).merges == tokenizer.merges
        for place in (path, tmp_path):
            found = read_foreign(place)
            assert found is not None
            assert found.fingerprint == tokenizer.fingerprint

    def test_two_rank_files_in_a_folder_are_not_chosen_between(self, tmp_path: Path):
        for name in ("a.tiktoken", "b.tiktoken"):
            (tmp_path / name).write_bytes(ranks_of(tokens_of(ByteLevelBPE([]))))
        with pytest.raises(TokenizerError, match=r"holds a\.tiktoken and b\.tiktoken; name the file that is meant"):
            read_foreign(tmp_path)
        assert read_ranks(tmp_path / "b.tiktoken").n_vocab == 257

    @pytest.mark.parametrize(
        ("more", "complaint"),
        [
            (b"YWI= 257\n", r"line 257 must be a token .* and the rank 256, got 'YWI= 257'"),
            (b"YWI= 0256\n", "line 257 must be a token .* and the rank 256"),
            (b"YWI=\n", "line 257 must be a token"),
            (b"YWI= 256 \n", "line 257 must be a token"),
            (b"\nYWI= 256\n", "line 257 must be a token .* got ''"),
            (b"YWI= " + b"9" * 10**6, "line 257 must be a token"),
            (b"Y?I= 256\n", "line 257 is not base64"),
            (b"YWI 256\n", "line 257 is not base64"),
            (b"YW?I= 256\n", "line 257 is not base64"),
            ("YWÍ= 256\n".encode(), "line 257 is not base64"),
            (b" 256\n", "line 257 has a token of 0 bytes; 1 to 1024 are read"),
            (base64.b64encode(b"a" * 10**6) + b" 256\n", "line 257 has a token of 1,000,000 bytes"),
            (b"IQ== 256\n", "rank 256 is the token b'!' again, which has rank 0"),
            (b"YWJj 256\n", "rank 256, the token b'abc', is not two tokens of smaller rank merged; they leave 3 parts"),
            (b"YWI= 256\nYWI= 257\n", "rank 257 is the token b'ab' again, which has rank 256"),
            (base64.b64encode(b";\n") + b" 256\n", r"the token ';\\n' would be cut into \[';', '\\n'\]"),
        ],
        ids=lambda value: repr(value[:20]),
    )
    def test_a_line_that_cannot_be_is_named(self, tmp_path: Path, more: bytes, complaint: str):
        path = tmp_path / "other.tiktoken"
        path.write_bytes(ranks_of(tokens_of(ByteLevelBPE([]))) + more)
        with pytest.raises(TokenizerError, match=complaint) as caught:
            read_ranks(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value)) < len(str(path)) + 350

    @pytest.mark.parametrize("content", [b"", b"\n", ranks_of([bytes([byte]) for byte in range(256)]), b"IQ== 0\n"])
    def test_ranks_must_begin_with_the_bytes_in_gpt2s_order(self, tmp_path: Path, content: bytes):
        path = tmp_path / "other.tiktoken"
        path.write_bytes(content)
        with pytest.raises(TokenizerError, match=r"must be the byte 0x21|rank 1 must be the byte 0x22|line 1 must be"):
            read_ranks(path)

    # Tokens that these vocabularies are known for, and that GPT-2's pattern would cut.
    @pytest.mark.parametrize("token", [".get", "(self", ");\n", "\n\n}", " 3.1", "'LL", "</s", "don't"])
    def test_tokens_of_other_split_patterns_are_refused(self, token: str):
        with pytest.raises(TokenizerError, match="made for another one and would give other ids here"):
            check_pieces([to_symbols(b"half a character \xe2"), to_symbols(token.encode())])

    def test_the_longest_tokens_are_taken_apart_in_no_time(self, tmp_path: Path):
        runs = [b"a" * 2**i for i in range(1, 11)]
        path = tmp_path / "long.tiktoken"
        path.write_bytes(ranks_of([*tokens_of(ByteLevelBPE([])), *runs, *(b"a" * (1024 - n) for n in range(1, 200))]))
        with pytest.raises(TokenizerError, match="is not two tokens of smaller rank merged"):
            read_ranks(path)


def test_a_folder_says_by_its_names_whether_it_holds_a_tokenizer(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    assert not holds_tokenizer(tmp_path)
    assert not holds_tokenizer(tmp_path / "absent")
    assert read_foreign(tmp_path) is None
    for name in ("tokenizer.json", "vocab.bpe", "vocab.json", "encoder_bpe_40000.json", "x.tiktoken"):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / name).touch()
        assert holds_tokenizer(folder)
