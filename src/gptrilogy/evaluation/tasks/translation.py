"""Translation: WMT'14 English and French, WMT'16 English and German, English and Romanian."""

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.reading import text_lines
from gptrilogy.evaluation.scores.translation import BLEU_SB, BLEU_SB_FIRST_SENTENCE
from gptrilogy.evaluation.task import Answering, Hub, Layout, Record, Task
from gptrilogy.generation.config import Sampling

LANGUAGES = {"de": "German", "en": "English", "fr": "French", "ro": "Romanian"}
MAX_TOKENS = 256
NOTES = (
    "bleu_sb is SacreBLEU's case.mixed, numrefs.1, smooth.exp, tok.intl, as a fraction; entities of SGM files are "
    "resolved. Demonstrations are of the development set."
)


def translation_items(record: Record, shots: int, /, *, source: str, target: str) -> Sequence[Free]:
    """`{sentence} =`, or a question where nothing is demonstrated. Source: GPT3 Figures G.36-41."""
    sentence, translation = record[source], record[target]
    asked = f"Q: What is the {LANGUAGES[target]} translation of {sentence} A:"
    return [Free(f"{sentence} =" if shots else asked, (translation,))]


def gpt2_translation_items(record: Record, _shots: int, /, *, source: str, target: str) -> Sequence[Free]:
    """`{sentence} =`, always. Source: GPT2 §3.7."""
    return [Free(f"{record[source]} =", (record[target],))]


def segments(path: Path) -> Iterator[str]:
    """The sentences of a file: one a line, or of SGM the `<seg>` lines without their marks."""
    for number, line in enumerate(text_lines(path), start=1):
        if path.suffix != ".sgm":
            yield line.strip()
        elif line.lstrip().lower().startswith("<seg"):
            text, end, _ = line.partition(">")[2].rpartition("</seg>")
            if not end:
                raise DataError(f"{path} line {number} has a <seg> that does not end; get the file again")
            yield " ".join(html.unescape(text).split())


def parallel(path: Path, *, source: str, target: str, beside: str) -> Iterator[Record]:
    """Sentences under their language's code, translations from the file `beside` that of the sources.

    Raises: DataError where that is missing or has not as many.
    """
    other = path.with_name(beside)
    if not other.is_file():
        raise DataError(f"{path} has no translations beside it; put {beside} there")
    sentences, translations = list(segments(path)), list(segments(other))
    if len(sentences) != len(translations):
        raise DataError(
            f"{path} has {len(sentences)} sentences, {other.name} {len(translations)}; get both from one release"
        )
    for sentence, translation in zip(sentences, translations, strict=True):
        yield {source: sentence, target: translation}


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of one year's news task.

    `test`: what its SGM files' names begin with. `dev`: pairs of file names. `sacrebleu`: the set in SacreBLEU's cache.
    """

    year: int
    source: str
    target: str
    test: str
    dev: tuple[tuple[str, str], ...]
    sacrebleu: str

    @property
    def name(self) -> str:
        return f"wmt{self.year}-{self.source}-{self.target}"

    @property
    def hub(self) -> Hub:
        pair = f"{self.source if self.target == 'en' else self.target}-en"
        return Hub(f"wmt/wmt{self.year}", pair, test="test", train="validation", record=lambda row: row["translation"])

    def layouts(self, pairs: Iterable[tuple[str, str]]) -> tuple[Layout, ...]:
        """A layout for each pair of files, of which the first holds the sources."""
        read = partial(parallel, source=self.source, target=self.target)
        return tuple(Layout((name,), partial(read, beside=beside), (beside,)) for name, beside in pairs)

    @property
    def test_layouts(self) -> tuple[Layout, ...]:
        cached = f"{self.sacrebleu}.{self.source}-{self.target}"
        return self.layouts([*_pairs(self.test, self.source, self.target), (f"{cached}.src", f"{cached}.ref")])


def _pairs(stem: str, source: str, target: str) -> tuple[tuple[str, str], ...]:
    """The files of sources and translations: WMT's SGM, and the same as plain text."""
    sources, translations = f"{stem}-src.{source}", f"{stem}-ref.{target}"
    return (f"{sources}.sgm", f"{translations}.sgm"), (sources, translations)


def _wmt14(source: str, target: str) -> Direction:
    names = f"newstest2013-src.{source}.sgm", f"newstest2013-src.{target}.sgm"
    plain = f"newstest2013.{source}", f"newstest2013.{target}"
    return Direction(14, source, target, "newstest2014-fren", (names, plain), "wmt14_full")


def _wmt16(source: str, target: str, dev: str) -> Direction:
    pair = source + target
    return Direction(16, source, target, f"newstest2016-{pair}", _pairs(f"{dev}-{pair}", source, target), "wmt16")


def _gpt3(direction: Direction) -> Task:
    return Task(
        name=direction.name,
        title=f"WMT'{direction.year} {LANGUAGES[direction.source]} to {LANGUAGES[direction.target]}",
        source="GPT3 §3.3, Figures G.36-41",
        items=partial(translation_items, source=direction.source, target=direction.target),
        measures=(BLEU_SB,),
        folder=f"wmt{direction.year}",
        test=direction.test_layouts,
        train=direction.layouts(direction.dev),
        hub=direction.hub,
        answering=Answering(MAX_TOKENS),
        separator="\n",
        shots=64,
        published=f"gpt3-{direction.name}",
        notes=f"{NOTES} The paper draws them from the training set, and does not print whether one line break parts "
        "them, as here, or two.",
    )


def _gpt2(direction: Direction) -> Task:
    return Task(
        name=f"{direction.name}-gpt2",
        title=f"WMT'{direction.year} {LANGUAGES[direction.source]} to {LANGUAGES[direction.target]} as GPT-2 was asked",
        source="GPT2 §3.7",
        items=partial(gpt2_translation_items, source=direction.source, target=direction.target),
        measures=(BLEU_SB_FIRST_SENTENCE,),
        folder=f"wmt{direction.year}",
        test=direction.test_layouts,
        train=direction.layouts(direction.dev),
        hub=direction.hub,
        answering=Answering(MAX_TOKENS, beams=1, sampling=Sampling(temperature=0)),
        separator="\n",
        fixed_draw=True,
        shots=5,
        published=f"gpt2-{direction.name}",
        notes=f"{NOTES} The paper prints neither how many example lines there are, 5 here and the same for all "
        "sentences, nor which BLEU it computes, nor how the first sentence is found.",
    )


WMT14 = (_wmt14("en", "fr"), _wmt14("fr", "en"))
WMT16 = (
    _wmt16("en", "de", "newstest2015"),
    _wmt16("de", "en", "newstest2015"),
    _wmt16("en", "ro", "newsdev2016"),
    _wmt16("ro", "en", "newsdev2016"),
)
TASKS = (*map(_gpt3, WMT14 + WMT16), *map(_gpt2, WMT14))
