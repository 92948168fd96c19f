from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.tokenizers import ByteLevelBPE, BytesTokenizer, StreamDecoder


class WordTokenizer(BytesTokenizer):
    """Some words, of which all but the third end with the space that parts words."""

    separator = " "  # pyright: ignore[reportAssignmentType] - a property elsewhere
    words = (b"the ", b"cat ", b"un", b"seen ")

    def token_bytes(self, token_id: int) -> bytes:
        return self.words[token_id]


# Bytes that begin, continue and break characters, far more often than chance would have them.
UTF8_EDGES = st.sampled_from(
    [0x41, 0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xE4, 0xED, 0xA0, 0xF0, 0x9F, 0x90, 0xF4, 0xF8, 0xFF, 256]
)


@given(ids=st.lists(st.one_of(UTF8_EDGES, st.integers(0, 256))))
def test_streamed_bytes_put_together_are_the_decoded_text(ids: list[int]):
    stream = StreamDecoder(BytesTokenizer())
    pushed = [stream.push(token) for token in ids]
    assert "".join(pushed) + stream.finish() == BytesTokenizer().decode(ids)


@given(ids=st.lists(st.integers(0, 399)))
def test_streamed_tokens_put_together_are_the_decoded_text(tokenizer: ByteLevelBPE, ids: list[int]):
    stream = StreamDecoder(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.finish() == tokenizer.decode(ids)


@given(text=st.text(alphabet=st.characters(exclude_characters="\ufffd", exclude_categories=("Cs",))))
def test_half_a_character_is_never_shown(text: str):
    stream = StreamDecoder(BytesTokenizer())
    shown = ""
    for byte in text.encode():
        shown += stream.push(byte)
        assert text.startswith(shown)
    assert stream.finish() == ""


def test_a_character_appears_with_its_last_byte():
    stream = StreamDecoder(BytesTokenizer())
    assert [stream.push(byte) for byte in "猫".encode()] == ["", "", "猫"]


def test_after_the_finish_a_new_text_may_begin():
    stream = StreamDecoder(BytesTokenizer())
    assert stream.push(0xE7) + stream.finish() == "\ufffd"
    assert stream.push(ord("a")) + stream.finish() == "a"


def test_a_space_between_words_waits_for_the_next_word():
    stream = StreamDecoder(WordTokenizer())
    assert [stream.push(word) for word in (0, 1, 2, 3)] == ["the", " cat", " un", "seen"]
    assert stream.finish() == ""
    assert stream.push(0) == "the"  # a new text does not begin with the space after the last


def test_a_word_after_others_that_are_shown_already_is_parted_from_them():
    assert StreamDecoder(WordTokenizer(), after=[1, 0]).push(1) == " cat"
    assert StreamDecoder(WordTokenizer(), after=[0, 2]).push(3) == "seen"
    assert StreamDecoder(WordTokenizer(), after=[]).push(1) == "cat"
    assert StreamDecoder(BytesTokenizer(), after=[32]).push(97) == "a"
