from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt1_reference import words_reference
from gptrilogy.errors import ConfigError, DataError, TokenizerError
from gptrilogy.tokenizers import GPT1BPE, train_gpt1_bpe
from gptrilogy.tokenizers.gpt1_training import count_words, from_counts
from gptrilogy.tokenizers.reference import learn_merges
from gptrilogy.tokenizers.symbols import Pair


def train_reference(texts: list[str], n_merges: int) -> list[Pair]:
    """The same merges by counting all pairs anew for each."""
    counts = Counter(word for text in texts for word in words_reference(text) if word != "\n ")
    marked = {(*word[:-1], word[-1] + "</w>"): count for word, count in counts.items()}
    return learn_merges(marked, n_merges, oldest_first=True)


def trained(texts: Iterable[str], n_merges: int) -> GPT1BPE:
    return from_counts(count_words(texts), n_merges)


def test_the_merges_equal_those_of_the_readable_twin(corpus: list[str]):
    assert list(trained(corpus, 120).merges) == train_reference(corpus, 120)


@given(texts=st.lists(st.text(alphabet="ab é.\n", min_size=1, max_size=30), min_size=1, max_size=5))
def test_the_merges_equal_those_of_the_twin_where_almost_all_pairs_tie(texts: list[str]):
    texts.append("a")  # so that there is a word
    assert list(trained(texts, 20).merges) == train_reference(texts, 20)


def test_characters_come_by_frequency_and_then_by_code_point():
    tokenizer = trained(["Cab\nB é é é"], 0)
    assert tokenizer.characters == ("é", "b", "a", "c")
    assert tokenizer.n_vocab == 1 + 2 * 4 + 1


def test_every_word_of_the_texts_can_be_encoded(corpus: list[str]):
    tokenizer = trained(corpus, 20)
    assert tokenizer.name == f"gpt1_bpe-{2 + 2 * len(tokenizer.characters) + 20}"
    assert not any(0 in ids for ids in tokenizer.encode_batch(corpus))


def test_training_twice_gives_the_same_tokenizer(corpus: list[str]):
    assert trained(corpus, 100).fingerprint == trained(iter(corpus), 100).fingerprint


def test_a_text_too_small_for_so_many_merges_gives_fewer():
    assert train_gpt1_bpe(["ab ab"], 1000).merges == (("a", "b</w>"),)


def test_the_vocabulary_has_the_size_that_was_asked_for(corpus: list[str]):
    assert train_gpt1_bpe(corpus, 150).n_vocab == 150


def test_one_endless_word_gives_characters_but_no_merges():
    tokenizer = trained(["x" + "a" * 100_000 + " bc bc"], 100)
    assert (tokenizer.characters, tokenizer.merges) == (("a", "b", "c", "x"), (("b", "c</w>"),))


def test_a_vocabulary_too_small_for_the_characters_is_refused():
    assert train_gpt1_bpe(["text"], 8).merges == ()
    with pytest.raises(ConfigError, match="n_vocab must be at least 8 for this text, got 7"):
        train_gpt1_bpe(["text"], 7)
    with pytest.raises(ConfigError, match="n_vocab must be at most 500,000, got 2,000,000,000"):
        train_gpt1_bpe(["text"], 2_000_000_000)


@pytest.mark.parametrize("texts", [[], ["", "\n \n"]])
def test_no_text_at_all_is_refused(texts: list[str]):
    with pytest.raises(DataError, match="there is no text to train a tokenizer on"):
        train_gpt1_bpe(texts, 10)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(TokenizerError, match=r"position 3 \(after 'bad'\)"):
        train_gpt1_bpe(["good", "bad\ud800"], 10)
