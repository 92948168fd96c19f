import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import ConfigError, DataError, TokenizerError
from gptrilogy.tokenizers import bpe_training, piece_counts, train_byte_bpe
from gptrilogy.tokenizers.native_bpe import library
from gptrilogy.tokenizers.reference import train_reference
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES


def test_the_merges_equal_those_of_the_readable_twin(corpus: list[str]):
    assert list(train_byte_bpe(corpus, n_vocab=257 + 150).merges) == train_reference(corpus, 150)


@given(texts=st.lists(st.text(alphabet="ab é\n", min_size=1, max_size=30), min_size=1, max_size=5))
def test_the_merges_equal_those_of_the_twin_where_almost_all_pairs_tie(texts: list[str]):
    assert list(train_byte_bpe(texts, n_vocab=257 + 20).merges) == train_reference(texts, 20)


def test_training_twice_gives_the_same_tokenizer(corpus: list[str]):
    assert train_byte_bpe(corpus, 350).fingerprint == train_byte_bpe(iter(corpus), 350).fingerprint


def test_a_size_counts_the_bytes_and_the_end_of_text(corpus: list[str]):
    assert train_byte_bpe(corpus, 300).n_vocab == 300
    assert train_byte_bpe(corpus, 257).merges == ()


def test_a_text_too_small_for_the_size_gives_fewer_ids():
    tokenizer = train_byte_bpe(["abab"], n_vocab=5000)
    assert tokenizer.merges == (("a", "b"),)
    assert tokenizer.n_vocab == 258


def test_the_end_of_text_written_in_the_texts_is_not_learned_as_one_token():
    tokenizer = train_byte_bpe(["a<|endoftext|>b"] * 50, n_vocab=300)
    assert [tokenizer.token_bytes(i) for i in range(tokenizer.n_vocab)].count(b"<|endoftext|>") == 1


def test_one_endless_word_gives_no_endless_token():
    tokenizer = train_byte_bpe(["a" * 1_000_000], n_vocab=300)
    assert max(len(tokenizer.token_bytes(i)) for i in range(tokenizer.n_vocab)) == MAX_TOKEN_BYTES


@pytest.fixture
def by_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for texts of many megabytes, in groups of a hundred characters."""
    if library() is None:
        pytest.skip("there is no C++ compiler here")
    monkeypatch.setattr(bpe_training, "SMALL_CHARS", 0)
    monkeypatch.setattr(bpe_training, "GROUP_CHARS", 100)


def told(texts: Sequence[str], n_vocab: int) -> list[str]:
    said: list[str] = []
    train_byte_bpe(texts, n_vocab, on_progress=said.append)
    return said


@pytest.mark.usefixtures("by_kernel")
def test_many_groups_of_texts_give_the_merges_of_the_readable_twin(corpus: list[str]):
    assert sum(map(len, corpus)) > 300
    assert list(train_byte_bpe(corpus, n_vocab=257 + 150).merges) == train_reference(corpus, 150)


@pytest.mark.usefixtures("by_kernel")
def test_what_has_been_done_is_told(corpus: list[str], monkeypatch: pytest.MonkeyPatch):
    assert told(corpus, 257 + 50)[-1] == "learned 50 of 50 merges"
    monkeypatch.setattr(bpe_training, "GROUP_CHARS", 1_000_000)
    assert list(dict.fromkeys(told(["low lower lot slow x" * 50_000] * 3, 259))) == [
        *(f"counted {n} MB: 6 different pieces" for n in (1, 2, 3)),
        "learned 2 of 2 merges",
    ]


@pytest.mark.usefixtures("by_kernel")
def test_it_is_told_when_counts_become_estimates(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(piece_counts, "MAX_TABLE_BYTES", 100 * piece_counts.ENTRY_BYTES)
    counting = told([" ".join(f"word{n}" for n in range(start, start + 80)) for start in (0, 80)], 257)[-1]
    pieces, _, estimated = counting.removeprefix("counted 0 MB: ").partition(" different pieces")
    assert int(pieces) < 100
    assert re.fullmatch(r", of which 1 in \d+ counts", estimated)


@pytest.mark.parametrize("n_vocab", [-1, 0, 256])
def test_a_size_without_room_for_the_bytes_is_refused(n_vocab: int):
    with pytest.raises(ConfigError, match=f"n_vocab must be at least 257, got {n_vocab}"):
        train_byte_bpe(["text"], n_vocab)


def test_a_size_that_takes_all_of_memory_is_refused():
    with pytest.raises(ConfigError, match="n_vocab must be at most 500,000, got 2,000,000,000"):
        train_byte_bpe(["text"], 2_000_000_000)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_no_text_at_all_is_refused(texts: list[str]):
    with pytest.raises(DataError, match="there is no text to train a tokenizer on"):
        train_byte_bpe(texts, 300)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(TokenizerError, match=r"position 3 \(after 'bad'\)"):
        train_byte_bpe(["good", "bad\ud800"], 300)
