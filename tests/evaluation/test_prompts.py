"""Prompts: which records demonstrate, what stands before a question to the letter, and what a short context leaves."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from gptrilogy.errors import DataError
from gptrilogy.evaluation.asking import Asker
from gptrilogy.evaluation.data import Split, read_split
from gptrilogy.evaluation.items import Choice, Free
from gptrilogy.evaluation.prompts import Prompt, Prompter
from gptrilogy.evaluation.task import Record, Task
from gptrilogy.tokenizers import ByteLevelBPE
from toy_tasks import CHOICE, CLOZE, FREE, records, unsure


def prompter(task: Task = CHOICE, *, n_train: int | None = 50, n_test: int = 20, seed: int = 0) -> Prompter:
    """`n_train` None: the test's other records demonstrate."""
    test = Split(list(records("test", n_test)), "the test set")
    train = None if n_train is None else Split(list(records("train", n_train)), "the training set")
    return Prompter(task, test, train, seed=seed)


def written(source: Prompter, record: int, shots: int, draw: int = 0, *, n_ctx: int = 10**6) -> Prompt:
    """A prompt counted in characters."""
    return source.prompt(
        record, shots, draw, room=lambda prompt: n_ctx - len(prompt.prefix) - longest(prompt), count=len
    )


def longest(prompt: Prompt) -> int:
    return max(
        len(context + completion)
        for item in prompt.items
        if isinstance(item, Choice)
        for context, completion in item.options
    )


# Which records.


def test_demonstrations_are_drawn_afresh_for_each_question() -> None:
    source = prompter()
    picks = {tuple(source.picks(record, 5, 0)) for record in range(20)}
    assert len(picks) == 20
    assert all(len(set(each)) == 5 for each in picks)
    assert {number for each in picks for number in each} <= set(range(50))


def test_a_fixed_draw_is_one_for_all_questions_and_another_for_each_number() -> None:
    source = prompter(replace(CHOICE, fixed_draw=True))
    assert len({tuple(source.picks(record, 5, 0)) for record in range(20)}) == 1
    assert source.picks(3, 5, 0) != source.picks(3, 5, 1)


def test_each_draw_and_seed_is_another_and_the_same_again() -> None:
    one, other = prompter(), prompter(seed=1)
    assert one.picks(0, 5, 0) == prompter().picks(0, 5, 0)
    assert len({tuple(source.picks(0, 5, draw)) for source in (one, other) for draw in range(10)}) == 20


@settings(max_examples=60)
@given(n=st.integers(2, 60), record=st.integers(0, 59), draw=st.integers(0, 3), data=st.data(), from_test=st.booleans())
def test_fewer_demonstrations_are_the_first_of_more(
    n: int, record: int, draw: int, data: st.DataObject, from_test: bool
) -> None:
    source = prompter(n_train=None if from_test else n, n_test=n)
    record = min(record, n - 1)
    most = data.draw(st.integers(0, n - from_test))
    all_of_them = source.picks(record, most, draw)
    assert len(set(all_of_them)) == len(all_of_them) == most
    for shots in range(most):
        assert source.picks(record, shots, draw) == all_of_them[:shots]
    if from_test:
        assert record not in all_of_them


@pytest.mark.parametrize("shots", [1, 50, 1999])
def test_so_they_are_in_a_large_training_set(shots: int) -> None:
    source = prompter(n_train=2000)
    assert source.picks(0, shots, 0) == source.picks(0, 2000, 0)[:shots]


@pytest.mark.parametrize("fixed", [False, True])
def test_a_question_never_demonstrates_itself(fixed: bool) -> None:
    source = prompter(replace(CHOICE, fixed_draw=fixed), n_train=None, n_test=6)
    for record in range(6):
        assert sorted(source.picks(record, 5, 0)) == [number for number in range(6) if number != record]


@pytest.mark.parametrize("n_train", [7, None])
def test_every_record_is_as_likely_at_every_place(n_train: int | None) -> None:
    source = prompter(n_train=n_train, n_test=8)
    places: list[Counter[int]] = [Counter() for _ in range(3)]
    for draw in range(3_000):
        for place, number in zip(places, source.picks(7, 3, draw), strict=True):
            place[number] += 1
    for place in places:
        assert len(place) == 7
        assert chisquare(list(place.values())).pvalue > 1e-4  # one run in 3,300 of six such would fall below


def test_more_demonstrations_than_records_are_refused() -> None:
    with pytest.raises(DataError, match="51 demonstrations were asked for, but the training set has 50 records; ask"):
        prompter().picks(0, 51, 0)
    with pytest.raises(DataError, match="20 records, one of them the question; ask for fewer shots"):
        prompter(n_train=None).picks(0, 20, 0)


# What stands there.


def test_a_prompt_to_the_letter() -> None:
    task = replace(CHOICE, description="Answer:\n", zero_shot_description="(No examples.)\n")
    source = prompter(task)
    one, two = source.picks(4, 2, 0)
    answers = ("yes", "no")
    prompt = written(source, 4, 2)
    assert prompt.prefix == f"Answer:\ntrain {one}?: {answers[one % 2]}\ntrain {two}?: {answers[two % 2]}\n"
    assert prompt.demonstrations == 2
    [item] = prompt.items
    assert isinstance(item, Choice)
    assert item.options[0] == ("test 4?:", " yes")
    assert written(source, 4, 0) == Prompt("Answer:\n(No examples.)\n", prompt.items, 0)


def test_the_tasks_own_demonstration_is_shown_where_it_has_one() -> None:
    def shown(record: Record) -> str:
        return f"<{record['question']}>"

    task = replace(CHOICE, demonstration=shown, separator="|")
    source = prompter(task)
    assert written(source, 0, 1).prefix == f"<train {source.picks(0, 1, 0)[0]}?>|"


def test_a_record_that_is_not_as_published_is_named() -> None:
    with pytest.raises(DataError, match="record 1 of the training set has no field question; it has answer"):
        Prompter(
            CHOICE, Split(list(records("test")), "the test set"), Split([{"answer": "yes"}], "the training set")
        ).prompt(0, 1, 0, room=lambda _: 0, count=lambda _: 0)


# What has room.


@given(n_ctx=st.integers(0, 200), shots=st.integers(0, 8))
def test_what_does_not_fit_is_dropped_whole_and_from_the_end(n_ctx: int, shots: int) -> None:
    source = prompter()
    whole, prompt = written(source, 3, shots), written(source, 3, shots, n_ctx=n_ctx)
    lines = whole.prefix.splitlines(keepends=True)
    assert prompt.prefix == "".join(lines[: prompt.demonstrations])
    fits = len(prompt.prefix) + longest(prompt) <= n_ctx
    assert fits or not prompt.demonstrations
    if prompt.demonstrations < shots:
        one_more = "".join(lines[: prompt.demonstrations + 1])
        assert len(one_more) + longest(prompt) > n_ctx


@pytest.mark.parametrize("task", [CHOICE, CLOZE, FREE], ids=lambda task: task.name)
@pytest.mark.parametrize("shots", [1, 3, 9])
def test_tokens_that_part_where_texts_meet_are_counted(task: Task, shots: int) -> None:
    """A blank line is one token at the end of a demonstration, and two before the next: counts do not add up."""
    bpe = ByteLevelBPE([("Ċ", "Ċ")])
    assert len(bpe.encode("a\n\n")) + len(bpe.encode("b")) < len(bpe.encode("a\n\nb"))
    source = prompter(replace(task, separator="\n\n"))
    n_kept: set[int] = set()
    for n_ctx in range(20, 160, 3):
        asker = Asker(unsure(n_ctx=n_ctx, n_vocab=bpe.n_vocab, tokenizer=bpe))
        prompt = source.prompt(0, shots, 0, room=lambda p, a=asker: a.room(p, task.answering), count=asker.count)
        n_kept.add(prompt.demonstrations)
        [item] = prompt.items
        if prompt.demonstrations:
            texts = [item.context] if isinstance(item, Free) else read_texts(item)
            n_tokens = max(len(bpe.encode(prompt.prefix + text)) for text in texts)
            assert n_tokens <= (n_ctx - 6 if isinstance(item, Free) else n_ctx + 1)
    assert n_kept >= {0, 1, shots}


def read_texts(item: object) -> list[str]:
    if isinstance(item, Choice):
        return [context + completion for context, completion in item.options]
    return [str(getattr(item, "demonstration"))]  # noqa: B009 - of a Cloze


def test_generated_records_are_read_like_published_ones() -> None:
    assert read_split(CHOICE, "train", None, limit=2).records == list(records("train", 2))
