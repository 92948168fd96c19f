"""Where the published data sets keep what: files, columns, names of labels, and how each is scored."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from gptrilogy.finetuning.columns import Columns
from gptrilogy.finetuning.config import MetricName
from gptrilogy.finetuning.published_questions import Split, mrpc_rows, race_rows, story_rows
from gptrilogy.finetuning.tables import Format, OnBad, TableRow
from gptrilogy.finetuning.tasks import KindName

Files: TypeAlias = Mapping[Split, tuple[str, ...]]
RowReader: TypeAlias = Callable[[Path, Split, OnBad], Iterator[TableRow]]


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which a data set lies on a disk.

    `files`: of each split, names or patterns, all of which are needed. `folders`: where below the given one they may
    be. `format`: where the suffix does not tell. `rows`: reads one file, where it is not simply a table.
    """

    columns: Columns
    files: Files
    folders: tuple[str, ...] = ("",)
    format: Format | None = None
    rows: RowReader | None = None


@dataclass(frozen=True, slots=True)
class Hub:
    """The same data set on the Hugging Face hub."""

    dataset: str
    config: str | None
    columns: Columns
    suffix: str = ""  # of the splits for validation and test

    def split(self, split: Split) -> str:
        return {"train": "train", "valid": f"validation{self.suffix}", "test": f"test{self.suffix}"}[split]


@dataclass(frozen=True, slots=True)
class Published:
    """One data set; `n_train` counts the labelled examples its authors publish, the first metric is GPT-1's.

    `label_names` turns numbers, where a layout has them, into the names that the others have.
    """

    kind: KindName
    metrics: tuple[MetricName, ...]
    n_train: int
    source: str
    hub: Hub | None
    layouts: tuple[Layout, ...]
    label_names: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def columns(self) -> Columns:
        """Those of the usual layout."""
        return self.layouts[0].columns


def _files(train: str, valid: str, test: str) -> Files:
    return {"train": (train,), "valid": (valid,), "test": (test,)}


def _named(pattern: str) -> Files:
    return _files(*(pattern.format(part) for part in ("train", "dev", "test")))


def _glue(config: str, columns: Columns, suffix: str = "") -> Hub:
    return Hub("nyu-mll/glue", config, columns, suffix)


GLUE_FILES = _named("{}.tsv")
COLA = {"text": "3", "label": "1"}
MRPC = {"first": "#1 String", "second": "#2 String", "label": "Quality"}
PAIR = {"first": "sentence1", "second": "sentence2", "label": "label"}
QUESTIONS = {"first": "question1", "second": "question2", "label": "is_duplicate"}
SENTENCE = {"text": "sentence", "label": "label"}
GOLD = {"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"}
RTE = {**GOLD, "label": "label"}
QNLI = {"premise": "question", "hypothesis": "sentence", "label": "label"}
ENTAILMENT = {"premise": "premise", "hypothesis": "hypothesis", "label": "label"}
RACE = {"context": "article", "question": "question", "answers": "options", "label": "answer"}
STORY = {
    "context": "InputSentence1+InputSentence2+InputSentence3+InputSentence4",
    "answers": "endings",
    "label": "AnswerRightEnding",
}
STORY_VALID = "cloze_test_val__spring2016*.csv"
STEM = {"question": "question.stem", "answers": "question.choices", "label": "answerKey"}
OPENBOOKQA_HUB = {**STEM, "question": "question_stem", "answers": "choices"}
ARC_HUB = {**STEM, "question": "question", "answers": "choices"}
THREE_NAMES = {"0": "entailment", "1": "neutral", "2": "contradiction"}
TWO_NAMES = {"0": "entailment", "1": "not_entailment"}
SNLI_FOLDERS = ("", "snli_1.0", "original")
OPENBOOKQA_FOLDERS = ("", "Data/Main", "OpenBookQA-V1-Sep2018/Data/Main")


def _arc(which: str, n_train: int) -> Published:
    files = _files(*(f"ARC-{which}-{part}.jsonl" for part in ("Train", "Dev", "Test")))
    layout = Layout(STEM, files, ("", f"ARC-{which}", f"ARC-V1-Feb2018-2/ARC-{which}"))
    hub = Hub("allenai/ai2_arc", f"ARC-{which}", ARC_HUB)
    return Published("choice", ("accuracy",), n_train, "Clark et al. 2018", hub, (layout,))


PUBLISHED: dict[str, Published] = {
    "cola": Published(
        "classification",
        ("matthews", "accuracy"),
        8_551,
        "Warstadt et al. 2018",
        _glue("cola", SENTENCE),
        (
            Layout(
                COLA,
                {"train": ("in_domain_train.tsv",), "valid": ("in_domain_dev.tsv", "out_of_domain_dev.tsv")},
                ("", "raw", "cola_public/raw"),
            ),
            Layout(COLA, {"train": ("train.tsv",), "valid": ("dev.tsv",)}),
            Layout({"text": "sentence"}, {"test": ("test.tsv",)}),  # of GLUE's files this one alone has a header
        ),
    ),
    "sst2": Published(
        "classification",
        ("accuracy",),
        67_349,
        "Socher et al. 2013, as in GLUE",
        _glue("sst2", SENTENCE),
        (Layout(SENTENCE, GLUE_FILES),),
    ),
    "mrpc": Published(
        "similarity",
        ("f1", "accuracy"),
        3_668,
        "Dolan and Brockett 2005, as in GLUE",
        _glue("mrpc", PAIR),
        (
            Layout(MRPC, GLUE_FILES),
            Layout(
                MRPC,
                {"train": ("msr_paraphrase_train.txt",), "test": ("msr_paraphrase_test.txt",)},
                rows=mrpc_rows,
            ),
        ),
    ),
    "stsb": Published(
        "regression",
        ("pearson", "spearman"),
        5_749,
        "Cer et al. 2017",
        _glue("stsb", PAIR),
        (
            Layout({**PAIR, "label": "score"}, GLUE_FILES),
            Layout({"first": "0", "second": "1", "label": "2"}, _named("stsb-en-{}.csv")),
        ),
    ),
    "qqp": Published(
        "similarity",
        ("f1", "accuracy"),
        363_846,
        "Iyer et al. 2017, as in GLUE",
        _glue("qqp", {**QUESTIONS, "label": "label"}),
        (Layout(QUESTIONS, GLUE_FILES),),
    ),
    "mnli": Published(
        "entailment",
        ("accuracy", "macro_f1"),
        392_702,
        "Williams et al. 2018; validation is the matched set, give dev_mismatched.tsv for the other",
        _glue("mnli", ENTAILMENT, "_matched"),
        (
            Layout(GOLD, _files("train.tsv", "dev_matched.tsv", "test_matched.tsv")),
            Layout(
                GOLD,
                {"train": ("multinli_1.0_train.jsonl",), "valid": ("multinli_1.0_dev_matched.jsonl",)},
                ("", "multinli_1.0", "original"),
            ),
        ),
        THREE_NAMES,
    ),
    "qnli": Published(
        "entailment",
        ("accuracy",),
        104_743,
        "Rajpurkar et al. 2016, as in GLUE (version 2)",
        _glue("qnli", QNLI),
        (Layout(QNLI, GLUE_FILES),),
        TWO_NAMES,
    ),
    "rte": Published(
        "entailment",
        ("accuracy",),
        2_490,
        "RTE-1, 2, 3 and 5, as in GLUE",
        _glue("rte", RTE),
        (Layout(RTE, GLUE_FILES),),
        TWO_NAMES,
    ),
    "snli": Published(
        "entailment",
        ("accuracy", "macro_f1"),
        549_367,
        "Bowman et al. 2015",
        Hub("stanfordnlp/snli", None, ENTAILMENT),
        (
            Layout(GOLD, _named("snli_1.0_{}.jsonl"), SNLI_FOLDERS),
            Layout(GOLD, _named("snli_1.0_{}.txt"), SNLI_FOLDERS, format="tsv"),
            Layout(ENTAILMENT, _files("train.tsv", "validation.tsv", "test.tsv")),
        ),
        THREE_NAMES,
    ),
    "scitail": Published(
        "entailment",
        ("accuracy",),
        23_596,
        "Khot et al. 2018",
        Hub("allenai/scitail", "snli_format", GOLD),
        (
            Layout(
                {"premise": "0", "hypothesis": "1", "label": "2"},
                _named("scitail_1.0_{}.tsv"),
                ("", "tsv_format", "SciTailV1.1/tsv_format"),
            ),
        ),
        {"entailment": "entails"},
    ),
    "race": Published(
        "choice",
        ("accuracy",),
        87_866,
        "Lai et al. 2017",
        Hub("ehovy/race", "all", RACE),
        (
            Layout(RACE, _named("{}/*/*.txt"), ("", "RACE"), rows=race_rows),  # middle and high school
        ),
    ),
    "storycloze": Published(
        "choice",
        ("accuracy",),
        1_497,
        "Mostafazadeh et al. 2016; trained and validated on parts of the validation file, as GPT-1",
        None,
        (Layout(STORY, _files(STORY_VALID, STORY_VALID, "cloze_test_test__spring2016*.csv"), rows=story_rows),),
    ),
    "openbookqa": Published(
        "choice",
        ("accuracy",),
        4_957,
        "Mihaylov et al. 2018",
        Hub("allenai/openbookqa", "main", OPENBOOKQA_HUB),
        (Layout(STEM, _named("{}.jsonl"), OPENBOOKQA_FOLDERS),),
    ),
    "arc_easy": _arc("Easy", 2_251),
    "arc_challenge": _arc("Challenge", 1_119),
}
