"""The papers' tables as they are printed, each read from a CSV file beside this one when it is asked for."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from gptrilogy.config import suggest
from gptrilogy.errors import ConfigError

FOLDER = Path(__file__).with_name("tables")
COMPLETE = "gpt3-h.1"
SMALLER = tuple(f"gpt3-{size}" for size in ("small", "medium", "large", "xl", "2.7b", "6.7b", "13b"))
DRAWN = "Rows of gpt3-h.1; where the printed table is known to differ, `misprints` has it."
Row: TypeAlias = Mapping[str, str]

# How far a number is certain, the least certain last.
#   twice: two independent copies of the paper agree, or it follows by arithmetic from what else is printed
#   once: one copy was read
#   derived: not printed, but computed from what is
#   memory: of common knowledge, and not looked up
Certainty: TypeAlias = Literal["twice", "once", "derived", "memory"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table's name, what it shows, where it stands, and what must be known to read it.

    `results`: whether its rows are what models score at tasks, in the columns that `entries.py` reads. `drawn`: the
    results of gpt3-h.1 that it repeats for the largest model, where it is no more than that.
    """

    name: str
    title: str
    source: str
    certainty: Certainty
    results: bool = False
    drawn: tuple[str, ...] = ()
    notes: str = ""

    @property
    def paper(self) -> str:
        return self.name.partition("-")[0]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Its rows, cells as printed, an empty one where nothing is.

        >>> find_table("gpt3-2.1").rows[0]["learning rate"]
        '6.0e-4'
        """
        if not self.drawn:
            return _read(self.name)
        rows = [row for row in _read(COMPLETE) if row["result"] in self.drawn]
        return tuple(
            MappingProxyType({column: cell for column, cell in row.items() if column not in SMALLER}) for row in rows
        )


@cache
def _read(name: str) -> tuple[Row, ...]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(MappingProxyType(row) for row in csv.DictReader(file, strict=True))


def find_table(name: str) -> Table:
    """The table of this name.

    Raises: ConfigError naming the nearest table to one there is not.
    """
    if name not in TABLES:
        raise ConfigError(f"there is no table {name}; {suggest(name, TABLES)}")
    return TABLES[name]


_ALL = (
    Table(
        "gpt1-sizes",
        "What GPT-1 is made of",
        "GPT1 §4.1; params_shapes.json of the released weights",
        "derived",
        notes="The paper prints no parameter count. Three tokens more for fine-tuning make 116,537,088.",
    ),
    Table("gpt1-2", "Natural language inference", "GPT1 Table 2", "once", results=True),
    Table("gpt1-3", "Question answering and commonsense", "GPT1 Table 3", "once", results=True),
    Table(
        "gpt1-4",
        "Classification, similarity and the GLUE score",
        "GPT1 Table 4",
        "once",
        results=True,
        notes="What the GLUE score is a mean of is not all in the table.",
    ),
    Table(
        "gpt1-5",
        "What pretraining, the auxiliary objective and the transformer are each worth",
        "GPT1 Table 5",
        "once",
        notes="Without the auxiliary objective the average is higher: it helps NLI and QQP and hurts the small sets.",
    ),
    Table(
        "gpt2-2",
        "Sizes of GPT-2",
        "GPT2 Table 2; parameters recounted, heads of the released models",
        "twice",
        notes="The released README says that the printed counts were wrong. Heads are not in the paper.",
    ),
    Table(
        "gpt2-3",
        "Zero-shot language modelling",
        "GPT2 Table 3",
        "once",
        results=True,
        notes="Perplexities are per word of the original text, after de-tokenizers that were never released.",
    ),
    Table(
        "gpt2-4",
        "Summaries of news by ROUGE",
        "GPT2 §3.6, Table 4",
        "once",
        results=True,
        notes="GPT-2 with the hint TL;DR: after the article, 100 tokens, top-k 2, the first three sentences.",
    ),
    Table(
        "gpt2-section3",
        "Zero-shot results that stand in the text",
        "GPT2 §3.3-3.8",
        "once",
        results=True,
        notes="Natural Questions: the smallest model is below 1.0, the most confident 1% of answers are 63.1% right. "
        "How many example lines translation and questions had is not published.",
    ),
    Table(
        "gpt2-6",
        "Overlap of test sets with training sets, % of 8-grams",
        "GPT2 §4, Table 6",
        "once",
        notes="Without the overlapping examples LAMBADA goes from 8.6 to 8.7 perplexity and from 63.2 to 62.9% right.",
    ),
    Table(
        "gpt3-2.1",
        "Sizes of GPT-3",
        "GPT3 Table 2.1; parameters recounted",
        "twice",
        notes="As printed: XL's 24 heads and 13B's width of 5140 are misprints, which `misprints` settles.",
    ),
    Table("gpt3-2.2", "What GPT-3 was trained on", "GPT3 Table 2.2", "twice"),
    Table("gpt3-3.1", "Penn Treebank", "GPT3 §3.1.1, Table 3.1", "twice", results=True),
    Table("gpt3-3.2", "Cloze and completion", "GPT3 Table 3.2", "twice", results=True),
    Table("gpt3-3.3", "Closed-book questions", "GPT3 Table 3.3", "twice", results=True),
    Table(
        "gpt3-3.4",
        "Translation by other systems, BLEU-mb",
        "GPT3 Table 3.4",
        "twice",
        notes="GPT-3's own rows are those of gpt3-h.1.",
    ),
    Table(
        "gpt3-3.5",
        "Winograd schemas",
        "GPT3 §3.4, Table 3.5",
        "derived",
        results=True,
        drawn=(
            "gpt3-winograd",
            "gpt3-winogrande",
        ),
        notes=DRAWN,
    ),
    Table(
        "gpt3-3.6",
        "Common sense",
        "GPT3 §3.5, Table 3.6",
        "derived",
        results=True,
        drawn=(
            "gpt3-piqa",
            "gpt3-arc-easy",
            "gpt3-arc-challenge",
            "gpt3-openbookqa",
        ),
        notes=DRAWN,
    ),
    Table(
        "gpt3-3.7",
        "Reading comprehension",
        "GPT3 §3.6, Table 3.7",
        "derived",
        results=True,
        drawn=(
            "gpt3-coqa",
            "gpt3-drop",
            "gpt3-quac",
            "gpt3-squadv2",
            "gpt3-race-high",
            "gpt3-race-middle",
        ),
        notes=DRAWN,
    ),
    Table("gpt3-3.8", "SuperGLUE's test server", "GPT3 Table 3.8", "twice", results=True),
    Table(
        "gpt3-3.9",
        "Arithmetic",
        "GPT3 §3.9.1, Table 3.9",
        "derived",
        results=True,
        drawn=(
            "gpt3-arithmetic-2da",
            "gpt3-arithmetic-2ds",
            "gpt3-arithmetic-3da",
            "gpt3-arithmetic-3ds",
            "gpt3-arithmetic-4da",
            "gpt3-arithmetic-4ds",
            "gpt3-arithmetic-5da",
            "gpt3-arithmetic-5ds",
            "gpt3-arithmetic-2dm",
            "gpt3-arithmetic-1dc",
        ),
        notes=DRAWN,
    ),
    Table(
        "gpt3-3.10",
        "Words unscrambled",
        "GPT3 §3.9.2, Table 3.10",
        "derived",
        results=True,
        drawn=(
            "gpt3-cycle-letters",
            "gpt3-anagrams1",
            "gpt3-anagrams2",
            "gpt3-random-insertion",
            "gpt3-reversed-words",
        ),
        notes=DRAWN,
    ),
    Table(
        "gpt3-3.11",
        "People tell news written by GPT-3 from news, 200 words",
        "GPT3 §3.9.4, Table 3.11",
        "twice",
        results=True,
        notes="The control is a model of 160M without context and with more randomness. The mean of 175B has a 95% "
        "interval from 49 to 54.",
    ),
    Table("gpt3-3.12", "The same with 500 words", "GPT3 §3.9.4, Table 3.12", "twice", results=True),
    Table(
        "gpt3-c.1",
        "Contamination: scores of 175B on clean and dirty examples",
        "GPT3 App. C, Table C.1",
        "twice",
        notes="From runs of another seed than gpt3-h.1.",
    ),
    Table("gpt3-d.1", "Compute", "GPT3 App. D, Table D.1", "twice", notes="Of T5, half the parameters see each token."),
    Table(
        "gpt3-h.1",
        "Every task, setting and size",
        "GPT3 App. H, Table H.1",
        "twice",
        results=True,
        notes="As printed: few-shot of the smallest size often repeats one-shot; MultiRC's zero-shot and one-shot are "
        "the same; WiC's zero-shot is 0, a label was never written. One zero of 4D- one-shot was set right by "
        "Table 3.9. WiC from one-shot on and the tasks after it, but for SuperGLUE's, were read in one copy.",
    ),
    Table(
        "gpt3-no-blanks",
        "LAMBADA asked without the blank",
        "GPT3 Table C.1",
        "twice",
        results=True,
        notes="It is scored only there, with another seed than gpt3-h.1. K is taken to be LAMBADA's.",
    ),
    Table(
        "gpt3-winogender",
        "Occupations and pronouns",
        "GPT3 §6.2",
        "twice",
        results=True,
        notes="That it was asked without demonstrations is from memory.",
    ),
    Table("gpt3-section6", "Bias and energy", "GPT3 §6.2, 6.3", "twice"),
    Table(
        "gpt3-figure3.1",
        "Loss by compute: L = 2.57 C^-0.048",
        "GPT3 Figure 3.1",
        "twice",
        notes="Embeddings count neither as compute nor as size. The unit of the loss follows from its values.",
    ),
    Table("kaplan", "Constants of the scaling laws", "Kaplan et al. 2020", "once", notes="Loss in nats per token."),
)
TABLES: Mapping[str, Table] = MappingProxyType({table.name: table for table in _ALL})
