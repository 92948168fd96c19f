"""Words become running text and come back, whatever they are; rules of the harness give what the harness gives."""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import lm_eval.tasks
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gptrilogy.evaluation.detokenizing import (
    BILLION_WORDS,
    MAX_TOGETHER,
    NOVELS,
    PENN_TREEBANK,
    WIKITEXT,
    Detokenizer,
    harness_text,
)
from gptrilogy.evaluation.tasks.language_modelling import wikitext_pages

STYLES = [WIKITEXT, PENN_TREEBANK, NOVELS, BILLION_WORDS]
SNIPPETS = [
    "the", "Dr", "Dr.", "U.S.", "H.", "5", "1,000", "T4.5", ".", ",", "...", "'", '"', "``", "''", "`", "'s", "n't",
    "'tis", "(", ")", "-LRB-", "-RRB-", "@-@", "@,@", "@.@", "@", "-", "--", "=", "<unk>", "$", "%", "N", "\\/", "/",
    "O'Brien", "can't", "e\u0301", "猫", "a-b",
]  # fmt: skip
WORDS = st.lists(
    st.one_of(
        st.sampled_from(SNIPPETS),
        st.text(st.characters(exclude_categories=("Zs", "Zl", "Zp", "Cc", "Cs")), min_size=1),
        st.text("a.'\"-@,/1N`", min_size=1, max_size=6),
    ),
    max_size=30,
)


@pytest.mark.parametrize("style", STYLES)
@given(words=WORDS)
@example(words=["'"] * (3 * MAX_TOGETHER))
@example(words=["="] * (3 * MAX_TOGETHER))
def test_any_words_come_back(style: Detokenizer, words: list[str]):
    assert style.words(style.text(" ".join(words))) == words


@pytest.mark.parametrize(
    ("style", "line", "text"),
    [
        (
            WIKITEXT,
            " = = Sports = = \n The boys ' \" 3 @.@ 5 @-@ ton \" ( 1 @,@ 000 lb ) <unk> isn 't U.S. ; 5 % , $ 3 : so !",
            "== Sports == The boys' \"3.5-ton\" (1,000 lb) <unk> isn't U.S.; 5%, $3: so!",
        ),
        (WIKITEXT, " He met H. Smith and Dr. Who in the U.S. . ", "He met H. Smith and Dr. Who in the U.S.."),
        (
            PENN_TREEBANK,
            " the board did n't pay $ N million or N % for the <unk> 's N\\/N stake the companies ' mr. d'amato says ",
            "the board didn't pay $N million or N% for the <unk>'s N/N stake the companies' mr. d'amato says",
        ),
        (
            NOVELS,
            "`` I do n't -LRB- or wo n't -RRB- , '' said Mr. Fox ; `` ask the dogs ' ` King ' ! ''",
            "\"I don't (or won't),\" said Mr. Fox; \"ask the dogs' 'King'!\"",
        ),
        (
            BILLION_WORDS,
            '" I don \'t know , " he said -- the co-owner of $ 1,000 ( 5 % ) .',
            '"I don\'t know," he said -- the co-owner of $1,000 (5%).',
        ),
    ],
)
def test_a_line_reads_as_it_was_written(style: Detokenizer, line: str, text: str):
    assert style.text(line) == text


def test_a_word_that_would_be_read_as_two_stands_after_one_space_more():
    assert WIKITEXT.text("a -b c") == "a  -b c"
    assert WIKITEXT.words("a  -b c") == ["a", "-b", "c"]


def test_words_that_would_be_read_as_one_stay_apart():
    assert WIKITEXT.text("by Smith Jr .") == "by Smith Jr ."


@pytest.mark.parametrize("file", ["lm/wikitext-2/valid.txt", "lm/wikitext-2-raw/wiki.test.raw"])
def test_wikitext_comes_back_and_few_of_its_words_are_marked(shared_data: Callable[[str], Path], file: str):
    lines = shared_data(file).read_text(encoding="utf-8").splitlines()[::4]
    texts = [WIKITEXT.text(line) for line in lines]
    assert [WIKITEXT.words(text) for text in texts] == [line.split() for line in lines]
    n_words = sum(len(line.split()) for line in lines)
    assert sum(text.count("  ") for text in texts) < n_words / 1000
    assert sum(text.count(" ,") + text.count(" .") for text in texts) < n_words / 5000


def test_lambadas_development_text_comes_back(shared_data: Callable[[str], Path]):
    lines = shared_data("eval/lambada/lambada_development_plain_text.txt").read_text(encoding="utf-8").splitlines()
    some = lines[::10]
    assert [NOVELS.words(NOVELS.text(line)) for line in some] == [line.split() for line in some]


def harness_function() -> Callable[[dict[str, str]], str]:
    path = Path(lm_eval.tasks.__path__[0], "wikitext", "preprocess_wikitext.py")
    spec = spec_from_file_location("preprocess_wikitext", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.wikitext_detokenizer


@pytest.mark.parametrize("file", ["lm/wikitext-2/test.txt", "lm/wikitext-2/valid.txt"])
def test_a_page_is_what_the_harness_makes_of_it(shared_data: Callable[[str], Path], file: str):
    pages = [record["page"] for record in wikitext_pages(shared_data(file))]
    of_harness = harness_function()
    assert [harness_text(page) for page in pages] == [of_harness({"page": page}) for page in pages]


def test_the_harness_loses_what_ours_keeps():
    first, second = "( a ) N days", "(a ) 1 days"
    assert harness_text(f" {first} ") == harness_text(f" {second} ")
    assert WIKITEXT.text(first) != WIKITEXT.text(second)
