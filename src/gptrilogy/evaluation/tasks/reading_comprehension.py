"""Questions on a text, answered in the model's own words: CoQA, QuAC, SQuAD v2, DROP."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.nested import texts, unfolded
from gptrilogy.evaluation.scores.answers import COQA_F1, NO_ANSWER, QUAC_F1, QUAC_F1_ALL, SQUAD2_F1, SQUAD2_MATCH
from gptrilogy.evaluation.scores.drop import DROP_F1, DROP_MATCH, SPAN_END
from gptrilogy.evaluation.task import Answering, Hub, Layout, Record, Task
from gptrilogy.generation.config import Sampling


def coqa_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A story, and each question after the earlier ones with their answers. Source: GPT3 Figure G.18."""
    return _dialogue(record["story"], _coqa_turns(record))


def coqa_gpt2_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """The same, a line a turn, until a last "A:". Source: GPT2 §3.5, which prints no line breaks."""
    return _dialogue(record["story"], _coqa_turns(record), gap="\n")


def quac_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A section of an article, and each question after the earlier ones. Source: GPT3 Figure G.25."""
    opening = f"TITLE: {record['title']} - {record['section_title']}\nPARAGRAPH: {record['context']}"
    return _dialogue(opening, ((turn["question"], _quac_answers(turn)) for turn in record["qas"]))


def squad2_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A paragraph, and each question after the earlier ones with their answers. Source: GPT3 Figure G.28."""
    opening = f"Title: {record['title']}\n\nBackground: {record['context']}"
    return _dialogue(opening, ((question["question"], _squad2_answers(question)) for question in record["qas"]))


def drop_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """A passage with one question; an answer's spans are the lines of one text. Source: GPT3 Figure G.20."""
    given = [_drop_spans(answer) for answer in (record["answer"], *record.get("validated_answers", []))]
    answers = texts([SPAN_END.join(spans) for spans in given if spans[0].strip()])
    return [Free(f"Passage: {record['passage']}\nQuestion: {record['question']}\nAnswer:", answers)]


def drop_demonstration(record: Record) -> str:
    """A question with the first of its answers, spans parted by commas."""
    (item,) = drop_items(record, 1)
    return item.context + item.separator + item.answers[0].replace(SPAN_END, ", ")


def coqa_records(document: Any) -> Iterator[Record]:
    """Stories with their dialogues."""
    return (dict(story) for story in document["data"])


def quac_records(document: Any) -> Iterator[Record]:
    """Sections with their dialogues."""
    for article in document["data"]:
        for section in article["paragraphs"]:
            yield {"title": article["title"], "section_title": article["section_title"], **section}


def squad_records(document: Any) -> Iterator[Record]:
    """Paragraphs with their questions."""
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            yield {"title": article["title"], **paragraph}


def drop_records(document: Any) -> Iterator[Record]:
    """Questions, each with its passage."""
    for passage in document.values():
        for question in passage["qa_pairs"]:
            yield {"passage": passage["passage"], **question}


def _dialogue(opening: str, turns: Iterable[tuple[str, tuple[str, ...]]], gap: str = "\n\n") -> list[Free]:
    """Each question, after what was asked and answered before it."""
    items: list[Free] = []
    told = opening
    for question, answers in turns:
        items.append(Free(f"{told}{gap}Q: {question}{gap}A:", answers))
        told = items[-1].demonstration
    if not items:
        raise DataError("it asks nothing; leave out the record")
    return items


def _coqa_turns(record: Record) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Questions, with the answers of the one who was asked and of others who were asked afterwards."""
    given = [record["answers"], *record.get("additional_answers", {}).values()]
    for question, *answers in zip(record["questions"], *given, strict=True):
        yield question["input_text"], texts([answer["input_text"] for answer in answers])


def _quac_answers(turn: Mapping[str, Any]) -> tuple[str, ...]:
    """All annotators' answers, first the one that the dialogue went on from."""
    first = turn["orig_answer"]["text"]
    return tuple(sorted(texts([answer["text"] for answer in turn["answers"]]), key=lambda text: text != first))


def _squad2_answers(question: Mapping[str, Any]) -> tuple[str, ...]:
    return (NO_ANSWER,) if question["is_impossible"] else texts([answer["text"] for answer in question["answers"]])


def _drop_spans(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The number, the spans or the date that an answer is; ("",) where it is none."""
    if answer["number"] != "":
        return (str(answer["number"]),)
    if answer["spans"]:
        return texts(answer["spans"])
    return (" ".join(filter(None, (answer["date"].get(part) for part in ("day", "month", "year")))),)


def _coqa_row(row: Record) -> Record:
    """The hub turns lists of objects into objects of lists."""

    def turns(columns: Mapping[str, Any]) -> list[Record]:
        return [{"input_text": text} for text in columns["input_text"]]

    columns: Mapping[str, Any] = row["additional_answers"] or {}
    others = {name: turns(answers) for name, answers in columns.items()}
    return {
        "story": row["story"],
        "questions": turns(row["questions"]),
        "answers": turns(row["answers"]),
        "additional_answers": {name: answers for name, answers in others.items() if answers},
    }


def _quac_row(row: Record) -> Record:
    originals = row["orig_answers"]["texts"]
    qas = [
        {"question": question, "answers": [{"text": text} for text in answers], "orig_answer": {"text": original}}
        for question, answers, original in zip(row["questions"], row["answers"]["texts"], originals, strict=True)
    ]
    return {
        "title": row["wikipedia_page_title"],
        "section_title": row["section_title"],
        "context": row["context"],
        "qas": qas,
    }


def _squad2_row(row: Record) -> Record:
    """The hub has a row a question."""
    answers = [{"text": text} for text in row["answers"]["text"]]
    qas = [{"question": row["question"], "answers": answers, "is_impossible": not answers}]
    return {"title": row["title"], "context": row["context"], "qas": qas}


def _drop_row(row: Record) -> Record:
    columns = row["validated_answers"]
    kinds = ("number", "date", "spans")
    rows = zip(*(columns[kind] for kind in kinds), strict=True)
    return {**row, "validated_answers": [dict(zip(kinds, values, strict=True)) for values in rows]}


def _whole(items: Callable[[Record, int], Sequence[Free]]) -> Callable[[Record], str]:
    """A demonstration of all of a record's questions, which its last item holds."""
    return lambda record: items(record, 1)[-1].demonstration


COQA_FILES = partial(unfolded, unfold=coqa_records)
COQA_TEST = (Layout(("coqa-dev-v1.0.json",), COQA_FILES),)
COQA_TRAIN = (Layout(("coqa-train-v1.0.json",), COQA_FILES),)
COQA_HUB = Hub("EleutherAI/coqa", None, test="validation", train="train", record=_coqa_row)
QUAC_FILES = partial(unfolded, unfold=quac_records)
SQUAD_FILES = partial(unfolded, unfold=squad_records)
DROP_FILES = partial(unfolded, unfold=drop_records)
WHOLE_NOTE = (
    "A demonstration is a text with all its questions; whether the paper's K counts texts or questions is open."
)

TASKS = (
    Task(
        name="coqa",
        title="CoQA",
        source="GPT3 §3.6, Figure G.18",
        items=coqa_items,
        measures=(COQA_F1,),
        folder="coqa",
        test=COQA_TEST,
        train=COQA_TRAIN,
        hub=COQA_HUB,
        answering=Answering(max_tokens=64),
        demonstration=_whole(coqa_items),
        shots=5,
        published="gpt3-coqa",
        notes=f"Earlier answers are the right ones, not the model's. {WHOLE_NOTE}",
    ),
    Task(
        name="coqa-gpt2",
        title="CoQA as GPT-2 was asked",
        source="GPT2 §3.5",
        items=coqa_gpt2_items,
        measures=(COQA_F1,),
        folder="coqa",
        test=COQA_TEST,
        train=COQA_TRAIN,
        hub=COQA_HUB,
        answering=Answering(max_tokens=64, beams=1, sampling=Sampling(temperature=0)),
        demonstration=_whole(coqa_gpt2_items),
        published="gpt2-coqa",
        notes='Earlier answers are the right ones. The paper prints a last "A:" alone; "Q:" and line breaks are ours.',
    ),
    Task(
        name="quac",
        title="QuAC",
        source="GPT3 §3.6, Figure G.25",
        items=quac_items,
        measures=(QUAC_F1, QUAC_F1_ALL),
        folder="quac",
        test=(Layout(("val_v0.2.json",), QUAC_FILES),),
        train=(Layout(("train_v0.2.json",), QUAC_FILES),),
        hub=Hub("allenai/quac", None, test="validation", train="train", record=_quac_row),
        answering=Answering(max_tokens=64),
        demonstration=_whole(quac_items),
        shots=5,
        published="gpt3-quac",
        notes="f1 leaves out questions on which annotators agree below 0.4, as the set's script does, f1_all does not; "
        "the paper does not say which it prints. That earlier questions are shown, with the right answers, is ours. "
        f"{WHOLE_NOTE}",
    ),
    Task(
        name="squadv2",
        title="SQuAD v2",
        source="GPT3 §3.6, Figure G.28",
        items=squad2_items,
        measures=(SQUAD2_MATCH, SQUAD2_F1),
        folder="squad",
        test=(Layout(("dev-v2.0.json",), SQUAD_FILES),),
        train=(Layout(("train-v2.0.json",), SQUAD_FILES),),
        hub=Hub("rajpurkar/squad_v2", None, test="validation", train="train", record=_squad2_row),
        answering=Answering(max_tokens=32),
        demonstration=_whole(squad2_items),
        shots=16,
        published="gpt3-squadv2",
        notes=f'That a question without an answer is shown with "{NO_ANSWER}" is ours. From the hub each question '
        f"stands alone. {WHOLE_NOTE}",
    ),
    Task(
        name="drop",
        title="DROP",
        source="GPT3 §3.6, Figure G.20",
        items=drop_items,
        measures=(DROP_F1, DROP_MATCH),
        folder="drop",
        test=(
            Layout(("drop_dataset_dev.json",), DROP_FILES),
            Layout(("drop_dataset/drop_dataset_dev.json",), DROP_FILES),
        ),
        train=(
            Layout(("drop_dataset_train.json",), DROP_FILES),
            Layout(("drop_dataset/drop_dataset_train.json",), DROP_FILES),
        ),
        hub=Hub("EleutherAI/drop", None, test="validation", train="train", record=_drop_row),
        answering=Answering(max_tokens=32),
        demonstration=drop_demonstration,
        shots=20,
        published="gpt3-drop",
        notes="A written text is one span, so of an answer of n spans it gets 1/n at most; that demonstrations part "
        "spans by commas is ours.",
    ),
)
