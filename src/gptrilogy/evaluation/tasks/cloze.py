"""What word is missing: LAMBADA, and the Children's Book Test."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.detokenizing import NOVELS
from gptrilogy.evaluation.items import Choice, Cloze, Option
from gptrilogy.evaluation.measures import ACCURACY, CLOZE_PERPLEXITY, GREEDY_ACCURACY
from gptrilogy.evaluation.reading import json_lines, position, text_lines
from gptrilogy.evaluation.task import Hub, Layout, Record, Task

BLANK = "XXXXX"

# Words without a meaning of their own, which end no passage of LAMBADA but by accident: a list of ours.
_STOP_WORDS = """
a an the this that these those each every either neither some any no none all both half such same other another
i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself
we us our ours ourselves they them their theirs themselves one oneself who whom whose which what
and or but nor so yet for if unless until because since although though while whereas whether than as like
of in on at by to from with without within into onto upon about above below over under between among through
during before after against toward towards across behind beside besides beyond near off out up down around along
is am are was were be been being do does did doing done have has had having
can could will would shall should may might must ought
not never n't 's 't 're 've 'll 'd 'm s t re ve ll d m don didn doesn isn wasn aren weren won wouldn couldn
here there where when why how then now again once just only also too very more most much many few less least own
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def last_word_items(
    record: Record, _shots: int, /, *, last_token: bool = False, banned: frozenset[str] = frozenset()
) -> Sequence[Cloze]:
    """A passage, and its last word as it goes on.

    Source: GPT2 §3.3; GPT3 §3.1.2, zero-shot.
    """
    context, word = _last_word(record["text"])
    return [Cloze(context, f" {word}", last_token=last_token, banned=banned)]


def fill_in_items(record: Record, shots: int, /) -> Sequence[Cloze]:
    """With demonstrations `Fill in blank:`, the passage with a blank for its last word, and an arrow; else plain.

    Source: GPT3 §3.1.2, Figure G.21.
    """
    if not shots:
        return last_word_items(record, shots)
    context, word = _last_word(record["text"])
    return [Cloze(f"Fill in blank:\n\n{context} ____. ->", f" {word}")]


def _last_word(text: str) -> tuple[str, str]:
    context, _, word = text.rpartition(" ")
    if not context.strip() or not word.strip():
        raise DataError(
            f"a passage must end with a space and one word, got {text[-40:]!r}; mend or leave out the record"
        )
    return context, word


def tokenised_passages(path: Path) -> Iterator[Record]:
    """LAMBADA's development passages, one a line, with their punctuation put back where it was."""
    for line in text_lines(path):
        if line.strip():
            yield {"text": NOVELS.text(line)}


def cbt_items(record: Record, _shots: int, /) -> Sequence[Choice]:
    """Twenty sentences and the next up to its blank; then each candidate and the rest of the sentence.

    Source: GPT2 §3.2.
    """
    question = NOVELS.text(record["question"])
    before, blank, after = question.partition(BLANK)
    if not blank:
        raise DataError(f"the question has no blank {BLANK}: {question[:60]!r}; mend or leave out the record")
    context = " ".join([*map(NOVELS.text, record["sentences"]), before]).rstrip(" ")
    space = " " if before[-1:] in {"", " "} else ""
    options = [Option(context, f"{space}{candidate}{after}") for candidate in record["options"]]
    return [Choice(tuple(options), (position(record["answer"], record["options"]),))]


def cbt_stories(path: Path) -> Iterator[Record]:
    """Questions as published: 21 numbered lines, the last with answer and candidates behind tabs.

    Raises: DataError where a question has not that form.
    """
    sentences: list[str] = []
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        place, _, text = line.partition(" ")
        match text.split("\t"):
            case [sentence] if place == str(len(sentences) + 1):
                sentences.append(sentence)
            case [question, answer, _, candidates] if place == str(len(sentences) + 1):
                options = candidates.split("|")
                yield {"sentences": sentences, "question": question, "answer": answer, "options": options}
                sentences = []
            case _:
                raise DataError(
                    f"{path} line {number} is not sentence {len(sentences) + 1} of a question: {line[:40]!r}; "
                    "get the file again"
                )
    if sentences:
        raise DataError(f"{path} ends within a question, after its sentence {len(sentences)}; get the file again")


def _lambada(
    name: str,
    title: str,
    items: Callable[[Record, int], Sequence[Cloze]],
    *,
    source: str,
    notes: str,
    shots: int = 0,
    published: str = "",
) -> Task:
    return Task(
        name=name,
        title=title,
        source=source,
        items=items,
        measures=(GREEDY_ACCURACY, CLOZE_PERPLEXITY),
        folder="lambada",
        test=(Layout(("lambada_test.jsonl",), json_lines),),
        train=(
            Layout(("lambada_dev.jsonl",), json_lines),
            Layout(("lambada_development_plain_text.txt",), tokenised_passages),
        ),
        hub=Hub("EleutherAI/lambada_openai", "default", test="test", train=None),
        shots=shots,
        published=published,
        notes=notes,
    )


def _cbt(kind: str, title: str) -> Task:
    return Task(
        name=f"cbt-{kind.lower()}",
        title=f"Children's Book Test, {title}",
        source="GPT2 §3.2, Table 3",
        items=cbt_items,
        measures=(ACCURACY,),
        folder="cbt",
        test=tuple(
            Layout((f"{below}cbtest_{kind}_{split}.txt",), cbt_stories)
            for split in ("valid_2000ex", "test_2500ex")
            for below in ("", "data/", "CBTest/data/")
        ),
        train=tuple(
            Layout((f"{below}cbtest_{kind}_train.txt",), cbt_stories) for below in ("", "data/", "CBTest/data/")
        ),
        hub=Hub("cam-cst/cbt", kind, test="validation", train="train"),
        rule="sum",
        published=f"gpt2-cbt-{kind.lower()}" if kind in {"CN", "NE"} else "",
        notes="On the validation set, as in the paper: a book of the test set is in WebText. How sentences are joined"
        " is unpublished: a space here.",
    )


WORDS = "The last word is what follows the last space, as in lm-evaluation-harness; 7 of 5,153 then hold a line break."
DEV = (
    " Demonstrations are of the published development text, which is in lower case; its marks are put back by rules of"
    " ours. OpenAI's own lambada_dev.jsonl is taken where it lies beside."
)
TASKS = (
    _lambada(
        "lambada",
        "LAMBADA",
        fill_in_items,
        source="GPT3 §3.1.2, Figure G.21",
        shots=15,
        published="gpt3-lambada",
        notes=f"{WORDS}{DEV} The blank's four underscores are lm-evaluation-harness's; whether `Fill in blank:` stands"
        " above each demonstration, as here, or above the first is unpublished.",
    ),
    _lambada(
        "lambada-plain",
        "LAMBADA without blanks",
        last_word_items,
        source="GPT2 §3.3, Table 3; GPT3 Table C.1",
        shots=15,
        published="gpt3-lambada-no-blanks",
        notes=WORDS + DEV,
    ),
    _lambada(
        "lambada-last-token",
        "LAMBADA, last token only",
        partial(last_word_items, last_token=True),
        source="GPT2 Table 3",
        notes=f"{WORDS} Others came near GPT-2's accuracies this way; the paper speaks of words.",
    ),
    _lambada(
        "lambada-stop-words",
        "LAMBADA with a filter of stop words",
        partial(last_word_items, banned=STOP_WORDS),
        source="GPT2 §3.3",
        published="gpt2-lambada",
        notes=f"{WORDS} GPT-2's list of stop words is unpublished; this one is ours, and 57 of 5,153 answers are"
        " on it.",
    ),
    *(
        _cbt(kind, title)
        for kind, title in (("CN", "common nouns"), ("NE", "named entities"), ("V", "verbs"), ("P", "prepositions"))
    ),
)
