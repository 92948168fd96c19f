import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.documents import Document
from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.contamination import bloom as module
from gptrilogy.evaluation.contamination.bloom import (
    BloomFilter,
    Shared,
    random_grams,
    shared_grams,
    shared_grams_reference,
)

TEXTS = st.lists(st.lists(st.sampled_from(["a", "B,", "c", "é"]), max_size=15).map(" ".join), max_size=4)


def documents(texts: list[str]) -> list[Document]:
    return [Document(text, "x", "source") for text in texts]


@pytest.fixture(scope="module")
def held() -> BloomFilter:
    """Made for 300,000 numbers at GPT-2's rate, and full."""
    made = BloomFilter(300_000)
    made.add(random_grams(300_000, 8, seed=1))
    return made


@given(text=TEXTS, corpus=TEXTS, n=st.integers(1, 4))
def test_counts_equal_those_of_a_set(text: list[str], corpus: list[str], n: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RANDOM_STRINGS", 10)
        found = shared_grams([documents(text)], lambda: documents(corpus), n=n)
    assert found.texts == (shared_grams_reference(documents(text), documents(corpus), n=n),)


def test_the_share_of_a_text_counts_grams_as_often_as_they_occur() -> None:
    texts = [documents(["a b c a b c"]), documents(["a b"])]
    found = shared_grams(texts, lambda: documents(["x A B. C y"]), n=3)
    assert found.texts == (Shared(grams=4, found=2), Shared(0, 0))
    assert [text.share for text in found.texts] == [0.5, None]
    assert (found.corpus_grams, found.random_strings, found.random_found) == (3, 1_000_000, 0)


def test_a_million_random_strings_are_not_in_a_full_filter(held: BloomFilter) -> None:
    """At the bound of 1e-8 one of them would be, once in a hundred filters."""
    assert held.holds(random_grams(1_000_000, 8, seed=2)).sum() == 0
    assert held.holds(random_grams(300_000, 8, seed=1)).all()


@pytest.mark.parametrize("rate", [0.1, 1e-2, 1e-3])
def test_strangers_pass_a_full_filter_at_the_rate_it_was_made_for(rate: float) -> None:
    made = BloomFilter(100_000, rate=rate)
    made.add(random_grams(100_000, 8, seed=3))
    passed = int(made.holds(random_grams(1_000_000, 8, seed=4)).sum())
    assert 0.5 * rate * 1e6 < passed < rate * 1e6 * 1.15 + 5 * (rate * 1e6) ** 0.5  # whole probes and cells round it


def test_a_filter_past_the_limit_is_refused_before_it_is_made() -> None:
    with pytest.raises(ConfigError, match=r"1,800,000,000 grams at .* 1e-08 takes 8.63 GB, the limit is 4.29 GB"):
        BloomFilter(1_800_000_000)


def test_random_strings_are_drawn_anew_by_seed_and_differ() -> None:
    assert len(np.unique(random_grams(10_000, 8))) == 10_000
    assert not np.isin(random_grams(1000, 8, seed=1), random_grams(1000, 8, seed=2)).any()
