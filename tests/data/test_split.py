from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.config import parse
from gptrilogy.corpus.documents import AnyDocument, Document, LongDocument
from gptrilogy.data.split import Split, plan_split, tail_start
from gptrilogy.errors import ConfigError


def documents(*texts: str) -> list[Document]:
    return [Document(text, id=str(number), source="test") for number, text in enumerate(texts)]


def divided(texts: list[str], split: Split) -> tuple[list[str], list[str]]:
    """All training texts and all validation texts."""
    pairs = [split.divide(document) for document in documents(*texts)]
    return [train for train, _ in pairs if train], [valid for _, valid in pairs if valid]


def long(document: Document, size: int) -> LongDocument:
    """The same document as one that is read in parts of so many characters."""
    text = document.text

    def parts() -> Iterator[str]:
        return (text[start : start + size] for start in range(0, len(text), size))

    return LongDocument(parts, document.id, document.source)


texts_of_many = st.lists(st.text(min_size=1), min_size=20, max_size=80)
fractions = st.floats(0.01, 0.5)


@given(texts=texts_of_many, fraction=fractions, seed=st.integers())
def test_no_text_is_on_both_sides(texts: list[str], fraction: float, seed: int) -> None:
    split = plan_split(documents(*texts), fraction=fraction, seed=seed)
    train, valid = divided(texts, split)
    if split.kind == "by_document":
        assert not set(train) & set(valid)
        assert sorted(train + valid) == sorted(texts)
    else:
        assert len(set(texts)) < 20


@given(texts=st.sets(st.text(min_size=1), min_size=20, max_size=80), fraction=fractions, seed=st.integers())
def test_the_stated_share_of_different_texts_is_held_out(texts: set[str], fraction: float, seed: int) -> None:
    train, valid = divided(list(texts), plan_split(documents(*texts), fraction=fraction, seed=seed))
    assert len(valid) == max(1, round(fraction * len(texts)))
    assert train


def test_a_text_that_recurs_does_not_take_the_place_of_others() -> None:
    texts = ["the same"] * 1000 + [f"text {number}" for number in range(99)]
    for seed in range(20):
        train, valid = divided(texts, plan_split(documents(*texts), fraction=0.05, seed=seed))
        assert len(set(valid)) == 5
        assert len(set(train)) == 95


def test_the_choice_does_not_depend_on_order_and_does_on_the_seed() -> None:
    texts = [f"text {number}" for number in range(100)]
    there, back = (plan_split(documents(*order), seed=0) for order in (texts, texts[::-1]))
    assert there.threshold == back.threshold
    assert set(divided(texts, there)[1]) != set(divided(texts, plan_split(documents(*texts), seed=1))[1])


def test_few_different_texts_lose_their_tails_instead() -> None:
    assert plan_split(documents(*map(str, range(19))), seed=0).kind == "tail"
    assert plan_split(documents(*map(str, range(20))), seed=0).kind == "by_document"
    assert plan_split(documents(*["the same"] * 50), seed=0).kind == "tail"


@given(text=st.text(st.sampled_from("ab \n"), min_size=1, max_size=300), fraction=fractions)
def test_both_ends_of_a_divided_text_make_the_whole(text: str, fraction: float) -> None:
    ((document,), split) = documents(text), plan_split(documents(text), fraction=fraction, seed=0)
    train, valid = split.divide(document)
    assert train + valid == text
    assert train
    assert fraction * len(text) <= len(valid) + 1
    assert len(valid) <= 2 * fraction * len(text) + 1


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a" * 84 + "\n\n" + "b" * 3 + "\n" + "c" * 10, "b" * 3 + "\n" + "c" * 10),  # a paragraph before a line
        ("a" * 84 + " " + "b" * 5 + "\n" + "c" * 9, "b" * 5 + "\n" + "c" * 9),  # a line too near the end
        ("a" * 85 + "\n" + "b" * 3 + " " + "c" * 10, "b" * 3 + " " + "c" * 10),  # a line before a word
        ("a" * 88 + " " + "b" * 11, "b" * 11),
        ("a" * 100, "a" * 10),
        ("\n\n" + "a" * 98, "a" * 10),  # a boundary far from the end is none
        ("a", ""),
    ],
)
def test_a_tail_begins_at_the_best_boundary_within_reach(text: str, valid: str) -> None:
    assert text[tail_start(text, 0.1) :] == valid


def test_text_set_apart_by_the_user_leaves_the_rest_whole() -> None:
    split = plan_split(documents("one", "two"), seed=0, valid=documents("three"))
    assert split.kind == "none"
    assert divided(["one", "two"], split) == (["one", "two"], [])
    assert (split.documents, split.text_bytes) == (3, 11)


def test_a_split_counts_what_it_saw_and_survives_json() -> None:
    split = plan_split(documents("né", "", "b"), seed=-1)
    assert (split.documents, split.text_bytes) == (2, 4)
    assert parse(Split, split.model_dump(mode="json")) == split


@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=30, unique=True), data=st.data())
def test_any_change_of_the_text_changes_the_fingerprint(texts: list[str], data: st.DataObject) -> None:
    def fingerprint(train: list[str], valid: list[str] | None = None) -> str:
        apart = None if valid is None else documents(*valid)
        return plan_split(documents(*train), seed=0, valid=apart).fingerprint

    place = data.draw(st.integers(0, len(texts) - 1))
    changed = [*texts[:place], texts[place] + "x", *texts[place + 1 :]]
    versions = [texts, changed, [*texts, "more"], texts[:-1], texts[1:] + texts[:1]]
    different = {tuple(version) for version in versions}
    assert len({fingerprint(list(version)) for version in different}) == len(different)
    assert fingerprint(texts[:-1], texts[-1:]) != fingerprint(texts, [])


@pytest.mark.parametrize("fraction", [0, -0.1, 0.51, 1, float("nan")])
def test_a_share_that_leaves_nothing_to_train_or_validate_on_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"above 0 and at most 0\.5, got"):
        plan_split([], fraction=fraction, seed=0)


@given(
    texts=st.lists(st.one_of(st.text(min_size=1), st.text(st.sampled_from("a \n"), min_size=1)), max_size=30),
    fraction=fractions,
    size=st.integers(1, 20),
    which=st.integers(0, 2),
    with_valid=st.booleans(),
)
def test_a_long_document_is_divided_as_if_it_were_read_whole(
    texts: list[str], fraction: float, size: int, which: int, with_valid: bool
) -> None:
    whole = documents(*texts)
    mixed: list[AnyDocument] = [long(one, size) if n % 3 <= which else one for n, one in enumerate(whole)]
    valid = documents("set", "apart") if with_valid else None
    expected = plan_split(whole, fraction=fraction, seed=0, valid=valid)
    split = plan_split(mixed, fraction=fraction, seed=0, valid=valid)
    assert split.replace(long_cuts=()) == expected
    for document, chunks in zip(whole, split.divided(mixed), strict=True):
        pair = {"train": "", "valid": ""}
        for part, text in chunks:
            assert text
            assert part == "valid" or not pair["valid"]
            pair[part] += text
        assert tuple(pair.values()) == expected.divide(document)
