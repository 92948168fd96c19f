"""The two engines of byte-level BPE give equal ids; the steady one is held to tiktoken and to the readable twin."""

import json
import pickle
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from gptrilogy.tokenizers import ByteLevelBPE, byte_bpe
from gptrilogy.tokenizers.engines import FastEngine, SteadyEngine, description, fast_engine
from gptrilogy.tokenizers.symbols import Pair, to_symbols, vocabulary
from odd_merges import merge_lists

pytest.importorskip("fastokens", reason="fastokens has no wheel for this platform")

MEGABYTE = 10**6
SNIPPETS = [
    "the", " cat", "'s", "'ll", "'LL", "1815", "½", "٣", "猫坐在垫子上", "한국", "हिन्दी", "é", "e\u0301",
    "👩\u200d👧", "1\ufe0f\u20e3", "\u1c89\ua7da\U00010d40", "\u088f\U00016ea0", " ", "  ", "\n", "\r\n", "\t",
    "\u00a0", "\u3000", "\x1c", "\x00", "\U0010ffff", "!=", "<|endoftext|>", "<|", "Ġ", "Ċ",
]  # fmt: skip
ATOMS = st.one_of(st.sampled_from(SNIPPETS), st.characters(exclude_categories=("Cs",)))
RUNS = st.tuples(ATOMS, st.integers(1, 2000)).map(lambda run: run[0] * run[1])
TEXTS = st.lists(st.one_of(ATOMS, RUNS), max_size=8).map("".join)


class Both:
    """The engines of one vocabulary, side by side."""

    def __init__(self, merges: Sequence[Pair]) -> None:
        ids = vocabulary(merges)
        self.fast, self.steady = FastEngine(ids, merges), SteadyEngine(ids, merges)

    def agree(self, texts: Sequence[str]) -> bool:
        fast, steady = self.fast.encode(texts), self.steady.encode(texts)
        return len(fast) == len(steady) and all(map(np.array_equal, fast, steady))


@pytest.fixture(scope="module")
def gpt2(shared_data: Callable[[str], Path]) -> Both:
    lines = shared_data("vocab/gpt2/vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]  # a version, an end
    return Both([(left, right) for left, right in (line.split(" ") for line in lines)])


@pytest.fixture(scope="module")
def learned(tokenizer: ByteLevelBPE) -> Both:
    return Both(tokenizer.merges)


@pytest.fixture(scope="module")
def gluing() -> Both:
    """Merges that show where words end: the last byte of a character joins the first of the next in the same word."""
    lasts = to_symbols(b"a1.'s \n\x1c\x80\xa0")
    firsts = to_symbols(bytes([*range(128), *range(0xC2, 0xF5)]))
    return Both([(last, first) for last in lasts for first in firsts])


@settings(max_examples=200)
@given(texts=st.lists(TEXTS, max_size=4))
def test_gpt2_has_equal_ids(gpt2: Both, texts: list[str]):
    assert gpt2.agree(texts)


@settings(max_examples=200)
@given(texts=st.lists(TEXTS, max_size=4))
def test_a_learned_vocabulary_has_equal_ids(learned: Both, texts: list[str]):
    assert learned.agree(texts)


@settings(max_examples=200)
@given(text=st.text(alphabet="as1.'lret \n\u00a0\u3000\x1c", max_size=60))
def test_words_end_at_the_same_places(gluing: Both, text: str):
    assert gluing.agree([text])


def test_every_character_is_a_letter_a_digit_or_a_space_to_both(gluing: Both):
    # Unicode keeps its letters and digits in planes 0 to 3 of 17; beyond, one character in 256 stands for the rest.
    codes = [*range(0xD800), *range(0xE000, 0x40000), *range(0x40000, 0x110000, 256)]
    assert gluing.agree(["".join(f"a{c}1{c}.{c}" for c in map(chr, codes))])


@settings(max_examples=50)
@given(merges=merge_lists(), text=st.text(alphabet="ab", max_size=400))
def test_merges_of_any_kind_have_equal_ids(merges: list[Pair], text: str):
    assert Both(merges).agree([text])


@pytest.mark.parametrize(
    "unit", ["a", " ", "\n", "\u00a0", "the", "猫坐在垫子上", "'", "7", "👩\u200d👧", "\x00", " \n"]
)
@pytest.mark.parametrize("end", ["", "a", " a"])
def test_long_runs_have_equal_ids(learned: Both, unit: str, end: str):
    assert learned.agree([unit * (MEGABYTE // 8 // len(unit)) + end])


@pytest.mark.parametrize("name", ["text/austen/emma.txt", "lm/wikitext-2-raw/wiki.test.raw", "vocab/gpt2/encoder.json"])
def test_real_text_has_equal_ids(gpt2: Both, shared_data: Callable[[str], Path], name: str):
    text = shared_data(name).read_text(encoding="utf-8")
    assert gpt2.agree([text, *text.splitlines()[:1000]])


@contextmanager
def never_slow(tokenizer: ByteLevelBPE) -> Generator[None]:
    """While this lasts, the fast engine takes every text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_bpe, "FAST_FROM_CHARS", 0)
        tokenizer.encode("")
        yield


def test_a_tokenizer_gives_the_same_ids_before_and_after_it_becomes_fast(tokenizer: ByteLevelBPE, corpus: list[str]):
    other = ByteLevelBPE(tokenizer.merges)
    before = other.encode_batch(corpus)
    with never_slow(other):
        assert other.encode_batch(corpus) == before
        assert other.encode_batch([]) == []
        assert [ids.tolist() for ids in other.encode_arrays(corpus)] == before


def test_a_long_text_makes_it_fast_once(tokenizer: ByteLevelBPE):
    engine = fast_engine(vocabulary(tokenizer.merges), tokenizer.merges)
    assert isinstance(engine, FastEngine)
    other = ByteLevelBPE(tokenizer.merges)
    other.encode("a" * (byte_bpe.FAST_FROM_CHARS - 1))
    assert isinstance(vars(other)["_engine"], SteadyEngine)
    other.encode("a" * byte_bpe.FAST_FROM_CHARS)
    fast = vars(other)["_engine"]
    assert isinstance(fast, FastEngine)
    other.encode("a" * byte_bpe.FAST_FROM_CHARS)
    assert vars(other)["_engine"] is fast


def test_it_is_described_as_hugging_face_has_it(tokenizer: ByteLevelBPE):
    described = description(vocabulary(tokenizer.merges), tokenizer.merges)
    read = json.loads(Tokenizer.from_str(json.dumps(described)).to_str())
    assert {key: read[key] for key in described if key != "model"} | {
        "model": {key: read["model"][key] for key in described["model"]}
    } == described


def test_a_fast_tokenizer_goes_to_another_process(tokenizer: ByteLevelBPE, corpus: list[str]):
    other = ByteLevelBPE(tokenizer.merges)
    with never_slow(other):
        copy = pickle.loads(pickle.dumps(other))
        assert copy.fingerprint == other.fingerprint
        assert copy.encode_batch(corpus) == other.encode_batch(corpus)
