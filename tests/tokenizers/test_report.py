import ast
import base64
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import DataError, TokenizerError
from gptrilogy.tokenizers import GPT1BPE, ByteLevelBPE, BytesTokenizer
from gptrilogy.tokenizers import report as module
from gptrilogy.tokenizers.base import Encoder, IdArray
from gptrilogy.tokenizers.pieces import SPACE
from gptrilogy.tokenizers.report import Script, measure, script_parts, shown

GREEK = "Όλοι οι άνθρωποι"


class Knows:
    """Each word is a token, if it is one of the few known; else, as with GPT-1, id 0."""

    eot_id = None
    separator = " "
    name = "knows"
    fingerprint = "none"
    special_tokens: Mapping[str, int] = {"_start_": 2}
    gap = SPACE

    def __init__(self, word: str) -> None:
        self.tokens = [b"<unk> ", f"{word} ".encode(), b"_start_ "]
        self.n_vocab = len(self.tokens)
        self.word = word

    def encode(self, text: str, *, allowed_special: Collection[str] = ()) -> list[int]:
        return [int(word == self.word) for word in text.split()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def encode_arrays(self, texts: Sequence[str]) -> list[IdArray]:
        return [np.array(ids, np.uint32) for ids in self.encode_batch(texts)]

    def encoder(self) -> Encoder:
        return lambda pieces, _: self.encode_arrays(pieces)

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode().removesuffix(" ")

    def token_bytes(self, token_id: int) -> bytes:
        return self.tokens[token_id]

    def definition(self) -> dict[str, Any]:
        return {"kind": "knows", "word": self.word}


@pytest.fixture(scope="module")
def gpt2(shared_data: Callable[[str], Path]) -> ByteLevelBPE:
    lines = shared_data("vocab/gpt2/vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
    pairs = (line.split(" ") for line in lines)
    return ByteLevelBPE((left, right) for left, right in pairs)


@pytest.fixture(scope="module")
def emma(shared_data: Callable[[str], Path]) -> str:
    return shared_data("text/austen/emma.txt").read_text(encoding="utf-8")


def test_bytes_cost_a_token_each_and_a_word_its_bytes_and_its_space():
    report = measure([GREEK, "sea the"], [BytesTokenizer()])
    (made,) = report.tokenizers
    assert report.n_bytes == made.n_tokens == len(GREEK.encode()) + 7
    assert made.bytes_per_token == 1
    assert report.scripts == (Script("Greek", "word", 3), Script("Latin", "word", 2))
    assert made.tokens_per_word == {"Greek": (2 * 4 + 2 * 2 + 2 * 8) / 3 + 1, "Latin": 4.0}


def test_tokens_of_long_texts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "GROUP_CHARS", 10)
    text = "ab &lt; ba\n<p> &lt; a\nab &amp; ba\n\nba ab" * 9
    tokenizers = [GPT1BPE("ab<>&p;lt", []), BytesTokenizer(), ByteLevelBPE([("a", "b"), ("Ġ", "ab")])]
    made = measure([text, "ba\nab", text], tokenizers).tokenizers
    for tokenizer, measured in zip(tokenizers, made, strict=True):
        assert measured.n_tokens == 2 * len(tokenizer.encode(text)) + len(tokenizer.encode("ba\nab"))


def test_a_word_weighs_as_often_as_it_occurs():
    tokenizer = ByteLevelBPE([("a", "b"), ("Ġ", "ab")])
    (made,) = measure(["ab ab ab", "xyz"], [tokenizer]).tokenizers
    assert made.n_tokens == 3 + 3
    assert made.tokens_per_word == {"Latin": (3 * 1 + 1 * 4) / 4}


def test_letters_of_scripts_without_spaces_count_one_by_one_and_share_tokens():
    tokenizer = ByteLevelBPE([("ä", "º"), ("äº", "º"), ("äºº", "äºº")])  # 人, then 人人
    report = measure(["人人人人。人"], [tokenizer])
    assert report.scripts == (Script("Han", "letter", 5),)
    assert report.tokenizers[0].tokens_per_word == {"Han": 3 / 5}


def test_marks_are_no_letters_of_their_own():
    report = measure(["ที่"], [BytesTokenizer()])
    assert report.scripts == (Script("Thai", "letter", 1),)
    assert report.tokenizers[0].tokens_per_word == {"Thai": 9.0}


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("don’t don't rock'n'roll ''quoted''", {"Latin": 4}),
        ("e\u0301tude 1815 x2 _a_ -", {"Latin": 3}),
        ("Москва-река", {"Cyrillic": 2}),
        ("αβγabc", {"Greek": 1, "Latin": 1}),
        ("می\u200cخواهم", {"Arabic": 1}),
        ("क्षेत्र में", {"Devanagari": 2}),
        ("コンピューター", {"Katakana": 7}),
        ("ひらがなと漢字", {"Hiragana": 5, "Han": 2}),
        ("한국어 韓", {"Hangul": 1, "Han": 1}),
        ("𐌰𐌱𐌲 µ", {"other": 2}),
        ("❤\ufe0f 12 … ½", {}),
    ],
)
def test_what_a_word_is_and_whose(text: str, scripts: dict[str, int]):
    assert {script.name: script.n_words for script in measure([text], [BytesTokenizer()]).scripts} == scripts


@given(text=st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_every_letter_is_in_one_part_of_one_script(text: str):
    for run in regex.findall(r"\p{L}[\p{L}\p{M}]*", text):
        parts = list(script_parts(run))
        assert "".join(part for _, part in parts) == run
        assert all(regex.match(r"\p{L}", part) for _, part in parts)


def test_a_word_of_a_million_letters_counts_as_many_and_takes_no_time():
    report = measure(["x" * 10**6], [BytesTokenizer()])
    assert report.scripts == (Script("Latin", "word", 10**6 // 64),)
    assert report.tokenizers[0].tokens_per_word == {"Latin": 65.0}


def test_bytes_a_token_of_gpt2_are_those_that_tiktoken_counts(
    gpt2: ByteLevelBPE, emma: str, shared_data: Callable[[str], Path]
):
    lines = shared_data("vocab/gpt2/gpt2.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    split = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    theirs = tiktoken.Encoding("gpt2", pat_str=split, mergeable_ranks=ranks, special_tokens={})
    ids = theirs.encode_ordinary(emma) + theirs.encode_ordinary(GREEK)
    (made,) = measure([emma, GREEK], [gpt2]).tokenizers
    assert made.n_tokens == len(ids)
    assert made.bytes_per_token == len((emma + GREEK).encode()) / len(ids)
    assert made.n_unused == 50_256 - len(set(ids))


def test_words_after_spaces_cost_gpt2_exactly_what_the_running_text_does(gpt2: ByteLevelBPE, emma: str):
    words: list[str] = regex.findall(r"\p{L}+(?:['’]\p{L}+)*", emma)
    greek = ["της", "θάλασσας", "και", "της", "Αθήνας"] * 9
    text = "".join(f" {word}" for word in random.Random(0).sample(words, k=50_000) + greek)
    report = measure([text], [gpt2])
    (made,) = report.tokenizers
    total = sum(made.tokens_per_word[script.name] * script.n_words for script in report.scripts)
    assert round(total, 6) == made.n_tokens
    assert made.tokens_per_word["Greek"] > 3 * made.tokens_per_word["Latin"]


def test_a_text_in_groups_has_the_numbers_of_the_whole(gpt2: ByteLevelBPE, emma: str, monkeypatch: pytest.MonkeyPatch):
    texts = [emma[:300_000], "", GREEK]
    whole = measure(texts, [gpt2])
    monkeypatch.setattr(module, "GROUP_CHARS", 1000)
    monkeypatch.setattr(module, "GROUP_WORDS", 100)
    assert measure(iter(texts), [gpt2]) == whole


def test_tokenizers_side_by_side_have_the_numbers_they_have_alone(tokenizer: ByteLevelBPE, corpus: list[str]):
    both = measure(corpus, [tokenizer, BytesTokenizer()])
    alone = [measure(corpus, [one]).tokenizers[0] for one in (tokenizer, BytesTokenizer())]
    assert list(both.tokenizers) == alone
    assert [(script.name, script.counted) for script in both.scripts] == [("Latin", "word"), ("Han", "letter")]


def test_tokens_are_listed_longest_most_frequent_and_unused():
    tokenizer = ByteLevelBPE([("a", "b"), ("ab", "ab"), ("c", "d"), ("abab", "abab"), ("e", "f")])
    (made,) = measure(["ababab " * 3, "!"], [tokenizer]).tokenizers
    assert [(token.text, token.size_bytes, token.n_seen) for token in made.longest[:3]] == [
        ("'abababab'", 8, 0),
        ("'abab'", 4, 3),
        ("'ab'", 2, 3),
    ]
    assert [token.text for token in made.longest_seen] == ["'abab'", "'ab'", "'!'", "' '"]
    assert [(token.text, token.n_seen) for token in made.most_frequent][-1] == ("'!'", 1)
    assert [token.text for token in made.unused] == ["'cd'", "'abababab'", "'ef'"]
    assert made.n_unused == tokenizer.n_vocab - 1 - 4  # <|endoftext|> is not expected in a text
    assert [tokenizer.token_bytes(token.id) for token in made.unused] == [b"cd", b"abababab", b"ef"]


def test_unknown_tokens_are_counted_apart():
    (made,) = measure(["the cat the"], [Knows("the")]).tokenizers
    assert (made.n_tokens, made.n_unknown, made.n_unused) == (3, 1, 0)
    assert [token.text for token in made.longest + made.most_frequent] == ["'the '", "'the '"]
    assert measure(["the"], [BytesTokenizer()]).tokenizers[0].n_unknown is None


def test_a_tokenizer_that_drops_the_whole_text_has_no_bytes_a_token():
    (made,) = measure([" \n "], [Knows("the")]).tokenizers
    assert (made.n_tokens, made.bytes_per_token, made.tokens_per_word) == (0, None, {})


def test_after_so_many_different_words_only_the_known_are_counted():
    texts = ["one two three two", "four one five five"]
    report = measure(texts, [BytesTokenizer()], max_distinct_words=2)
    assert report.scripts == (Script("Latin", "word", 4),)
    assert report.n_words_left_out == 4
    assert report.tokenizers[0].tokens_per_word == {"Latin": 4.0}
    assert report.n_bytes == sum(map(len, texts))


@given(content=st.binary())
def test_what_is_shown_of_a_token_prints_and_can_be_read_back(content: bytes):
    text = shown(content)
    assert text.isprintable()
    value = ast.literal_eval(text)
    assert (value if isinstance(value, bytes) else value.encode()) == content


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_is_refused(texts: list[str]):
    with pytest.raises(DataError, match="no text to measure: 0 characters"):
        measure(texts, [BytesTokenizer()])


def test_a_lone_surrogate_is_refused():
    with pytest.raises(TokenizerError, match=r"position 4 \(after 'the '\) holds U\+DC80"):
        measure(["the \udc80"], [BytesTokenizer()])


def test_progress_is_told_in_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "GROUP_CHARS", 3)
    told: list[int] = []
    measure(["né!", "abc", "d"], [BytesTokenizer()], on_progress=told.append)
    assert told == [4, 7, 8]
