"""The ids of `ByteLevelBPE` are those of tiktoken, with GPT-2's own vocabulary and with one learned here.

tiktoken itself gives up (a panic) on a million whitespace characters before a letter: such a text is held to its
definition instead.
"""

import base64
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken import Encoding
from tiktoken_ext import openai_public

from gptrilogy.tokenizers import END_OF_TEXT, ByteLevelBPE
from gptrilogy.tokenizers.pieces import PIECE_CHARS, pieces
from gptrilogy.tokenizers.reference import encode_reference
from gptrilogy.tokenizers.symbols import to_bytes, to_symbols

SPACES = "\t\n\x0b\x0c\r \x85\u00a0\u1680\u2000\u2003\u2007\u200a\u2028\u2029\u202f\u205f\u3000"
NEARLY_SPACES = "\x1c\x1f\u180e\u200b\u200d\u2060\ufeff"  # whitespace to `str.isspace`, or to older Unicode, or to none
YOUNG = "\u1c89\ua7da\U00010d40\U00016120\u088f\U00016ea0\U00016ff4\u0558\U0003d000"  # letters, digits of Unicode 16-18
SNIPPETS = [
    "the", " cat", "'s", "'ll", "'re", "'t", "'S", "'LL", "’s", "''", "1815", " 3.14", "½", "²", "Ⅻ", "٣", "१२",
    "猫坐在", "한국", "かな", "हिन्दी", "ไทย", "ابجد", "Жук", "ǅ", "ﬁ", "é", "e\u0301", "\u0345", "\u20dd",
    "👩\u200d👩\u200d👧", "🇫🇷", "👍🏽", "1\ufe0f\u20e3", "\r\n", "  ", "\x00", "\x1b[0m", "\x7f", "\ufffd", "\uffff",
    "\U0010ffff", "--", "!=", "$_", "<|endoftext|>", "<|", *SPACES, *NEARLY_SPACES,
]  # fmt: skip
ANY = st.characters(exclude_categories=("Cs",))
ATOMS = st.one_of(st.sampled_from([*SNIPPETS, *YOUNG]), ANY)
RUNS = st.tuples(ATOMS, st.integers(1, 700)).map(lambda run: run[0] * run[1])
TEXTS = st.one_of(
    st.text(alphabet=ANY),
    st.lists(ATOMS, max_size=40).map("".join),
    st.lists(st.one_of(ATOMS, RUNS), max_size=4).map("".join),
    st.text(alphabet="asr1'! \n\t\u00a0\u3000", max_size=40),
)

GOLDEN = [
    ("Hello world", [15496, 995]),
    ("we'll WE'LL we’ll", [732, 1183, 12887, 6, 3069, 356, 447, 247, 297]),
    ("a \u00a0b  c\n\n d", [64, 220, 1849, 65, 220, 269, 628, 288]),
    ("  \t\n", [220, 220, 197, 198]),
    ("\x1c a\x85b\u3000c\u200bd", [216, 257, 126, 227, 65, 5099, 222, 66, 9525, 67]),
    ("1²½٣ Ⅻ", [16, 31185, 23141, 149, 96, 2343, 227, 104]),
    ("e\u0301 é", [68, 136, 223, 38251]),
    ("猫坐在垫子上", [163, 234, 104, 161, 251, 238, 28839, 101, 161, 252, 104, 36310, 41468]),
    ("👩\u200d👧 🇫🇷", [41840, 102, 447, 235, 41840, 100, 12520, 229, 104, 8582, 229, 115]),
    ("<|endoftext|>", [27, 91, 437, 1659, 5239, 91, 29]),
]


def peer_of(tokenizer: ByteLevelBPE, ranks: dict[bytes, int] | None = None) -> Encoding:
    return Encoding(
        name="peer",
        pat_str=openai_public.r50k_pat_str,
        mergeable_ranks=ranks or {tokenizer.token_bytes(token): token for token in range(tokenizer.eot_id)},
        special_tokens={END_OF_TEXT: tokenizer.eot_id},
    )


@pytest.fixture(scope="module")
def gpt2(shared_data: Callable[[str], Path]) -> ByteLevelBPE:
    lines = shared_data("vocab/gpt2/vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]  # a version, an end
    pairs = (line.split(" ") for line in lines)
    return ByteLevelBPE((left, right) for left, right in pairs)


@pytest.fixture(scope="module")
def gpt2_peer(gpt2: ByteLevelBPE, shared_data: Callable[[str], Path]) -> Encoding:
    rows = (row.split() for row in shared_data("vocab/gpt2/gpt2.tiktoken").read_text(encoding="ascii").splitlines())
    return peer_of(gpt2, {base64.b64decode(token): int(rank) for token, rank in rows})


@pytest.fixture(scope="module")
def learned_peer(tokenizer: ByteLevelBPE) -> Encoding:
    return peer_of(tokenizer)


@pytest.fixture(scope="module")
def gluing() -> ByteLevelBPE:
    """Merges that show where words end: the last byte of a character joins the first of the next in the same word."""
    lasts = to_symbols(b"a1.'s \n\x1c\x80\xa0")  # U+3000 ends in the byte 80, U+00A0 in A0
    firsts = to_symbols(bytes([*range(128), *range(0xC2, 0xF5)]))
    return ByteLevelBPE((last, first) for last in lasts for first in firsts)


@pytest.fixture(scope="module")
def gluing_peer(gluing: ByteLevelBPE) -> Encoding:
    return peer_of(gluing)


@settings(max_examples=400)
@given(text=TEXTS)
def test_gpt2_gives_the_ids_of_tiktoken(gpt2: ByteLevelBPE, gpt2_peer: Encoding, text: str):
    assert gpt2.encode(text) == gpt2_peer.encode_ordinary(text)


@settings(max_examples=400)
@given(text=TEXTS)
def test_a_learned_vocabulary_gives_the_ids_of_tiktoken(tokenizer: ByteLevelBPE, learned_peer: Encoding, text: str):
    assert tokenizer.encode(text) == learned_peer.encode_ordinary(text)


@given(parts=st.lists(st.one_of(ATOMS, st.just(END_OF_TEXT)), max_size=12))
def test_an_allowed_end_of_text_gives_the_ids_of_tiktoken(gpt2: ByteLevelBPE, gpt2_peer: Encoding, parts: list[str]):
    text = "".join(parts)
    allowed = {END_OF_TEXT}
    assert gpt2.encode(text, allowed_special=allowed) == gpt2_peer.encode(text, allowed_special=allowed)


def test_every_character_is_a_letter_a_digit_or_a_space_where_it_is_to_tiktoken(
    gluing: ByteLevelBPE, gluing_peer: Encoding
):
    # Unicode keeps its letters and digits in planes 0 to 3 of 17; beyond, one character in 256 stands for the rest.
    codes = [*range(0xD800), *range(0xE000, 0x40000), *range(0x40000, 0x110000, 256)]
    text = "".join(f"a{c}1{c}.{c}" for c in map(chr, codes))
    assert [len(gluing.encode(pair)) for pair in ("aé", "a½", ".é", ".\u00a0")] == [2, 3, 3, 3]  # é is a letter
    assert gluing.encode(text) == gluing_peer.encode_ordinary(text)


@settings(max_examples=400)
@given(text=st.text(alphabet="as1.' \n\u00a0\u3000\x1c"), size=st.integers(1, 8))
def test_for_tiktoken_too_the_ids_of_the_pieces_are_those_of_the_text(gluing_peer: Encoding, text: str, size: int):
    encode = gluing_peer.encode_ordinary
    assert [token for part in pieces(text, size) for token in encode(part)] == encode(text)


@pytest.mark.parametrize(
    "name", ["text/austen/persuasion.txt", "lm/wikitext-2-raw/wiki.test.raw", "eval/lambada/lambada_test.jsonl"]
)
def test_real_text_whole_and_in_random_cuts_gives_the_ids_of_tiktoken(
    gpt2: ByteLevelBPE, gpt2_peer: Encoding, shared_data: Callable[[str], Path], name: str
):
    text = shared_data(name).read_text(encoding="utf-8")[: PIECE_CHARS + 100_000]
    assert len(text) > PIECE_CHARS  # so that it goes in pieces
    assert gpt2.encode(text) == gpt2_peer.encode_ordinary(text)
    rng = random.Random(0)
    starts = rng.choices(range(len(text)), k=300)
    cuts = [text[start : start + rng.randint(1, 300)] for start in starts]
    assert gpt2.encode_batch(cuts) == [gpt2_peer.encode_ordinary(cut) for cut in cuts]


@pytest.mark.parametrize("codec", ["utf-8", "latin-1"])
def test_a_crawled_page_gives_the_ids_of_tiktoken_even_in_the_wrong_encoding(
    gpt2: ByteLevelBPE, gpt2_peer: Encoding, shared_data: Callable[[str], Path], codec: str
):
    capture = gzip.decompress(shared_data("web/commoncrawl/whirlwind.warc.gz").read_bytes())
    text = capture.decode(codec, errors="replace")
    assert gpt2.encode(text) == gpt2_peer.encode_ordinary(text)


@pytest.mark.parametrize("space", [" ", "\u00a0"])
def test_a_million_spaces_leave_the_last_one_to_the_word(tokenizer: ByteLevelBPE, space: str):
    run = space * 10**6
    assert tokenizer.encode(f"{run} a") == tokenizer.encode(run) + tokenizer.encode(" a")


@pytest.mark.parametrize(("text", "ids"), GOLDEN)
def test_the_merges_of_gpt2_give_the_ids_of_gpt2(gpt2: ByteLevelBPE, text: str, ids: list[int]):
    assert gpt2.encode(text) == ids


def test_every_token_of_gpt2_has_the_id_of_encoder_json(gpt2: ByteLevelBPE, shared_data: Callable[[str], Path]):
    encoder = json.loads(shared_data("vocab/gpt2/encoder.json").read_text(encoding="utf-8"))
    expected = {token: to_bytes(symbol) for symbol, token in encoder.items() if symbol != END_OF_TEXT}
    assert {token: gpt2.token_bytes(token) for token in range(gpt2.n_vocab - 1)} == expected
    assert (encoder[END_OF_TEXT], gpt2.n_vocab) == (gpt2.eot_id, 50_257)


@settings(max_examples=10)
@given(text=st.lists(st.sampled_from(SNIPPETS), max_size=200).map("".join))
def test_gpt2_equals_the_twin(gpt2: ByteLevelBPE, text: str):
    assert gpt2.encode(text) == encode_reference(text, gpt2.merges)
