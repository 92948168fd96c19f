import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers import END_OF_TEXT, ByteLevelBPE, engines
from gptrilogy.tokenizers.pieces import PIECE_CHARS
from gptrilogy.tokenizers.reference import encode_reference
from gptrilogy.tokenizers.symbols import Pair
from odd_merges import merge_lists

# Characters that Python knows: the Rust engine and `regex` may disagree on which of the newest are letters.
KNOWN = st.characters(exclude_categories=("Cs", "Cn"))
SNIPPETS = [
    "the", " cat", "'s", "'ll", "'S", "’s", "isn't", "1815", "3.14", "½", "٣", "猫坐在", "垫子上。", "é", "e\u0301",
    "👩\u200d👩\u200d👧", "🇫🇷", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\x1c", "\x00", "\u200d",
    "def f(x):\n    ", "!=", "<|endoftext|>",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(alphabet=KNOWN),
    st.text(alphabet="ab' \n\t\u00a0"),
    st.text(alphabet=string.printable),
    st.lists(st.sampled_from(SNIPPETS)).map("".join),
)
MEGABYTE = 10**6


@given(text=TEXTS)
def test_ids_equal_those_of_the_readable_twin(tokenizer: ByteLevelBPE, text: str):
    assert tokenizer.encode(text) == encode_reference(text, tokenizer.merges)


@given(merges=merge_lists(), text=st.text(alphabet="ab", max_size=40))
def test_ids_equal_those_of_the_twin_for_merges_of_any_kind(merges: list[Pair], text: str):
    assert ByteLevelBPE(merges).encode(text) == encode_reference(text, merges)


@given(text=st.text())
def test_every_text_comes_back(tokenizer: ByteLevelBPE, text: str):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(texts=st.lists(TEXTS, max_size=5))
def test_a_batch_is_its_texts_one_by_one(tokenizer: ByteLevelBPE, texts: list[str]):
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_a_batch_larger_than_a_group_is_its_texts_one_by_one(tokenizer: ByteLevelBPE, monkeypatch: pytest.MonkeyPatch):
    texts = ["the cat", "", "sat on the mat", "the dog " * 9]
    expected = tokenizer.encode_batch(texts)
    monkeypatch.setattr(engines, "GROUP_CHARS", 5)
    assert tokenizer.encode_batch(texts) == expected


def test_a_text_of_many_pieces_equals_the_twin(tokenizer: ByteLevelBPE, corpus: list[str]):
    unit = "\n" + "\n".join(corpus)  # begins with a space and ends with a word, so each copy has the same ids
    n_copies = 3 * PIECE_CHARS // len(unit)
    assert tokenizer.encode(unit * n_copies) == encode_reference(unit, tokenizer.merges) * n_copies


@pytest.mark.parametrize("unit", ["a", " ", "\n", "\u00a0", "the", "猫坐在垫子上", "'", "7", "👩\u200d👧"])
def test_a_million_characters_without_a_break_come_back(tokenizer: ByteLevelBPE, unit: str):
    text = unit * (MEGABYTE // len(unit))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ids_are_the_bytes_then_the_merges_then_the_end_of_text():
    tokenizer = ByteLevelBPE([("Ġ", "a"), ("Ã", "©")])
    assert (tokenizer.n_vocab, tokenizer.eot_id, tokenizer.name) == (259, 258, "byte_bpe-259")
    assert [tokenizer.token_bytes(i) for i in (0, 187, 188, 220, 255)] == [b"!", b"\xff", b"\x00", b" ", b"\xad"]
    assert [tokenizer.token_bytes(i) for i in (256, 257, 258)] == [b" a", "é".encode(), b"<|endoftext|>"]


def test_without_merges_every_byte_is_a_token():
    tokenizer = ByteLevelBPE([])
    assert tokenizer.n_vocab == 257
    assert [tokenizer.token_bytes(token) for token in tokenizer.encode("né")] == [b"n", b"\xc3", b"\xa9"]
    assert tokenizer.encode("") == []
    assert tokenizer.encode_batch([]) == []


def test_the_end_of_text_written_in_a_text_is_ordinary(tokenizer: ByteLevelBPE):
    ids = tokenizer.encode(f"the end{END_OF_TEXT}the cat")
    assert tokenizer.eot_id not in ids
    assert tokenizer.decode(ids) == f"the end{END_OF_TEXT}the cat"
    assert tokenizer.decode([tokenizer.eot_id]) == END_OF_TEXT


def test_a_lone_surrogate_is_refused_in_any_text_of_a_batch(tokenizer: ByteLevelBPE):
    with pytest.raises(TokenizerError, match=r"position 4 \(after 'the '\) holds U\+DC80"):
        tokenizer.encode_batch(["the cat", "the \udc80"])


def test_a_lone_surrogate_is_refused_with_its_place_in_the_whole_text(tokenizer: ByteLevelBPE):
    with pytest.raises(TokenizerError, match=r"position 16 \(after "):
        tokenizer.encode(f"cat{END_OF_TEXT}\udc80", allowed_special={END_OF_TEXT})


def test_half_a_character_is_shown_as_one_that_cannot_be(tokenizer: ByteLevelBPE):
    assert tokenizer.decode(ByteLevelBPE([]).encode("é")[:1]) == "\ufffd"


@pytest.mark.parametrize("token_id", [-1, 400])
def test_an_id_outside_the_vocabulary_is_refused(tokenizer: ByteLevelBPE, token_id: int):
    with pytest.raises(TokenizerError, match=rf"token id {token_id} is outside 0\.\.399"):
        tokenizer.decode([0, token_id])


def test_equal_merges_have_equal_fingerprints_and_others_do_not():
    one, same, other = (ByteLevelBPE([("a", letter)]) for letter in "bbc")
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_its_definition_recreates_it(tokenizer: ByteLevelBPE):
    copy = ByteLevelBPE.from_definition(json.loads(json.dumps(tokenizer.definition())))
    assert copy.merges == tokenizer.merges
    assert copy.fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize("definition", [{"kind": "bytes", "merges": []}, {"kind": "byte_bpe"}])
def test_a_definition_of_something_else_is_refused(definition: dict[str, Any]):
    with pytest.raises(TokenizerError, match="a byte_bpe tokenizer has the fields 'kind' and 'merges', got "):
        ByteLevelBPE.from_definition(definition)
