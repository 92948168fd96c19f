"""What a model makes of each kind of item, by hand and by the model's own ways; company changes nothing."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from gptrilogy.errors import PromptError
from gptrilogy.evaluation.asking import Answer, Asker, outcome
from gptrilogy.evaluation.items import Choice, Cloze, Free, Item, Option, Passage
from gptrilogy.evaluation.prompts import Prompt
from gptrilogy.evaluation.task import Answering
from gptrilogy.generation.beam import beam_search
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.scoring import score_reference
from toy_tasks import sure, unsure

YES_NO = Choice((Option("Is it?:", " yes"), Option("Is it?:", " no")), gold=(0,))
BEAM = Answering(max_tokens=6)
GREEDY = Answering(max_tokens=6, beams=1, sampling=Sampling(temperature=0))
TOP_2 = Answering(max_tokens=6, beams=1, sampling=Sampling(top_k=2))


def ask(
    model: LanguageModel,
    items: Sequence[Item],
    answering: Answering | None = None,
    *,
    stride: int | None = None,
    seed: int = 0,
) -> list[Answer]:
    """Each item as a prompt of its own, all together."""
    prompts = [Prompt("", [item], 0) for item in items]
    return [answer for [answer] in Asker(model, stride=stride, seed=seed).ask(prompts, answering, alone=True)]


# A model that is sure.


def test_a_choice_of_one_that_is_sure() -> None:
    [answer] = ask(sure(), [YES_NO])
    assert answer.nats[0] == pytest.approx(0, abs=1e-6)
    assert answer.nats[1] < -20
    assert answer.n_tokens == (4, 3)
    assert answer.alone_nats[0] == pytest.approx(0, abs=1e-6)  # after "Answer:", which ends as the question does
    assert outcome(YES_NO, 7, answer, "sum").chosen == 0
    assert outcome(YES_NO, 7, answer, "sum").record == 7


def test_a_cloze_of_one_that_is_sure() -> None:
    items = [Cloze("Is it?:", " yes"), Cloze("Is it?:", " yea"), Cloze("Is it?:", " yas"), Cloze("it?: ye", "a")]
    assert [answer.right for answer in ask(sure(), items)] == [True, False, False, False]
    [last] = ask(sure(), [Cloze("Is it?:", " zes", last_token=True)])
    assert (last.right, last.n_tokens) == (True, (1,))
    assert last.nats[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("answering", [BEAM, GREEDY, replace(TOP_2, sampling=Sampling(top_k=1))], ids=lambda a: a.name)
def test_an_answer_of_one_that_is_sure_ends_before_the_line_does(answering: Answering) -> None:
    assert [answer.text for answer in ask(sure(), [Free("Is it?:", ("yes",))], answering)] == [" yes"]


@pytest.mark.parametrize("answering", [BEAM, GREEDY], ids=lambda a: a.name)
def test_an_answer_ends_at_the_end_of_text_and_at_its_length(answering: Answering) -> None:
    model = sure("?: yes")
    assert [answer.text for answer in ask(model, [Free("it?:", ("",))], answering)] == [" yes"]
    assert [answer.text for answer in ask(model, [Free("it?:", ("",))], replace(answering, max_tokens=3))] == [" ye"]


def test_a_passage_of_one_that_is_sure() -> None:
    [answer] = ask(sure(), [Passage("?: yes\n", 2)])
    assert answer.n_tokens == (7,)
    [first] = ask(sure(), [Passage("?", 1)])
    assert answer.nats[0] == pytest.approx(first.nats[0], abs=1e-5)
    assert outcome(Passage("?", 1), 0, answer, "sum").nats == answer.nats[0]


# A model that is not, by its own ways.


def test_options_have_the_likelihoods_that_the_model_gives_them() -> None:
    model = unsure()
    [answer] = ask(model, [replace(YES_NO, answer_context="So:")])
    pairs = [("Is it?:", " yes"), ("Is it?:", " no"), ("So:", " yes"), ("So:", " no")]
    expected = [score.nats for score in model.loglikelihood(pairs)]
    assert (*answer.nats, *answer.alone_nats) == pytest.approx(expected, abs=4e-5)


def test_partial_evaluation_takes_the_candidate_into_the_context() -> None:
    model = unsure()
    item = Choice((Option("The cat", " sat."), Option("The mat", " sat.")), gold=(0,))
    [answer] = ask(model, [item])
    assert answer.nats == pytest.approx([s.nats for s in model.loglikelihood([*item.options])], abs=5e-5)


def test_without_alone_nothing_is_asked_after_the_answer_context() -> None:
    asker = Asker(unsure())
    [[answer]] = asker.ask([Prompt("", [YES_NO], 0)], None, alone=False)
    assert answer.alone_nats == ()


def test_words_that_are_banned_are_passed_over_in_the_first_place_alone() -> None:
    model, context = unsure(), "Once upon a"
    logits = model.model(torch.tensor([model.tokenizer.encode(context)]))[0, -1]
    ranked = [model.tokenizer.decode([token]) for token in logits.argsort(descending=True).tolist()]
    others = frozenset(text.strip().lower() for text in ranked if not text.isalpha())
    letters = [text for text in ranked if text.isalpha()]
    best, second = letters[0], next(letter for letter in letters if letter.lower() != letters[0].lower())
    for banned, right in ((others, best), (others | {best.lower()}, second)):
        items = [Cloze(context, letter, banned=banned) for letter in (best, second)]
        assert [answer.right for answer in ask(model, items)] == [letter == right for letter in (best, second)]
    [answer] = ask(model, [Cloze(context, best + best, banned=others)])
    [after] = ask(model, [Cloze(context + best, best)])
    assert answer.right == after.right


@pytest.mark.parametrize("stride", [None, 1, 5, 24])
def test_a_passage_is_read_in_windows(stride: int | None) -> None:
    model = unsure(n_ctx=24)
    text = "It was the best of times, it was the worst of times."
    [answer] = ask(model, [Passage(text, 1)], stride=stride)
    assert answer.n_tokens == (len(text),)
    if stride is None or stride == 24:
        assert answer.nats[0] == pytest.approx(model.loglikelihood_rolling([text])[0], abs=1e-5 * len(text))
    else:
        ids = [256, *text.encode()]
        expected = score_reference(model.model, [256], ids[1:25]).nats
        for start in range(25, len(ids), stride):
            end = min(start + stride, len(ids))
            expected += score_reference(model.model, ids[end - 25 : start], ids[start:end]).nats
        assert answer.nats[0] == pytest.approx(expected, abs=1e-5 * len(text))


def test_free_answers_are_those_of_the_model() -> None:
    model = unsure()
    contexts = ["Once", "Twice upon a time", "Never"]
    items = [Free(context, ("",)) for context in contexts]
    beams = beam_search(
        model.model,
        [model.prompt_ids(context) for context in contexts],
        width=4,
        length_penalty=0.6,
        max_tokens=6,
        eot_id=256,
    )
    texts = [model.tokenizer.decode([token for token in beam.ids if token != 256]) for beam in beams]
    assert [answer.text for answer in ask(model, items, replace(BEAM, stop=()))] == texts
    for answering in (GREEDY, TOP_2):
        expected = model.generate_until(contexts, answering.sampling, max_tokens=6, seed=3, stop=("\n",))
        assert [answer.text for answer in ask(model, items, answering, seed=3)] == expected


@pytest.mark.parametrize("answering", [BEAM, GREEDY, TOP_2], ids=lambda answering: answering.name)
def test_a_free_answer_does_not_depend_on_company_nor_on_being_asked_twice(answering: Answering) -> None:
    model = unsure()
    items = [Free(context, ("",)) for context in ("Once", "Twice", "Once", "Never", "Once")]
    together = ask(model, items, answering)
    assert together == [ask(model, [item], answering)[0] for item in items]
    assert together[::-1] == ask(model, items[::-1], answering)


def test_kinds_may_stand_together() -> None:
    items = [YES_NO, Free("Is it?:", ("yes",)), Cloze("Is it?:", " yes"), Passage("yes", 1)]
    model = unsure()
    [answers] = Asker(model).ask([Prompt("", items, 0)], GREEDY, alone=True)
    apart = ask(model, items, GREEDY)
    assert [answer.text for answer in answers] == [answer.text for answer in apart]
    for one, other in zip(answers, apart, strict=True):
        assert one.nats == pytest.approx(other.nats, abs=1e-4)


# What is too long.


def test_a_question_longer_than_the_context_loses_its_beginning_and_says_so() -> None:
    model = unsure(n_ctx=16)
    long, short = Cloze("x" * 40 + "Is it?:", " yes"), Cloze("x" * 6 + "Is it?:", " yes")
    with pytest.warns(UserWarning, match="longer than the model's context of 16 tokens and lose their beginning"):
        [answer] = ask(model, [long])
    assert answer.nats == pytest.approx(ask(model, [short])[0].nats, abs=1e-5)


@pytest.mark.parametrize("answering", [BEAM, GREEDY], ids=lambda answering: answering.name)
def test_a_free_question_that_is_too_long_says_so_too(answering: Answering) -> None:
    model = unsure(n_ctx=16)
    with pytest.warns(UserWarning, match=r"lose their beginning|lost their first ones"):
        [cut] = ask(model, [Free("x" * 20 + "0123456789", ("",))], answering)
    [fitting] = ask(model, [Free("0123456789", ("",))], answering)
    assert cut == fitting


@pytest.mark.parametrize("answering", [BEAM, GREEDY], ids=lambda answering: answering.name)
@pytest.mark.parametrize("max_tokens", [16, 17, 40])
def test_an_answer_as_long_as_the_context_is_refused(answering: Answering, max_tokens: int) -> None:
    with pytest.raises(PromptError, match="no room for a"):
        ask(unsure(n_ctx=16), [Free("Is it?:", ("yes",))], replace(answering, max_tokens=max_tokens))


def test_a_completion_longer_than_the_context_is_refused() -> None:
    with pytest.warns(UserWarning, match="lose their beginning"), pytest.raises(PromptError, match="17 tokens"):
        ask(unsure(n_ctx=16), [Cloze("Is it?:", " " + "y" * 16)])


def test_room_is_counted_for_the_longest_text_and_what_will_be_written() -> None:
    asker = Asker(unsure(n_ctx=32))
    assert asker.room(Prompt("abc", [YES_NO], 1), None) == 33 - len("abc") - len("Is it?: yes")
    assert asker.room(Prompt("abc", [Cloze("a", "b"), Cloze("aa", "bb")], 1), None) == 33 - 3 - 4
    assert asker.room(Prompt("abc", [Free("Is it?:", ("yes",))], 1), BEAM) == 32 - 6 - 3 - len("Is it?:")
    assert asker.room(Prompt("x" * 40, [Passage("y", 1)], 1), None) == 33 - 41


# Answers as JSON.


@pytest.mark.parametrize(
    "answer",
    [
        Answer((-1.5, -0.1 - 0.2), (1, 2), (-3.0, -4.25)),
        Answer((-1.5,), (3,), right=True),
        Answer(text="as “it” is\n\ud800"),
        Answer(),
    ],
    ids=["choice", "cloze", "free", "nothing"],
)
def test_an_answer_comes_back_from_json_to_the_bit(answer: Answer) -> None:
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer
