"""Tasks come out as lm-evaluation-harness's own of the same sets do, under the same weights and for the same texts.

The weights are random and lie in a Hugging Face folder, which the harness's `hf` model and `gptrilogy.load` both read.
Its tasks are those it ships, but for the files they read. Shares of right answers must be equal, log-probabilities and
perplexities within 1e-4 of their size. Where the texts differ, it is tested how, and the rest under equal texts.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import lm_eval.tasks
import pytest
import torch
import yaml
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model
from lm_eval.evaluator import evaluate as evaluate_theirs
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from gptrilogy import load
from gptrilogy.evaluation.catalogue import TASKS
from gptrilogy.evaluation.data import read_split
from gptrilogy.evaluation.detokenizing import harness_text
from gptrilogy.evaluation.harness import Examination, Protocol, evaluate
from gptrilogy.evaluation.items import Choice, Item, Passage
from gptrilogy.evaluation.journal import Journal
from gptrilogy.evaluation.measures import BITS, PERPLEXITY
from gptrilogy.evaluation.prompts import Prompter
from gptrilogy.evaluation.task import Record, Task
from gptrilogy.evaluation.tasks.endings import hellaswag_blocks
from gptrilogy.evaluation.tasks.language_modelling import wikitext_pages
from gptrilogy.generation.language_model import LanguageModel

RELATIVE = 1e-4
N_CTX = 192
SHIPPED = Path(lm_eval.tasks.__file__).parent
RULES = {"acc": "sum", "acc_norm": "character", "acc_bytes": "byte", "acc_mutual_info": "unconditional"}

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Find: TypeAlias = Callable[[str], Path]


@dataclass(frozen=True)
class Both:
    """One model as the harness runs it and as we do, and a place for the files of one test."""

    theirs: LM
    ours: LanguageModel
    folder: Path

    def put_theirs(
        self, shipped: str, records: Rows, *, train: Rows = (), shots: int = 0, **changes: object
    ) -> "Their":
        """What a task that the harness ships makes of records in the form that the hub has."""
        files = {
            name: write(self.folder / "hub" / f"{name}.jsonl", rows)
            for name, rows in (("test", records), ("train", train))
            if rows
        }
        task = {
            "include": str(SHIPPED / shipped),
            "task": "shipped",
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {
                "data_files": {name: str(path) for name, path in files.items()},
                "cache_dir": str(self.folder / "cache"),
            },
            "training_split": "train" if train else None,
            "validation_split": None,
            "test_split": "test",
            "num_fewshot": shots,
            **changes,
        }
        (self.folder / "task.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
        manager = TaskManager(include_path=str(self.folder), include_defaults=False)
        found: Any = evaluate_theirs(self.theirs, manager.load(["shipped"]), bootstrap_iters=0)
        samples = sorted(found["samples"]["shipped"], key=lambda sample: sample["doc_id"])
        return Their(found["results"]["shipped"], samples)

    def put_ours(self, task: Task, data: Path, *, shots: int = 0) -> "Our":
        """What a task of ours makes of the published files in a folder."""
        journal = Journal(self.folder / "answers.jsonl")
        protocol = Protocol(shots=(shots,), all_rules=True)
        found = evaluate("tiny", self.ours, [task], protocol, data=data, journal=journal)
        assert found.failures == []
        lines = (self.folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()
        answers = [answer for line in lines for answer in json.loads(line)["answers"]]
        return Our(found, [answer["nats"] for answer in answers])


@dataclass(frozen=True)
class Their:
    """Results of the harness: its numbers, and its samples in the order of the records."""

    results: Mapping[str, Any]
    samples: Rows

    def value(self, metric: str) -> float:
        return self.results[f"{metric},none"]

    def each(self, metric: str) -> list[float]:
        return [sample[metric] for sample in self.samples]

    def nats(self) -> list[list[float]]:
        return [[nats for ((nats, _),) in sample["resps"]] for sample in self.samples]

    def texts(self) -> list[list[tuple[str, str]]]:
        """What was scored after what."""
        return [[(context, text) for context, text in sample["arguments"]] for sample in self.samples]


@dataclass(frozen=True)
class Our:
    """Results of ours, and the log-probabilities of each item."""

    found: Examination
    nats: list[list[float]]

    def value(self, metric: str, rule: str = "likelihood") -> float:
        (value,) = [row["value"] for row in self.found.rows if (row["metric"], row["rule"]) == (metric, rule)]
        return value

    def each(self, metric: str, rule: str = "likelihood") -> list[float]:
        rows = [row for row in self.found.record_rows if (row["metric"], row["rule"]) == (metric, rule)]
        return [row["value"] for row in rows]


@pytest.fixture(scope="module")
def model_folder(shared_data: Find, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2 with two narrow layers and its whole vocabulary, as `transformers` saves it."""
    folder = tmp_path_factory.mktemp("hf")
    torch.manual_seed(0)
    sizes = GPT2Config(n_positions=N_CTX, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3)
    GPT2LMHeadModel(sizes).save_pretrained(folder)
    shutil.copy(shared_data("vocab/gpt2/encoder.json"), folder / "vocab.json")
    shutil.copy(shared_data("vocab/gpt2/vocab.bpe"), folder / "merges.txt")
    return folder


@pytest.fixture(scope="module")
def loaded(model_folder: Path) -> tuple[LM, LanguageModel]:
    hf: Any = get_model("hf")
    model = AutoModelForCausalLM.from_pretrained(model_folder, local_files_only=True).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(model_folder, local_files_only=True)
    return hf(pretrained=model, tokenizer=tokenizer, batch_size=1), load(model_folder, device="cpu")


@pytest.fixture
def both(loaded: tuple[LM, LanguageModel], tmp_path: Path) -> Both:
    return Both(*loaded, tmp_path)


def write(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts_of(task: Task, data: Path) -> list[list[tuple[str, str]]]:
    """What ours scores after what."""
    test = read_split(task, "test", data)
    return [
        [(option.context, option.completion) for option in choice(item).options]
        for n in range(len(test.records))
        for item in task.items(test.records[n], 0)
    ]


def choice(item: Item) -> Choice:
    assert isinstance(item, Choice)
    return item


def assert_equal_choices(ours: Our, theirs: Their, metrics: Iterable[str]) -> None:
    """The same log-probability of every option, and the same records right under each rule, some but not all."""
    for one, other in zip(ours.nats, theirs.nats(), strict=True):
        assert one == pytest.approx(other[: len(one)], rel=RELATIVE)
    for metric in metrics:
        assert ours.each("acc", RULES[metric]) == theirs.each(metric)
        assert ours.value("acc", RULES[metric]) == pytest.approx(theirs.value(metric), rel=1e-12)
        assert 0 < theirs.value(metric) < 1


# LAMBADA.


def test_last_words_are_as_right_and_as_likely(both: Both, shared_data: Find) -> None:
    passages = [json.loads(line) for line in shared_data("eval/lambada/lambada_test.jsonl").read_text().splitlines()]
    broken = [passage for passage in passages if "\n" in passage["text"].rpartition(" ")[2]]
    assert len(broken) == 7  # for the last word is what the last space parts, in both
    records = [*(foreseen(passage, both.ours) for passage in passages[:16]), *passages[16:20], *broken[:4]]
    write(both.folder / "lambada" / "lambada_test.jsonl", records)
    ours = both.put_ours(TASKS["lambada"], both.folder)
    theirs = both.put_theirs("lambada/lambada_openai.yaml", records)
    assert ours.each("acc") == theirs.each("acc")
    assert ours.value("acc") == pytest.approx(theirs.value("acc"), rel=1e-12)
    assert 0.2 < theirs.value("acc") < 0.8
    assert ours.value("ppl") == pytest.approx(theirs.value("perplexity"), rel=RELATIVE)


def foreseen(passage: Record, model: LanguageModel) -> Record:
    """A passage with the last word that the model would write, where what it writes is a word."""
    context = passage["text"].rpartition(" ")[0]
    written = model.generate(context, max_tokens=1, temperature=0.0)
    return {"text": context + written} if re.fullmatch(" [A-Za-z]+", written) else passage


# HellaSwag.


def test_endings_are_chosen_alike(both: Both, shared_data: Find) -> None:
    blocks = [*hellaswag_blocks(shared_data("eval/hellaswag/hellaswag_val_full.txt.bz2"))]
    marked = [block for block in blocks if "[header]" in block["ctx"] and "[title]" in block["ctx"]]
    records = [as_published(block) for block in (*blocks[:12], *marked[:12])]
    write(both.folder / "hellaswag_val.jsonl", records)
    ours = both.put_ours(TASKS["hellaswag"], both.folder)
    theirs = both.put_theirs("hellaswag/hellaswag.yaml", records)
    assert texts_of(TASKS["hellaswag"], both.folder) == theirs.texts()
    assert_equal_choices(ours, theirs, ("acc", "acc_norm"))


def as_published(block: Record) -> Record:
    """A record with its context in two parts as well, of which the second is the unfinished sentence of a video."""
    begun, stop, rest = ("", "", "") if "[" in block["ctx"] else block["ctx"].rpartition(". ")
    parts = {"ctx_a": begun + stop.strip(), "ctx_b": rest} if rest else {"ctx_a": block["ctx"], "ctx_b": ""}
    return {**block, **parts, "label": int(block["label"])}


def test_the_harness_leaves_an_unfinished_sentence_no_other_capital(both: Both) -> None:
    record = {
        "activity_label": "Sailing",
        "ctx_a": "A boat lies in a harbour.",
        "ctx_b": "then Ann",
        "ctx": "A boat lies in a harbour. then Ann",
        "endings": ["sails.", "sinks.", "sings.", "sits."],
        "label": 0,
    }
    write(both.folder / "hellaswag_val.jsonl", [record])
    (theirs,) = both.put_theirs("hellaswag/hellaswag.yaml", [record]).texts()
    (ours,) = texts_of(TASKS["hellaswag"], both.folder)
    assert theirs[0] == ("Sailing: A boat lies in a harbour. Then ann", " sails.")
    assert ours[0] == ("Sailing: A boat lies in a harbour. Then Ann", " sails.")


# ARC.

THINGS = {
    "ice": "frozen water",
    "steam": "water that has become a gas",
    "rust": "iron that has taken up oxygen",
    "sand": "stone worn down to grains",
    "snow": "water that froze in the air – in flakes",
    "coal": "what is left of old forests",
    "amber": "hard resin",
    "chalk": "the shells of small sea creatures",
}
QUESTIONS = (
    "Which of these is {}?",
    "A class is shown some {}. What do they see?",
    "Which best describes {}?",
    "What would one find on looking closely at {}?",
)


def science(start: int = 0) -> list[dict[str, Any]]:
    """Questions with 3 to 5 choices, named by letters or by numbers."""
    names, answers = list(THINGS), list(THINGS.values())
    records: list[dict[str, Any]] = []
    for number in range(start, start + 4 * len(QUESTIONS)):
        n, question = 3 + number % 3, QUESTIONS[number % len(QUESTIONS)]
        labels = ("ABCDE" if number % 2 else "12345")[:n]
        texts = [answers[(number + 3 * place) % len(answers)] for place in range(n)]
        gold = number // 2 % n
        stem = question.format(names[(number + 3 * gold) % len(names)])
        records.append({"question": stem, "choices": {"text": texts, "label": [*labels]}, "answerKey": labels[gold]})
    return records


def as_archived(row: Record) -> Record:
    """A row of the hub in the form of the published archive."""
    columns = row["choices"]
    choices = [{"text": text, "label": label} for text, label in zip(columns["text"], columns["label"], strict=True)]
    return {"question": {"stem": row["question"], "choices": choices}, "answerKey": row["answerKey"]}


def without_answer_context(task: Task) -> Task:
    """The task with P(completion) taken at the beginning of a document."""

    def items(record: Record, shots: int) -> Sequence[Item]:
        return [replace(choice(item), answer_context="") for item in task.items(record, shots)]

    return replace(task, items=items)


@pytest.mark.parametrize("which", ["Easy", "Challenge"])
def test_answers_are_chosen_alike(both: Both, which: str) -> None:
    rows = science()
    write(both.folder / f"ARC-{which}-Test.jsonl", [as_archived(row) for row in rows])
    task = without_answer_context(TASKS[f"arc-{which.lower()}"])
    metrics = [{"metric": metric} for metric in RULES]
    theirs = both.put_theirs(f"arc/arc_{which.lower()}.yaml", rows, metric_list=metrics)
    assert texts_of(task, both.folder) == [texts[: len(texts) // 2] for texts in theirs.texts()]
    assert_equal_choices(both.put_ours(task, both.folder), theirs, RULES)


def test_mutual_information_is_of_a_document_there_and_of_an_answer_in_the_paper(both: Both) -> None:
    rows = science()[:1]
    write(both.folder / "ARC-Easy-Test.jsonl", [as_archived(row) for row in rows])
    texts = both.put_theirs("arc/arc_easy.yaml", rows, metric_list=[{"metric": "acc_mutual_info"}]).texts()
    task = TASKS["arc-easy"]
    (record,) = read_split(task, "test", both.folder, limit=1).records
    (item,) = task.items(record, 0)
    question = f"Question: {rows[0]['question']}\nAnswer:"
    assert [context for context, _ in texts[0]] == [question] * 3 + [""] * 3
    assert choice(item).answer_context == "Answer:"


def test_answers_after_the_same_demonstrations_are_chosen_alike(both: Both) -> None:
    rows, train, shots = science(), science(100)[:3], 3
    write(both.folder / "ARC-Easy-Test.jsonl", [as_archived(row) for row in rows])
    write(both.folder / "ARC-Easy-Train.jsonl", [as_archived(row) for row in train])
    task = replace(TASKS["arc-easy"], fixed_draw=True)
    prompter = Prompter(task, *(read_split(task, split, both.folder) for split in ("test", "train")))
    drawn = [train[number] for number in prompter.picks(0, shots, 0)]
    theirs = both.put_theirs("arc/arc_easy.yaml", rows, train=drawn, shots=shots, fewshot_config={"sampler": "first_n"})
    ours = both.put_ours(task, both.folder, shots=shots)
    assert theirs.texts()[0][0][0].count("Answer:") == 1 + shots
    assert all(row["demonstrations"] == shots for row in ours.found.rows)
    assert_equal_choices(ours, theirs, ("acc", "acc_norm"))


# WinoGrande.


def test_sentences_are_completed_alike(both: Both, shared_data: Find) -> None:
    published = [json.loads(line) for line in shared_data("eval/winogrande/dev.jsonl").read_text().splitlines()]
    labels = shared_data("eval/winogrande/dev-labels.lst").read_text().split()
    records = [{**record, "answer": label} for record, label in zip(published, labels, strict=True)]
    records = [record for record in records if is_spaced(record["sentence"])][:32]
    write(both.folder / "winogrande" / "dev.jsonl", records)
    theirs = both.put_theirs("winogrande/default.yaml", records)
    assert texts_of(TASKS["winogrande"], both.folder) == theirs.texts()
    assert_equal_choices(both.put_ours(TASKS["winogrande"], both.folder), theirs, ("acc",))


def is_spaced(sentence: str) -> bool:
    """Whether the harness, which writes one space after a candidate, writes what is there."""
    rest = sentence.partition("_")[2]
    return rest == f" {rest.strip()}"


def test_the_harness_writes_a_space_after_every_candidate(both: Both) -> None:
    record = {"sentence": "_'s bread was dry. ", "option1": "Ann", "option2": "Ben", "answer": "1"}
    write(both.folder / "winogrande" / "dev.jsonl", [record])
    assert both.put_theirs("winogrande/default.yaml", [record]).texts()[0][0] == ("Ann", " 's bread was dry.")
    assert texts_of(TASKS["winogrande"], both.folder)[0][0] == ("Ann", "'s bread was dry. ")


# WikiText.


def test_pages_are_as_likely(both: Both, shared_data: Find) -> None:
    every = (record["page"] for record in wikitext_pages(shared_data("lm/wikitext-2-raw/wiki.test.raw")))
    (both.folder / "wiki.test.raw").write_text("\n".join(sorted(every, key=len)[:3]), encoding="utf-8")
    pages = [*wikitext_pages(both.folder / "wiki.test.raw")]
    assert len(pages) == 3
    theirs = both.put_theirs("wikitext/wikitext.yaml", pages)
    task = TASKS["wikitext-2-harness"]
    words = both.put_ours(task, both.folder)
    assert words.value("ppl") == pytest.approx(theirs.value("word_perplexity"), rel=RELATIVE)
    by_bytes = both.put_ours(replace(task, items=byte_items, measures=(PERPLEXITY, BITS)), both.folder)
    assert by_bytes.value("ppl") == pytest.approx(theirs.value("byte_perplexity"), rel=RELATIVE)
    assert by_bytes.value("bits") == pytest.approx(theirs.value("bits_per_byte"), rel=RELATIVE)


def byte_items(record: Record, _shots: int, /) -> Sequence[Passage]:
    """A page as the harness scores it, charged to the bytes of its original."""
    return [Passage(harness_text(record["page"]), len(record["page"].encode()))]
