"""Words to be unscrambled: made here as GPT-3's paper and as OpenAI's files word them, and those files.

Each kind gives three tasks: `anagrams1` is worded as in the paper, `anagrams1-released` as in the files, and
`anagrams1-openai` reads the file. The words of the first two come from a list of counted words, count_1w.txt, or from a
short list of our own. Only the last needs data.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from gptrilogy.data.permutation import draw, permute
from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.reading import json_lines, table_rows
from gptrilogy.evaluation.task import Answering, Hub, Layout, Record, Task
from gptrilogy.evaluation.tasks.arithmetic import EXACT_ANSWER
from gptrilogy.evaluation.tasks.word_list import COMMON_WORDS

SEED = 0
N_WORDS = 12_000  # of a longer list, the first; 10,000 make the test
INSERTED = " ./!"
INSTRUCTION = "Please unscramble the letters into a word, and write that word:"
WORD_COUNTS = "count_1w.txt"  # of Norvig's n-grams, https://norvig.com/ngrams


class Kind(NamedTuple):
    """A way to scramble a word, and how long the words are, in letters: in the paper, in the file."""

    name: str
    title: str
    scramble: Callable[[str, Random], str | None]  # None: not this word
    lengths: range
    released_lengths: range
    file: str


def cycle_letters(word: str, random: Random) -> str | None:
    """The letters moved on in a circle, never all the way round."""
    turned = [word[n:] + word[:n] for n in range(1, len(word))]
    changed = [scrambled for scrambled in turned if scrambled != word]
    return changed[int(random.random() * len(changed))] if changed else None


def anagram(kept: int, word: str, random: Random) -> str | None:
    """All letters but the first and last `kept` in another order; as they are where there is no other.

    >>> anagram(2, "coffee", Random(0))
    'coffee'
    """
    inner = word[kept:-kept]
    shuffled = inner
    while shuffled == inner and len(set(inner)) > 1:
        shuffled = "".join(sorted(inner, key=lambda _: random.random()))
    return word[:kept] + shuffled + word[-kept:]


def changed_anagram(word: str, random: Random) -> str | None:
    """All letters but the first and last in another order, None where there is no other."""
    scrambled = anagram(1, word, random)
    return None if scrambled == word else scrambled


def random_insertion(word: str, random: Random) -> str | None:
    """A space or a mark after every letter but the last."""
    return "".join(letter + INSERTED[int(random.random() * len(INSERTED))] for letter in word[:-1]) + word[-1]


def reversed_word(word: str, _random: Random, /) -> str | None:
    """The letters backwards.

    >>> reversed_word("objects", Random(0))
    'stcejbo'
    """
    return word[::-1]


PAPER_LENGTHS = range(5, 15)  # more than 4 letters and fewer than 15
LONG = range(6, 16)
KINDS = (
    Kind("cycle-letters", "cycled letters", cycle_letters, PAPER_LENGTHS, LONG, "cycle_letters_in_word"),
    Kind(
        "anagrams1",
        "anagrams of all but the first and last letter",
        changed_anagram,
        PAPER_LENGTHS,
        range(5, 16),
        "mid_word_1_anagrams",
    ),
    Kind(
        "anagrams2",
        "anagrams of all but the first and last two letters",
        partial(anagram, 2),
        PAPER_LENGTHS,
        LONG,
        "mid_word_2_anagrams",
    ),
    Kind("random-insertion", "random insertion", random_insertion, PAPER_LENGTHS, LONG, "random_insertion_in_word"),
    Kind("reversed-words", "reversed words", reversed_word, PAPER_LENGTHS, LONG, "reversed_words"),
)


def scrambled_words(kind: Kind, lengths: range, opening: str, split: str, words: Iterable[str]) -> Iterator[Record]:
    """Words in the fields of OpenAI's files: `test` has the first five sixths of them, `train` the others.

    How a word is scrambled depends on the word alone.
    """
    usable = (word for word in words if len(word) in lengths and re.fullmatch("[a-z]+", word))
    pairs = list(islice(((word, scrambled) for word in usable if (scrambled := _scramble(kind, word))), N_WORDS))
    n_test = len(pairs) * 5 // 6
    for word, scrambled in pairs[:n_test] if split == "test" else pairs[n_test:]:
        yield {"context": f"{opening}{scrambled} =", "completion": f" {word}"}


def _scramble(kind: Kind, word: str) -> str | None:
    return kind.scramble(word, Random(f"{SEED} {kind.name} {word}"))  # noqa: S311 - a puzzle, not a secret


def common_words() -> list[str]:
    """The words of our own list, mixed."""
    n = len(COMMON_WORDS)
    order = permute(np.arange(n, dtype=np.uint64), n, draw(SEED, np.zeros(n, dtype=np.uint64)))
    return [COMMON_WORDS[place] for place in order.tolist()]


def counted_words(path: Path) -> list[str]:
    """Words from lines of a word and its count, the most frequent first.

    Raises: DataError where a count is no number.
    """
    counts: dict[str, int] = {}
    for number, row in enumerate(table_rows(path, header=("word", "count")), start=1):
        if not row["count"].isdecimal():
            raise DataError(f"{path} line {number} must be a word and its count, got {row['count']!r}; mend the line")
        counts[row["word"]] = int(row["count"])
    return sorted(counts, key=lambda word: -counts[word])


def unscrambling_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A scrambled word, and the word that is to be written.

    Source: GPT3 Figures G.19, G.22, G.23, G.26 and G.27.
    """
    word = record["completion"].strip()
    if not word:
        raise DataError("the completion is empty; mend or leave out the record")
    return [Free(record["context"], (word,))]


NOTES = (
    f"Words: the first 10,000 of {WORD_COUNTS} and 2,000 more for demonstrations, or, as five sixths and one sixth, "
    f"{len(COMMON_WORDS)} of our own; how each is scrambled is ours, not OpenAI's."
)


def _made(task: Task, kind: Kind, lengths: range, opening: str) -> Task:
    """The task with words from count_1w.txt or our own list."""

    def made(split: str, words: Iterable[str]) -> Iterator[Record]:
        return scrambled_words(kind, lengths, opening, split, words)

    def counted(split: str) -> tuple[Layout, ...]:
        return (Layout((WORD_COUNTS,), lambda path: made(split, counted_words(path))),)

    def generate(split: str) -> Iterator[Record]:
        return made(split, common_words())

    return replace(task, test=counted("test"), train=counted("train"), generate=generate)


def _tasks(kind: Kind) -> Iterator[Task]:
    paper = Task(
        name=kind.name,
        title=f"Unscrambling: {kind.title}",
        source="GPT3 §3.9.2, Figures G.19, G.22, G.23, G.26, G.27",
        items=unscrambling_items,
        measures=(EXACT_ANSWER,),
        answering=Answering(max_tokens=20),  # 15 letters and the line's end, a token a character, and some to spare
        description=f"{INSTRUCTION}\n",
        separator="\n",
        shots=100,
        published=f"gpt3-{kind.name}",
        notes=f"{NOTES} So is the single line break between demonstrations.",
    )
    yield _made(paper, kind, kind.lengths, "")
    released = replace(
        paper,
        name=f"{kind.name}-released",
        description="",
        separator="",  # the contexts begin with the line break
        notes=f"{NOTES} The files have no instruction, so there is none.",
    )
    yield _made(released, kind, kind.released_lengths, "\n")
    yield replace(
        released,
        name=f"{kind.name}-openai",
        folder="data",
        test=(Layout((f"{kind.file}.jsonl.gz",), json_lines), Layout((f"{kind.file}.jsonl",), json_lines)),
        hub=Hub("EleutherAI/unscramble", kind.file, test="validation", train=None),
        description=INSTRUCTION,
        notes="From the data folder of github.com/openai/gpt-3, after the instruction of the paper's figures, which is "
        "not in the files. Demonstrations are the other words, since the paper does not say which.",
    )


TASKS = tuple(task for kind in KINDS for task in _tasks(kind))
