"""Hashed words: equal to Spark's own, fast as slow, and untouched by the texts hashed beside."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.quality.features import (
    FEW_WORDS,
    WORDS_AT_ONCE,
    Features,
    Hasher,
    hashing_tf_reference,
    murmur3_reference,
    tokens_reference,
)
from gptrilogy.errors import ConfigError

SPARK = [json.loads(line) for line in Path(__file__).with_name("spark_4_3.jsonl").read_text("utf-8").splitlines()]
WORDS = st.text(st.sampled_from("abAB,é日😀\u00a0İ\ud800") | st.sampled_from(" \n\t\r\x0b\f"), max_size=80)
TEXTS = WORDS | st.text(max_size=40) | st.text("x ", min_size=60, max_size=200)


def as_dict(features: Features) -> dict[int, int]:
    return dict(zip(features.indices.tolist(), features.counts.tolist(), strict=True))


def test_words_and_features_are_those_of_spark() -> None:
    assert len(SPARK) == 200
    for row in SPARK:
        assert tokens_reference(row["text"]) == row["words"]
        assert hashing_tf_reference(row["text"]) == {int(index): count for index, count in row["features"].items()}


def test_the_fast_features_are_those_of_spark() -> None:
    for row, features in zip(SPARK, Hasher().batch([row["text"] for row in SPARK]), strict=True):
        assert as_dict(features) == {int(index): count for index, count in row["features"].items()}


def test_a_capital_sigma_is_final_by_unicodes_rule_where_java_has_its_own() -> None:
    assert tokens_reference("ΣΑΣ 𐐀Σ") == ["σας", "𐐨ς"]  # Spark on Java 17: 𐐨σ


@pytest.mark.parametrize(
    ("content", "seed", "expected"),
    [
        (b"", 0, 0),
        (b"", 1, 0x514E28B7),
        (b"\xff\xff\xff\xff", 0, 0x76293B50),
        (b"\x21\x43\x65\x87", 0x5082EDEE, 0x2362F9DE),
        (b"Hello, world!", 0x9747B28C, 0x24884CBA),
    ],
)
def test_murmur3_has_its_published_values(content: bytes, seed: int, expected: int) -> None:
    assert murmur3_reference(content, seed) == expected


@given(st.lists(TEXTS, max_size=6), st.sampled_from([1, 8, 1 << 18, 1 << 31]))
def test_the_fast_features_are_the_slow_ones(texts: list[str], n_features: int) -> None:
    fast = Hasher(n_features).batch(texts)
    assert [as_dict(features) for features in fast] == [hashing_tf_reference(text, n_features) for text in texts]
    assert all((np.diff(features.indices.astype(np.int64)) > 0).all() for features in fast)


@pytest.mark.parametrize("n_words", [1, FEW_WORDS, FEW_WORDS + 1, 3 * FEW_WORDS])
def test_words_of_all_lengths_side_by_side_and_one_by_one(n_words: int) -> None:
    text = " ".join("日é" * (word % 7) + "x" * 2 * word for word in range(n_words, 0, -1))
    assert as_dict(Hasher()(text)) == hashing_tf_reference(text)


def test_a_word_as_long_as_a_book() -> None:
    assert as_dict(Hasher()("日本" * 50_000)) == hashing_tf_reference("日本" * 50_000)


def test_more_words_than_are_hashed_at_once() -> None:
    text = " ".join(f"word{i % 1000}" for i in range(WORDS_AT_ONCE + 5)) + " last"
    assert as_dict(Hasher()(text)) == hashing_tf_reference(text)


def test_words_keep_their_order_and_repeats() -> None:
    words, bounds = Hasher().words(["b a b", "", "a"])
    alone = {word: Hasher()(word).indices[0] for word in ("a", "b", "")}
    assert words.tolist() == [alone[word] for word in ("b", "a", "b", "", "a")]
    assert bounds.tolist() == [0, 3, 4, 5]


def test_no_texts_have_no_features() -> None:
    assert Hasher().batch([]) == []


@pytest.mark.parametrize("n_features", [0, -8, 3, 262_143])
def test_a_number_of_features_that_is_no_power_of_two_is_refused(n_features: int) -> None:
    with pytest.raises(ConfigError, match=f"n_features must be a power of two, got {n_features}"):
        Hasher(n_features)
