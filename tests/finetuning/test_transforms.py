"""The four transformations, read from GPT-1's Figure 1 and spelt out in ids; and what happens to texts too long."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import ConfigError, TokenizerError
from gptrilogy.finetuning.tasks import KINDS, Example, KindName
from gptrilogy.finetuning.transforms import SpecialTokens, fit, transform
from gptrilogy.tokenizers import BytesTokenizer, Tokenizer, load_tokenizer

START, DELIMITER, EXTRACT = 257, 258, 259
BYTES = BytesTokenizer()
EXAMPLES: dict[KindName, Example] = {
    "classification": Example(("abcdefgh",)),
    "entailment": Example(("abcdefgh", "ij")),
    "similarity": Example(("abcdefgh", "ij")),
    "choice": Example(("abcdefgh", "ij"), ("k", "lmnopqrs")),
    "regression": Example(("abcdefgh", "ij")),
}


def sequences(
    kind: KindName, example: Example, tokenizer: Tokenizer = BYTES, *, n_ctx: int = 64
) -> tuple[tuple[int, ...], ...]:
    """What an example becomes where nothing has to be cut."""
    (made,) = transform(kind, [example], tokenizer, n_ctx=n_ctx)
    assert not made.is_cut
    return made.sequences


def test_every_kind_has_an_example_here() -> None:
    assert EXAMPLES.keys() == KINDS.keys()


def test_a_text_stands_between_start_and_extract() -> None:
    assert sequences("classification", Example(("hi",))) == ((257, 104, 105, 259),)
    assert sequences("regression", Example(("hi",))) == ((257, 104, 105, 259),)


def test_premise_and_hypothesis_are_one_sequence_with_a_delimiter_between() -> None:
    assert sequences("entailment", Example(("ab", "c"))) == ((257, 97, 98, 258, 99, 259),)


@pytest.mark.parametrize("kind", ["similarity", "regression"])
def test_two_texts_without_an_order_come_in_both(kind: KindName) -> None:
    both = ((257, 97, 98, 258, 99, 259), (257, 99, 258, 97, 98, 259))
    assert sequences(kind, Example(("ab", "c"))) == both
    assert sequences(kind, Example(("c", "ab"))) == both[::-1]


def test_each_answer_follows_context_and_question_which_no_delimiter_parts() -> None:
    example = Example(("ab", "c"), ("d", "ef", "g"))
    assert sequences("choice", example) == (
        (257, 97, 98, 32, 99, 258, 100, 259),  # 32: the space that makes the question a word of its own
        (257, 97, 98, 32, 99, 258, 101, 102, 259),
        (257, 97, 98, 32, 99, 258, 103, 259),
    )


@pytest.mark.parametrize("texts", [("ab", ""), ("", "ab")])
def test_where_context_or_question_is_missing_no_space_is_added(texts: tuple[str, str]) -> None:
    assert sequences("choice", Example(texts, ("c", "d"))) == (
        (257, 97, 98, 258, 99, 259),
        (257, 97, 98, 258, 100, 259),
    )


@pytest.mark.parametrize("n", [2, 3, 26])
def test_a_choice_has_as_many_sequences_as_answers(n: int) -> None:
    answers = tuple(chr(ord("a") + number) for number in range(n))
    found = sequences("choice", Example(("?", ""), answers))
    assert found == tuple((START, ord("?"), DELIMITER, ord(answer), EXTRACT) for answer in answers)


def test_examples_of_a_batch_do_not_mix() -> None:
    examples = [Example(("ab", "c"), ("d", "e", "f")), Example(("", "g"), ("h", "ij")), Example(("k", ""), ("l", "m"))]
    together = transform("choice", examples, BYTES, n_ctx=64)
    assert [made.sequences for made in together] == [sequences("choice", example) for example in examples]


def test_gpt1_vocabulary_puts_the_special_tokens_at_40478(shared_data: Callable[[str], Path]) -> None:
    tokenizer = load_tokenizer(shared_data("vocab/gpt1"))
    cat, rain, nobody, salt, ice = [481, 3387, 1305, 239], [507, 12271], [3362, 3764], [6953], [755]
    assert sequences("classification", Example(("The cat sat.",)), tokenizer) == ((40478, *cat, 40480),)
    assert sequences("entailment", Example(("It rained", "Nobody slept")), tokenizer) == (
        (40478, *rain, 40479, *nobody, 40480),
    )
    assert sequences("similarity", Example(("It rained", "Nobody slept")), tokenizer) == (
        (40478, *rain, 40479, *nobody, 40480),
        (40478, *nobody, 40479, *rain, 40480),
    )
    assert sequences("choice", Example(("The cat sat.", "It rained"), ("salt", "ice")), tokenizer) == (
        (40478, *cat, *rain, 40479, *salt, 40480),
        (40478, *cat, *rain, 40479, *ice, 40480),
    )


def test_gpt2_vocabulary_puts_the_special_tokens_at_50257(shared_data: Callable[[str], Path]) -> None:
    tokenizer = load_tokenizer(shared_data("vocab/gpt2"))
    cat, rain, nobody, salt, ice = [464, 3797, 3332, 13], [1026, 374, 1328], [24795, 21256], [82, 2501], [501]
    spaced_rain = [632, 374, 1328]  # " It" after a context; "It" alone is 1026
    assert sequences("classification", Example(("The cat sat.",)), tokenizer) == ((50257, *cat, 50259),)
    assert sequences("entailment", Example(("It rained", "Nobody slept")), tokenizer) == (
        (50257, *rain, 50258, *nobody, 50259),
    )
    assert sequences("similarity", Example(("It rained", "Nobody slept")), tokenizer) == (
        (50257, *rain, 50258, *nobody, 50259),
        (50257, *nobody, 50258, *rain, 50259),
    )
    assert sequences("choice", Example(("The cat sat.", "It rained"), ("salt", "ice")), tokenizer) == (
        (50257, *cat, *spaced_rain, 50258, *salt, 50259),
        (50257, *cat, *spaced_rain, 50258, *ice, 50259),
    )
    assert sequences("choice", Example(("", "It rained"), ("salt", "ice")), tokenizer) == (
        (50257, *rain, 50258, *salt, 50259),
        (50257, *rain, 50258, *ice, 50259),
    )


def test_a_text_that_names_a_special_token_is_only_text() -> None:
    (ids,) = sequences("classification", Example(("<|endoftext|>",)))
    assert ids == (START, *b"<|endoftext|>", EXTRACT)


def test_the_longest_text_is_cut_first_and_from_its_end() -> None:
    (made,) = transform("entailment", [Example(("abcdefgh", "ij"))], BYTES, n_ctx=9)
    assert made.sequences == ((START, *b"abcd", DELIMITER, *b"ij", EXTRACT),)
    assert made.is_cut
    (made,) = transform("similarity", [Example(("abcdefgh", "ijklmn"))], BYTES, n_ctx=10)
    assert made.sequences == (
        (START, *b"abcd", DELIMITER, *b"ijk", EXTRACT),
        (START, *b"ijkl", DELIMITER, *b"abc", EXTRACT),
    )


def test_each_answer_is_cut_for_itself() -> None:
    (made,) = transform("choice", [EXAMPLES["choice"]], BYTES, n_ctx=15)
    short, long = made.sequences
    assert short == (START, *b"abcdefgh", *b" ij", DELIMITER, *b"k", EXTRACT)
    assert long == (START, *b"abcde", *b" ij", DELIMITER, *b"lmno", EXTRACT)
    assert made.is_cut


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_cut_exactly_where_there_is_more_than_fits(kind: KindName) -> None:
    example = EXAMPLES[kind]
    longest = max(map(len, sequences(kind, example)))
    for n_ctx in range(6, longest + 3):
        (made,) = transform(kind, [example], BYTES, n_ctx=n_ctx)
        assert max(map(len, made.sequences)) == min(n_ctx, longest)
        assert made.is_cut == (n_ctx < longest)


def fields_of(kind: KindName) -> list[str]:
    """Everything one sequence of the example above is made of."""
    return [*EXAMPLES[kind].texts, *EXAMPLES[kind].answers[-1:]]


@pytest.mark.parametrize(("kind", "place"), [(kind, place) for kind in KINDS for place in range(len(fields_of(kind)))])
def test_a_text_longer_than_the_context_leaves_room_for_the_others(kind: KindName, place: int) -> None:
    example, fields = EXAMPLES[kind], fields_of(kind)
    fields[place] = "z" * 1000
    n_texts = len(example.texts)
    long = Example(tuple(fields[:n_texts]), (*example.answers[:-1], *fields[n_texts:]))
    (made,) = transform(kind, [long], BYTES, n_ctx=40)
    assert made.is_cut
    delimiters = 0 if kind == "classification" else 1
    for ids in made.sequences:
        assert (ids[0], ids[-1], ids.count(DELIMITER)) == (START, EXTRACT, delimiters)
        assert len(ids) <= 40
    kept = bytes(token for token in made.sequences[-1] if token < 256)
    assert len(kept) == 40 - 2 - delimiters
    assert all(field.encode() in kept for number, field in enumerate(fields) if number != place)


@pytest.mark.parametrize(
    ("kind", "least"), [("classification", 3), ("entailment", 5), ("similarity", 5), ("choice", 6)]
)
def test_a_context_must_hold_a_token_of_each_text(kind: KindName, least: int) -> None:
    (made,) = transform(kind, [EXAMPLES[kind]], BYTES, n_ctx=least)
    assert {len(ids) for ids in made.sequences} == {least}
    with pytest.raises(ConfigError, match=r"^a context with room for \d tokens of text cannot hold \d texts; take a"):
        transform(kind, [EXAMPLES[kind]], BYTES, n_ctx=least - 1)


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(TokenizerError):
        transform("classification", [Example(("\ud800",))], BYTES, n_ctx=64)


lengths_of_texts = st.lists(st.integers(0, 40), min_size=1, max_size=5)


@given(lengths=lengths_of_texts, spare=st.integers(0, 100))
def test_fit_uses_all_the_room_and_cuts_the_longest_alone(lengths: list[int], spare: int) -> None:
    present = sum(length > 0 for length in lengths)
    room = present + spare
    kept = fit(lengths, room)
    assert len(kept) == len(lengths)
    assert all(0 <= k <= length for k, length in zip(kept, lengths, strict=True))
    assert all(k > 0 for k, length in zip(kept, lengths, strict=True) if length)
    assert sum(kept) == min(sum(lengths), room)
    cut = [k for k, length in zip(kept, lengths, strict=True) if k < length]
    assert max(cut, default=0) - min(cut, default=0) <= 1  # to one length, but for what does not divide
    assert all(k >= max(kept) - 1 for k in cut)  # no text that was cut is shorter than one that was not


@given(lengths=lengths_of_texts)
def test_fit_refuses_a_room_smaller_than_a_token_a_text(lengths: list[int]) -> None:
    present = sum(length > 0 for length in lengths)
    with pytest.raises(ConfigError, match=f"cannot hold {present} texts"):
        fit(lengths, present - 1)


text = st.text(st.characters(codec="ascii"), min_size=1, max_size=30)


@given(
    kind=st.sampled_from(list(KINDS)),
    texts=st.tuples(text, text),
    answers=st.lists(text, min_size=2),
    spare=st.integers(0, 60),
)
def test_whatever_is_cut_the_special_tokens_stand(
    kind: KindName, texts: tuple[str, str], answers: list[str], spare: int
) -> None:
    example = Example(texts[:1] if kind == "classification" else texts, tuple(answers) if kind == "choice" else ())
    n_ctx = 6 + spare
    (made,) = transform(kind, [example], BYTES, n_ctx=n_ctx)
    (whole,) = transform(kind, [example], BYTES, n_ctx=1000)
    assert made.is_cut == (made.sequences != whole.sequences)
    assert len(made.sequences) == len(whole.sequences)
    for ids, uncut in zip(made.sequences, whole.sequences, strict=True):
        assert [token for token in ids if token > 256] == [token for token in uncut if token > 256]
        assert (ids[0], ids[-1]) == (START, EXTRACT)
        assert len(ids) == min(n_ctx, len(uncut))


def test_special_tokens_are_numbered_in_the_released_order() -> None:
    assert SpecialTokens.after(257) == (START, DELIMITER, EXTRACT)
    assert SpecialTokens.after(257)._fields == ("start", "delimiter", "extract")
