from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.data.pieces import batches
from gptrilogy.data.split import Chunk
from gptrilogy.tokenizers import GPT1BPE, BytesTokenizer, Tokenizer, train_byte_bpe
from gptrilogy.tokenizers.pieces import ANYWHERE, LINE, SPACE, Gap

words = st.text(st.sampled_from("ab \n\u00a0é"), max_size=60)
damaged = st.lists(st.sampled_from(["a", "b", " ", "\n", "\r\n", "<", "&lt;", "&amp;", "Ã©", "Ã", "â€", ":", "D"])).map(
    "".join
)
gaps = st.sampled_from([SPACE, LINE, ANYWHERE])
sizes = st.integers(1, 20)
BPE = train_byte_bpe(["a b ab  ba\n\nab é aé éa a\u00a0b ab ab ba"] * 9, 270)

GPT1 = GPT1BPE("ab<>&é:d", [])


def chunked(train: str, valid: str, size: int) -> Iterator[Chunk]:
    """A divided document, in chunks of so many characters."""
    for part, text in (("train", train), ("valid", valid)):
        for start in range(0, len(text), size):
            yield Chunk(part, text[start : start + size])


def cut(text: str, size: int, gap: Gap, chunk: int = 7) -> list[str]:
    return [piece.text for batch in batches([chunked(text, "", chunk)], size, gap) for piece in batch]


@given(text=words, size=sizes)
def test_pieces_make_the_whole_and_begin_at_a_line_break_after_a_word(text: str, size: int) -> None:
    pieces = cut(text, size, LINE)
    assert "".join(pieces) == text
    for before, after in pairwise(pieces):
        assert len(before) >= size
        assert not before[-1].isspace()
        assert after[0] == "\n"


@pytest.mark.parametrize("tokenizer", [BPE, BytesTokenizer(), GPT1], ids=["byte_bpe", "bytes", "gpt1_bpe"])
@settings(deadline=None)
@given(texts=st.lists(st.one_of(words, damaged), min_size=1, max_size=3), size=sizes)
def test_pieces_have_the_ids_of_the_whole(tokenizer: Tokenizer, texts: list[str], size: int) -> None:
    encode = tokenizer.encoder()
    for text in texts:
        pieces = cut(text, size, tokenizer.gap)
        found = [encode([piece], [number == 0])[0].tolist() for number, piece in enumerate(pieces)]
        assert [token for ids in found for token in ids] == tokenizer.encode(text)


@given(text=words, size=sizes, gap=gaps, chunk=st.integers(1, 70))
def test_in_what_chunks_a_text_comes_does_not_matter(text: str, size: int, gap: object, chunk: int) -> None:
    gap = cast("Gap", gap)
    assert cut(text, size, gap, chunk) == cut(text, size, gap, len(text) or 1)


@given(divided=st.lists(st.tuples(words, words)), size=st.integers(1, 50), gap=gaps, chunk=st.integers(1, 70))
def test_batches_hold_every_text_of_every_part_and_say_where_it_ends(
    divided: list[tuple[str, str]], size: int, gap: object, chunk: int
) -> None:
    rebuilt: list[tuple[str, str]] = []
    texts = {"train": "", "valid": ""}
    ended: list[str] = []
    for batch in batches([chunked(*pair, chunk) for pair in divided], size, cast("Gap", gap)):
        for piece in batch:
            assert piece.part not in ended
            texts[piece.part] += piece.text
            ended += [piece.part] * piece.ends_text
            if piece.ends_document:
                assert sorted(ended) == [part for part, text in texts.items() if text]
                rebuilt.append((texts["train"], texts["valid"]))
                texts, ended = {"train": "", "valid": ""}, []
    assert rebuilt == [pair for pair in divided if any(pair)]


def test_a_batch_stays_near_its_size() -> None:
    divided = [chunked("word\n" * number, "", 1000) for number in range(100)]
    for batch in batches(divided, 100, LINE):
        assert sum(len(piece.text) for piece in batch) < 100 + 100 + 5
