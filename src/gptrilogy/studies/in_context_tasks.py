"""Tasks that are set by example alone: those of the training text, and others that a model meets in its tests only.

A document is a list of lines, each of words and then the answer to them. The rule that gives the answers is drawn for
the document and stated nowhere, so that nothing but the lines before tells what the next answer is. Lines begin with
a space, as a word is the same token then wherever it stands. Needs no torch.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import TypeAlias

from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.measures import ACCURACY
from gptrilogy.evaluation.reading import position
from gptrilogy.evaluation.task import Record, Task
from gptrilogy.studies.in_context_words import KINDS, NAMES, THINGS

Rule: TypeAlias = Callable[[Random], Record]  # an example of a rule: words, the possible answers, the right one
Groups: TypeAlias = Sequence[Sequence[str]]

FEWEST_LINES, DOCUMENT_TOKENS = 6, 224
N_DEMONSTRATIONS, N_QUESTIONS = 400, 200  # of a task that is tested
ASKED_WORDS = 3  # of each kind, which are in no demonstration

# What no training document has: kinds of both halves under one rule, these names given, these keys, the third of four.
HALVES = tuple(KINDS)[:4], tuple(KINDS)[4:]
TAUGHT_NAMES, NEW_NAMES = NAMES[:24], NAMES[24:]
TAUGHT_KEYS, NEW_KEYS = [word for i, word in enumerate(THINGS) if i % 5], THINGS[::5]
NEW_PLACE = (4, 2)
TAUGHT_PLACES = [(n, place) for n in (2, 3, 4, 5) for place in range(n) if (n, place) != NEW_PLACE]


def documents(n: int, *, seed: int) -> Iterator[str]:
    r"""Documents for training, each of a rule of its own.

    >>> next(documents(1, seed=1)).split("\n")[:3]
    [' soup foot', ' saw spring', ' rice glove']
    """
    for number in range(n):
        random = _random("document", seed, number)
        rule = taught_rule(random)
        first = line(rule(random))
        most = DOCUMENT_TOKENS // (len(first.split()) + 1)
        rest = range(1, random.randint(FEWEST_LINES, most))
        yield "".join(f"{text}\n" for text in [first, *(line(rule(random)) for _ in rest)])


def line(record: Record) -> str:
    return f" {record['words']} {record['answer']}"


def taught_rule(random: Random) -> Rule:
    """A rule of the training text."""
    kinds = random.sample(random.choice(HALVES), 4)
    match random.choices(("name", "key", "pick", "place", "repeat"), weights=(4, 3, 3, 2, 2))[0]:
        case "name":
            return _taught_naming([KINDS[kind] for kind in kinds[: random.randint(2, 4)]], random)
        case "key":
            return _taught_naming([[key] for key in random.sample(TAUGHT_KEYS, random.randint(3, 10))], random)
        case "pick":
            return picking(kinds[0], kinds[1:], random.randint(2, 4))
        case "repeat":
            return repeating(random.randint(2, 5))
        case _:
            return placing(*random.choice(TAUGHT_PLACES))


def _taught_naming(groups: Groups, random: Random) -> Rule:
    """Half of these rules take a few names, which are soon learned; half take any word, which only copying serves."""
    named = {word for group in groups for word in group}
    names = random.choice((TAUGHT_NAMES, [*TAUGHT_NAMES, *(word for word in THINGS if word not in named)]))
    return naming(groups, random.sample(names, len(groups)))


def naming(groups: Groups, names: Sequence[str], *, beside: Sequence[str] = ()) -> Rule:
    """Each group of words has a name, which is the answer; one of the words `beside` follows the one that counts."""

    def example(random: Random) -> Record:
        group = random.randrange(len(groups))
        words = [random.choice(groups[group]), *random.sample(beside, min(1, len(beside)))]
        return _record(words, names, names[group], random)

    return example


def picking(kind: str, others: Sequence[str], n_words: int) -> Rule:
    """Of a few words the one of a kind."""
    strangers = [word for other in others for word in KINDS[other]]

    def example(random: Random) -> Record:
        answer = random.choice(KINDS[kind])
        words = [answer, *random.sample(strangers, n_words - 1)]
        random.shuffle(words)
        return _record(words, words, answer, random)

    return example


def placing(n_words: int, place: int) -> Rule:
    """Of a few words the one in a place, from 0."""

    def example(random: Random) -> Record:
        words = random.sample((*THINGS, *NAMES), n_words)
        return _record(words, words, words[place], random)

    return example


def repeating(n_words: int) -> Rule:
    """A few words again."""

    def example(random: Random) -> Record:
        words = random.sample((*THINGS, *NAMES), n_words)
        return _record(words, [" ".join(words)], " ".join(words), random)

    return example


def new_tasks(draw: int) -> list[Task]:
    """Tasks of rules that no training document follows, drawn anew for each `draw`.

    >>> [task.name for task in new_tasks(0)]
    ['in-context-kinds', 'in-context-first', 'in-context-keys', 'in-context-pick', 'in-context-third']
    """
    random = _random("rules", draw)
    kinds = [kind for half in HALVES for kind in random.sample(half, 2)]
    shuffled = [random.sample(KINDS[kind], len(KINDS[kind])) for kind in kinds]
    shown, asked = [words[ASKED_WORDS:] for words in shuffled], [words[:ASKED_WORDS] for words in shuffled]
    names = random.sample(NEW_NAMES, len(kinds))
    beside = [word for kind in KINDS if kind not in kinds for word in KINDS[kind]]
    keys = naming([[key] for key in random.sample(NEW_KEYS, 8)], random.sample(NEW_NAMES, 8))
    here, there = random.sample(HALVES, 2)
    pick = picking(random.choice(here), random.sample(there, 3), 4)
    third = placing(*NEW_PLACE)
    return [
        _task("kinds", "name the kind of a word not shown", naming(shown, names), naming(asked, names), draw),
        _task(
            "first",
            "name the kind of the first of two words",
            naming(shown, names, beside=beside),
            naming(asked, names, beside=beside),
            draw,
        ),
        _task("keys", "recall the name of a word", keys, keys, draw),
        _task("pick", "pick the word of a kind", pick, pick, draw),
        _task("third", "pick the third word of four", third, third, draw),
    ]


def with_random_answers(task: Task) -> Task:
    """The control: the same demonstrations, each with any one of its possible answers."""

    def demonstration(record: Record) -> str:
        return line({**record, "answer": record["random_answer"]})

    return replace(task, demonstration=demonstration)


def items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Words, then an answer of those that are possible."""
    options = tuple(Option(f" {record['words']}", f" {answer}") for answer in record["answers"])
    return [Choice(options, (position(record["answer"], record["answers"]),))]


def _task(name: str, title: str, shown: Rule, asked: Rule, draw: int) -> Task:
    """A task whose demonstrations follow one rule and whose questions another, the same but for its words."""

    def generate(split: str) -> Iterable[Record]:
        random = _random(name, draw, split)
        n, rule = (N_DEMONSTRATIONS, shown) if split == "train" else (N_QUESTIONS, asked)
        return (rule(random) for _ in range(n))

    return Task(
        name=f"in-context-{name}",
        title=title,
        source="after GPT3 §1, Figure 1.2; the task is ours",
        items=items,
        measures=(ACCURACY,),
        generate=generate,
        rule="sum",
        separator="\n",
        notes="A document of its own kind: it can be asked only of a model trained on such documents.",
    )


def _record(words: Sequence[str], answers: Sequence[str], answer: str, random: Random) -> Record:
    return {
        "words": " ".join(words),
        "answers": list(answers),
        "answer": answer,
        "random_answer": random.choice(answers),
    }


def _random(*place: object) -> Random:
    return Random(f"in-context {place}")  # noqa: S311 - writing tasks is not cryptography
