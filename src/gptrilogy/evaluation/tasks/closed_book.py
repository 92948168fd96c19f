"""Questions answered from memory: Natural Questions, WebQuestions, TriviaQA."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.nested import texts, unfolded
from gptrilogy.evaluation.reading import json_lines
from gptrilogy.evaluation.scores.answers import EXACT_MATCH, TRIVIA_MATCH
from gptrilogy.evaluation.task import Answering, Hub, Layout, Record, Task
from gptrilogy.generation.config import Sampling

DESCRIPTION = re.compile(r'\(description (?:"((?:[^"\\]|\\.)*)"|([^()"]*))\)')  # of WebQuestions' target values


def nq_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A question of `question`, its right answers in `answer`. Source: GPT3 Figure G.24."""
    return [_asked(record["question"], texts(record["answer"]))]


def webquestions_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A question of `qText`, its right answers in `answers`. Source: GPT3 Figure G.35."""
    return [_asked(record["qText"], texts(record["answers"]))]


def triviaqa_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A question with its answer, the answer's aliases, and those that people gave. Source: GPT3 Figure G.34."""
    answer = record["Answer"]
    return [_asked(record["Question"], texts([answer["Value"], *answer["Aliases"], *answer.get("HumanAnswers", [])]))]


def _asked(question: str, answers: tuple[str, ...]) -> Free:
    return Free(f"Q: {question}\n\nA:", answers)


def webquestions_records(document: Any) -> Iterator[Record]:
    """The questions of one of the files with ids."""
    return (dict(question) for question in document)


def webquestions_examples(document: Any) -> Iterator[Record]:
    """The questions as first published, their answers within `(list (description "A B") (description C))`."""
    for example in document:
        answers = [quoted or bare for quoted, bare in DESCRIPTION.findall(example["targetValue"])]
        yield {"qText": example["utterance"], "answers": [re.sub(r"\\(.)", r"\1", answer) for answer in answers]}


def triviaqa_records(document: Any) -> Iterator[Record]:
    """A file's questions, without the pages that were found for them."""
    for question in document["Data"]:
        yield {"Question": question["Question"], "Answer": question["Answer"]}


def _webquestions_row(row: Record) -> Record:
    return {"qText": row["question"], "answers": row["answers"]}


def _triviaqa_row(row: Record) -> Record:
    return {
        "Question": row["question"],
        "Answer": {"Value": row["answer"]["value"], "Aliases": row["answer"]["aliases"]},
    }


WEBQUESTIONS = partial(unfolded, unfold=webquestions_records)
WEBQUESTIONS_EXAMPLES = partial(unfolded, unfold=webquestions_examples)
TRIVIAQA = partial(unfolded, unfold=triviaqa_records)
NQ_TEST = (Layout(("NQ-open.dev.jsonl",), json_lines),)
NQ_TRAIN = (Layout(("NQ-open.train.jsonl",), json_lines),)
NQ_HUB = Hub("google-research-datasets/nq_open", None, test="validation", train="train")
NQ_NOTES = "The questions stand as NQ-open has them: in lower case, without a question mark."

TASKS = (
    Task(
        name="nq",
        title="Natural Questions",
        source="GPT3 §3.2, Figure G.24",
        items=nq_items,
        measures=(EXACT_MATCH,),
        folder="nq-open",
        test=NQ_TEST,
        train=NQ_TRAIN,
        hub=NQ_HUB,
        answering=Answering(max_tokens=32),
        shots=64,
        published="gpt3-nq",
        notes=NQ_NOTES,
    ),
    Task(
        name="nq-gpt2",
        title="Natural Questions as GPT-2 was asked",
        source="GPT2 §3.8",
        items=nq_items,
        measures=(EXACT_MATCH,),
        folder="nq-open",
        test=NQ_TEST,
        train=NQ_TRAIN,
        hub=NQ_HUB,
        answering=Answering(max_tokens=32, beams=1, sampling=Sampling(temperature=0)),
        fixed_draw=True,
        shots=5,
        published="gpt2-nq",
        notes=f"{NQ_NOTES} The paper seeds the context with example pairs; that they are 5, the same for all "
        "questions, and in GPT-3's format, is ours.",
    ),
    Task(
        name="webquestions",
        title="WebQuestions",
        source="GPT3 §3.2, Figure G.35",
        items=webquestions_items,
        measures=(EXACT_MATCH,),
        folder="webquestions",
        test=(
            Layout(("test.json",), WEBQUESTIONS),
            Layout(("webquestions.examples.test.json",), WEBQUESTIONS_EXAMPLES),
        ),
        train=(
            Layout(("trainmodel.json", "val.json", "devtest.json"), WEBQUESTIONS),
            Layout(("webquestions.examples.train.json",), WEBQUESTIONS_EXAMPLES),
        ),
        hub=Hub("stanfordnlp/web_questions", None, test="test", train="train", record=_webquestions_row),
        answering=Answering(max_tokens=32),
        shots=64,
        published="gpt3-webquestions",
        notes="Any one of a list of answers counts as right.",
    ),
    Task(
        name="triviaqa",
        title="TriviaQA",
        source="GPT3 §3.2, Figure G.34",
        items=triviaqa_items,
        measures=(TRIVIA_MATCH,),
        folder="triviaqa",
        test=(Layout(("wikipedia-dev.json",), TRIVIAQA), Layout(("qa/wikipedia-dev.json",), TRIVIAQA)),
        train=(Layout(("wikipedia-train.json",), TRIVIAQA), Layout(("qa/wikipedia-train.json",), TRIVIAQA)),
        hub=Hub(
            "mandarjoshi/trivia_qa", "rc.wikipedia.nocontext", test="validation", train="train", record=_triviaqa_row
        ),
        answering=Answering(max_tokens=32),
        shots=64,
        published="gpt3-triviaqa",
        notes="The Wikipedia part, by the 7,993 questions of GPT3 Table C.1.",
    ),
    Task(
        name="triviaqa-unfiltered",
        title="TriviaQA, unfiltered",
        source="GPT3 §3.2, Figure G.34",
        items=triviaqa_items,
        measures=(TRIVIA_MATCH,),
        folder="triviaqa",
        test=(
            Layout(("unfiltered-web-dev.json",), TRIVIAQA),
            Layout(("triviaqa-unfiltered/unfiltered-web-dev.json",), TRIVIAQA),
        ),
        train=(
            Layout(("unfiltered-web-train.json",), TRIVIAQA),
            Layout(("triviaqa-unfiltered/unfiltered-web-train.json",), TRIVIAQA),
        ),
        hub=Hub(
            "mandarjoshi/trivia_qa", "unfiltered.nocontext", test="validation", train="train", record=_triviaqa_row
        ),
        answering=Answering(max_tokens=32),
        shots=64,
        notes="Not the set of the paper's figures, but the one other closed-book results are given on.",
    ),
)
