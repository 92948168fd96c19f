import random
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpt1_reference import standardized_reference, words_reference
from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers import gpt1_text as module
from gptrilogy.tokenizers.gpt1_text import HEAVY_STEPS, NEWLINE, English, Patience, standardized, steps, words

SPACES = st.sampled_from([" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u2028", "\x0b", "\x1d", ""])
# What spaCy's special cases are made of, with and without spaces between, which is where caching could go wrong.
PARTS = [
    ":", ";", "=", "8", "x", "X", "D", "O", "o", "0", "3", "<", ">", "^", "'", "’", "''", "''ve", "'ve", "'s", "s",
    "'d", "n't", "nt", "ca", "can", "she", "she's", "I", "a.m", "a.m.", "10a.m.", "p", "m", ".", "..", "Mr", "Mr.",
    "e.g", "t.", ":)", ":-)", "(:", "-_-", "(*_*)", "¯", "ツ", "°", "C.", "vs", "v.s.", "w/o", "\\", "\\n", "\\t",
    "5", "km", "$", "US$",
]  # fmt: skip
PIECED = st.lists(st.tuples(st.sampled_from(PARTS), SPACES), max_size=12).map(
    lambda pairs: "".join(a + b for a, b in pairs)
)
TEXTS = st.one_of(PIECED, st.text(max_size=40), st.text(alphabet=string.printable, max_size=40))


@given(text=TEXTS)
def test_standardising_equals_the_released_patterns(text: str):
    assert standardized(text) == standardized_reference(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C++\\C", "C + + \\C"),
        ('---~~~!!!""";;;???,,,', '--- ~~~ !!! """ ;;; ??? ,,,'),
        (")))(((///***[[[]]]}}}{{{|||___", "))) ((( /// *** [[[ ]]] }}} {{{ ||| ___"),
        ("a.b:c'd#e$f%g&h<i>j=k@l^m`n", "a.b:c'd#e$f%g&h<i>j=k@l^m`n"),
        ("—–―…´", "--- ...'"),
        (" \t\n \n\n a \r\n\u3000b\u00a0\u2003c\n", "a \n b c"),
        ("\n", ""),
    ],
)
def test_what_is_standardised(text: str, expected: str):
    assert standardized(text) == expected


@example(text="' ''ve t")
@example(text=": D : )")
@example(text="( * _ * )")
@given(text=TEXTS)
def test_words_equal_those_of_spacy_on_the_whole_text(text: str):
    assert list(words(text)) == [NEWLINE if word == "\n " else word for word in words_reference(text)]


def test_without_the_special_cases_that_reach_across_spaces_some_words_would_differ():
    english = English()
    assert list(english.independent("the ' ''ve cat")) == ["the", "' ''ve", "cat"]
    apart = [*english.words("'"), *english.words("''ve")]
    assert list(english.words("' ''ve")) != apart


def test_a_full_cache_and_a_new_spacy_change_no_word(corpus: list[str], monkeypatch: pytest.MonkeyPatch):
    runs = standardized(" ".join(corpus)).split()[:8] * 2
    english, other = English(), English()
    expected = [other.words(run) for run in runs]
    first = vars(english)["_tokenizer"]
    monkeypatch.setattr(module, "CACHED_RUNS", 2)
    monkeypatch.setattr(module, "MAX_STRINGS", 0)
    assert [english.words(run) for run in runs] == expected
    assert vars(english)["_tokenizer"] is not first
    assert len(vars(english)["_known"]) <= 2


def test_spacy_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch):
    english = English()
    first = english.words("can't")
    monkeypatch.setitem(vars(english), "_tokenizer", None)
    assert english.words("can't") == first == ("ca", "n't")


def test_no_text_has_no_words():
    assert [list(words(text)) for text in ("", " ", "\n\n", "\u00a0")] == [[], [], [], []]


def test_steps_grow_with_the_punctuation_at_the_ends_only():
    assert steps("a" * 1000) == steps("1" * 1000) == steps("-" * 1000) == 1000
    assert steps("a'b=c.d" * 100) == 700
    assert steps("." * 1000) == 3000  # spaCy takes a row of dots at once, tried from either end
    assert steps("=" * 1000) == steps(".=" * 500) == 1000 * 1001
    assert steps("x" + "'s" * 100) == 201 * 201
    assert steps("a:" * 100) == 200 * 102
    assert steps("US$" * 100) == 300 * 301  # one of three letters is a dollar's
    assert steps("A$" * 50 + "C$" * 50) == 200 * 201


def test_heavy_runs_are_counted_once_and_light_ones_never():
    patience = Patience(0)
    for _ in range(10):
        patience.spend("=" * 1000)
        patience.spend("word" * 500_000)
    with pytest.raises(TokenizerError, match=f"the 999 characters '=+'... take .* the limit is {HEAVY_STEPS:,};"):
        patience.spend("=" * 999 + " word")


def test_a_long_text_has_more_patience():
    Patience(n_chars=10**6).spend("=" * 1500)
    with pytest.raises(TokenizerError, match="would take too long"):
        Patience(n_chars=1500).spend("=" * 1500)


def test_many_short_runs_of_punctuation_are_refused_as_well():
    rng = random.Random(0)
    with pytest.raises(TokenizerError, match="would take too long over punctuation without spaces: the 40 characters"):
        list(words(" ".join("".join(rng.choices("=%$'&<>:#@.`", k=40)) for _ in range(25_000))))
