import pytest

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.reference import apply_merges, encode_reference, learn_merges, split, train_reference

TOY = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
TOY_WORDS = {(*word, "</w>"): count for word, count in TOY.items()}


def test_the_toy_of_the_bpe_paper_is_learned_in_ten_merges():
    assert [" ".join(pair) for pair in learn_merges(TOY_WORDS, 10)] == [
        "e s", "es t", "est </w>", "l o", "lo w", "n e", "ne w", "new est</w>", "low </w>", "w i",
    ]  # fmt: skip


def test_ties_may_go_to_the_oldest_symbols_instead():
    assert [" ".join(pair) for pair in learn_merges(TOY_WORDS, 3, oldest_first=True)] == ["e s", "t </w>", "es t</w>"]
    shown_first = {("a", "c"): 2, ("a", "b"): 2}
    assert learn_merges(shown_first, 1) == [("a", "c")]
    assert learn_merges(shown_first, 1, oldest_first=True) == [("a", "b")]


def test_learning_stops_where_no_pair_comes_twice():
    assert learn_merges({("a", "b", "c"): 1}, 10) == []
    assert learn_merges({}, 10) == []
    assert train_reference(["ab ab"], 10) == [("a", "b")]


def test_of_a_text_the_oldest_symbols_are_merged_first():
    assert train_reference(["xc", "xc", "xb", "xb"], 1) == [("x", "b")]


def test_new_words_are_spelled_with_what_was_learned():
    ranks = {pair: rank for rank, pair in enumerate(learn_merges(TOY_WORDS, 10))}
    assert apply_merges([*"lowest", "</w>"], ranks) == ["low", "est</w>"]


def test_the_earliest_merge_goes_first_even_when_a_later_one_stands_before_it():
    assert apply_merges(list("abc"), {("b", "c"): 0, ("a", "b"): 1}) == ["a", "bc"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's IT'S", ["it", "'s", " IT", "'", "S"]),  # contractions are lower-case only
        ("a  b", ["a", " ", " b"]),  # the last space belongs to the word
        ("a  ", ["a", "  "]),
        ("a\n\nb", ["a", "\n", "\n", "b"]),
        ("x12y", ["x", "12", "y"]),
        (" ...!", [" ...!"]),
        ("猫12。", ["猫", "12", "。"]),
    ],
)
def test_the_split_of_gpt2(text: str, words: list[str]):
    assert split(text) == words


def test_a_lone_surrogate_is_refused_with_its_place_in_the_whole_text():
    with pytest.raises(TokenizerError, match="position 6"):
        encode_reference("two w \ud800", [])
