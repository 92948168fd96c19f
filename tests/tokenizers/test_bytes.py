import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers import END_OF_TEXT, BytesTokenizer

TOKENIZER = BytesTokenizer()


@given(st.text())
def test_ids_are_the_bytes_and_come_back_as_the_text(text: str):
    ids = TOKENIZER.encode(text)
    assert bytes(ids) == text.encode()
    assert TOKENIZER.decode(ids) == text


def test_the_end_of_text_is_one_id_that_no_text_encodes_to():
    assert (TOKENIZER.n_vocab, TOKENIZER.eot_id, TOKENIZER.name) == (257, 256, "bytes")
    assert TOKENIZER.separator == ""
    assert TOKENIZER.decode([104, 105, 256]) == "hi<|endoftext|>"
    assert TOKENIZER.encode(END_OF_TEXT) == list(b"<|endoftext|>")


def test_a_batch_is_its_texts_one_by_one():
    assert TOKENIZER.encode_batch(["a", "", "é"]) == [[97], [], [195, 169]]


def test_broken_utf8_decodes_to_the_replacement_character():
    assert TOKENIZER.decode([97, 0xE4, 0xBD, 98]) == "a\ufffdb"


def test_surrogates_and_foreign_ids_are_refused():
    with pytest.raises(TokenizerError, match="position 1"):
        TOKENIZER.encode("a\udfff")
    with pytest.raises(TokenizerError, match=r"token id 257 is outside 0\.\.256"):
        TOKENIZER.decode([257])


def test_its_definition_has_no_room_for_more():
    assert BytesTokenizer.from_definition(TOKENIZER.definition()).fingerprint == TOKENIZER.fingerprint
    with pytest.raises(TokenizerError, match="got \\['kind', 'merges'\\]"):
        BytesTokenizer.from_definition({"kind": "bytes", "merges": []})


def test_arrays_hold_the_ids_that_lists_do():
    texts = ["a", "", "\u00e9\u732b"]
    arrays = TOKENIZER.encode_arrays(texts)
    assert [array.tolist() for array in arrays] == TOKENIZER.encode_batch(texts)
    assert {str(array.dtype) for array in arrays} == {"uint32"}


def test_its_fingerprint_is_the_hash_of_what_it_is():
    assert TOKENIZER.fingerprint == hashlib.sha256(b'{"kind":"bytes"}').hexdigest()
