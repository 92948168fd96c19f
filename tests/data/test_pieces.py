from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.data.pieces import batches, cut
from gptrilogy.tokenizers.bpe_training import train_byte_bpe
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE

words = st.text(st.sampled_from("ab \n\u00a0é"), max_size=60)


@given(text=words, size=st.integers(1, 20))
def test_pieces_make_the_whole_and_begin_at_the_space_before_a_word(text: str, size: int) -> None:
    pieces = list(cut(text, size))
    assert "".join(piece for piece, _ in pieces) == text
    assert [is_last for _, is_last in pieces] == [False] * (len(pieces) - 1) + [True]
    for (before, _), (after, _) in pairwise(pieces):
        assert len(before) >= size
        assert not before[-1].isspace()
        assert after[0] == " "
        assert not after[1].isspace()


@pytest.fixture(scope="module")
def bpe() -> ByteLevelBPE:
    return train_byte_bpe(["a b ab  ba\n\nab é aé éa a\u00a0b ab ab ba"] * 9, 270)


@settings(deadline=None)
@given(text=words, size=st.integers(1, 20))
def test_pieces_have_the_ids_of_the_whole(bpe: ByteLevelBPE, text: str, size: int) -> None:
    pieces = [piece for piece, _ in cut(text, size)]
    assert [token for ids in bpe.encode_batch(pieces) for token in ids] == bpe.encode(text)


@given(divided=st.lists(st.tuples(words, words)), size=st.integers(1, 50))
def test_batches_hold_every_text_of_every_part_and_say_where_it_ends(divided: list[tuple[str, str]], size: int) -> None:
    rebuilt: list[tuple[str, str]] = []
    texts = {"train": "", "valid": ""}
    for batch in batches(divided, size):
        for piece in batch:
            texts[piece.part] += piece.text
            if piece.ends_document:
                assert piece.ends_text
                rebuilt.append((texts["train"], texts["valid"]))
                texts = {"train": "", "valid": ""}
    assert rebuilt == [pair for pair in divided if any(pair)]


def test_a_batch_stays_near_its_size() -> None:
    divided = [("word " * number, "") for number in range(100)]
    for batch in batches(divided, 100):
        assert sum(len(piece.text) for piece in batch) < 100 + 100 + 5
