"""SuperGLUE's tasks of short texts: BoolQ, CB, COPA, RTE, WiC and WSC."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Choice, Free, Option, Outcome
from gptrilogy.evaluation.measures import ACCURACY, MACRO_F1, Measure, mean_of
from gptrilogy.evaluation.reading import json_lines, position
from gptrilogy.evaluation.task import Answering, Hub, Layout, Record, Task

HUB = "aps/super_glue"
CB_LABELS = ("entailment", "contradiction", "neutral")  # in the hub's order, which is also that of the words below
CB_WORDS = ("true", "false", "neither")
RTE_LABELS = ("entailment", "not_entailment")
COPA_QUESTIONS, COPA_LINKS = ("cause", "effect"), ("because", "so")
EXAM = (
    "Final Exam with Answer Key\n"
    "Instructions: Please carefully read the following passages. For each passage, you must identify which noun the "
    "pronoun marked in *bold* refers to.\n"
    "=====\n"
)


@dataclass(frozen=True, slots=True)
class Reference(Free):
    """A pronoun and one noun that it may refer to; `refers`: whether it does."""

    refers: bool = True


def boolq_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Passage (its title stands in it), question, yes or no.

    Source: GPT3 Figure G.29.
    """
    context = f"{record['passage'].strip()}\nquestion: {record['question'].strip()}?\nanswer:"
    return [_choice(context, ("yes", "no"), position(record["label"], (True, False)))]


def cb_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Premise, hypothesis (published without its full stop), true, false or neither.

    Source: GPT3 Figure G.30.
    """
    question = f"{record['hypothesis'].strip()}. true, false, or neither?"
    context = f"{record['premise'].strip()}\nquestion: {question}\nanswer:"
    return [_choice(context, CB_WORDS, position(record["label"], CB_LABELS))]


def copa_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """The premise goes on with `because` and a cause, or with `so` and an effect.

    Source: GPT3 Figure G.5.
    """
    link = COPA_LINKS[position(record["question"], COPA_QUESTIONS)]
    context = f"{record['premise'].strip().removesuffix('.')} {link}"
    alternatives = [_inside_sentence(record[name].strip()) for name in ("choice1", "choice2")]
    return [_choice(context, alternatives, position(record["label"], (0, 1)))]


def rte_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Premise, hypothesis, True or False.

    Source: GPT3 Figure G.31.
    """
    question = f"{record['hypothesis'].strip()} True or False?"
    context = f"{record['premise'].strip()}\nquestion: {question}\nanswer:"
    return [_choice(context, ("True", "False"), position(record["label"], RTE_LABELS))]


def wic_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Two sentences with one word, whose meaning in both is the same or not.

    Source: GPT3 Figure G.32.
    """
    question = f"Is the word '{record['word']}' used in the same way in the two sentences above?"
    context = f"{record['sentence1'].strip()}\n{record['sentence2'].strip()}\nquestion: {question}\nanswer:"
    return [_choice(context, ("yes", "no"), position(record["label"], (True, False)))]


def wsc_items(record: Record, _shots: int, /) -> Sequence[Reference]:
    """A passage with a pronoun between asterisks, and the noun that it refers to, in lower case.

    Source: GPT3 Figure G.33.
    """
    target = record["target"]
    pronoun: str = target["span2_text"]
    passage = mark_word(record["text"].strip(), pronoun, target["span2_index"])
    question = f'In the passage above, what does the pronoun "*{pronoun}*" refer to?'
    context = f"Passage: {passage}\nQuestion: {question}\nAnswer:"
    refers = position(record["label"], (False, True))
    return [Reference(context, (target["span1_text"].lower(),), refers=bool(refers))]


def mark_word(text: str, word: str, number: int) -> str:
    """A text with one word between asterisks: the one nearest to word `number`, from 0.

    >>> mark_word("He said he would.", "he", 2)
    'He said *he* would.'

    Raises: DataError where the word does not occur.
    """
    places = list(re.finditer(rf"\b{re.escape(word)}\b", text))
    if not places:
        raise DataError(f"the word {word!r} does not occur in {text!r}; mend or leave out the record")
    start, end = min(places, key=lambda place: abs(len(text[: place.start()].split()) - number)).span()
    return f"{text[:start]}*{text[start:end]}*{text[end:]}"


def reference_found(outcome: Outcome) -> bool:
    """Whether naming the noun, or naming another, agrees with the label."""
    assert isinstance(outcome.item, Reference)
    return (outcome.text.strip().lower() == outcome.item.answers[0]) is outcome.item.refers


REFERENCES_FOUND = mean_of("acc", lambda record: sum(map(reference_found, record)) / len(record))


def right_references(path: Path) -> Iterator[Record]:
    """Records whose noun is the right one: what is shown as a demonstration."""
    # A missing label is left for the one who asks for it, who knows the record's number.
    return (record for record in json_lines(path) if record.get("label", True) is True)


def _choice(context: str, words: Sequence[str], gold: int) -> Choice:
    return Choice(tuple(Option(context, f" {word}") for word in words), (gold,))


def _inside_sentence(sentence: str) -> str:
    """A sentence as it goes on after another's words.

    >>> _inside_sentence("The sun rose."), _inside_sentence("I'm late.")
    ('the sun rose.', "I'm late.")
    """
    return sentence if re.match(r"I\b", sentence) else sentence[:1].lower() + sentence[1:]


def _hub(config: str, record: Callable[[Record], Record] = lambda row: row) -> Hub:
    return Hub(HUB, config, test="validation", train="train", record=record)


def _named(labels: Sequence[str]) -> Callable[[Record], Record]:
    return lambda row: {**row, "label": labels[row["label"]]}


def _published_reference(row: Record) -> Record:
    names = ("span1_text", "span1_index", "span2_text", "span2_index")
    return {"text": row["text"], "target": {name: row[name] for name in names}, "label": row["label"]}


def _task(
    name: str,
    title: str,
    figure: str,
    items: Callable[[Record, int], Sequence[Choice]],
    hub: Hub,
    measures: tuple[Measure, ...] = (ACCURACY,),
    notes: str = "",
) -> Task:
    return Task(
        name=name,
        title=title,
        source=f"GPT3 §3.7, Figure {figure}",
        items=items,
        measures=measures,
        folder=title,
        test=(Layout(("val.jsonl",), json_lines),),
        train=(Layout(("train.jsonl",), json_lines),),
        hub=hub,
        rule="token",
        shots=32,
        published=f"gpt3-{name}",
        notes=notes,
    )


TASKS = (
    _task("boolq", "BoolQ", "G.29", boolq_items, _hub("boolq")),
    _task("cb", "CB", "G.30", cb_items, _hub("cb", _named(CB_LABELS)), measures=(ACCURACY, MACRO_F1)),
    _task(
        "copa",
        "COPA",
        "G.5",
        copa_items,
        _hub("copa"),
        notes="The paper shows no effect; `so` is ours, and that an alternative begins in lower case but for `I`.",
    ),
    _task("rte", "RTE", "G.31", rte_items, _hub("rte", _named(RTE_LABELS))),
    _task("wic", "WiC", "G.32", wic_items, _hub("wic")),
    Task(
        name="wsc",
        title="WSC",
        source="GPT3 §3.7, Figure G.33",
        items=wsc_items,
        measures=(REFERENCES_FOUND,),
        folder="WSC",
        test=(Layout(("val.jsonl",), json_lines),),
        train=(Layout(("train.jsonl",), right_references),),
        hub=Hub(HUB, "wsc", test="validation", train=None, record=_published_reference),
        answering=Answering(max_tokens=16),
        description=EXAM,
        fixed_draw=True,
        shots=32,
        published="gpt3-wsc",
        notes=(
            "The exact words of the heading are not certain; that it stands once is ours. How a written noun is scored "
            "is ours: it must equal the record's noun in lower case if this is labelled right, and differ if not. "
            "Demonstrations are records whose noun is right, which the hub's rows are not sifted for."
        ),
    ),
)
