"""How likely a corpus is: WikiText-2 and -103, the Penn Treebank, enwik8, text8 and the Billion Word benchmark.

A passage is likely as the text that a reader would see, but is charged to the units of the original: words as they were
tokenised, bytes, characters.
"""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.detokenizing import BILLION_WORDS, PENN_TREEBANK, WIKITEXT, Detokenizer, harness_text
from gptrilogy.evaluation.items import Passage
from gptrilogy.evaluation.measures import BITS, PERPLEXITY
from gptrilogy.evaluation.reading import text_lines
from gptrilogy.evaluation.task import Hub, Layout, Record, Task

PASSAGE_BYTES = 1 << 16  # of a corpus without pages: long beside a context, little beside a memory
WHOLE_BYTES = 100_000_000  # of enwik8 and of text8, whose last twentieth is by custom their test
TEST_BYTES = 5_000_000


def wikitext_items(record: Record, _shots: int, /) -> Sequence[Passage]:
    """A page as running text."""
    page = record["page"]
    text = "\n".join(WIKITEXT.text(line) for line in page.split("\n"))
    return [Passage(text, harness_words(page))]


def harness_items(record: Record, _shots: int, /) -> Sequence[Passage]:
    """A page as lm-evaluation-harness scores it."""
    page = record["page"]
    return [Passage(harness_text(page), harness_words(page))]


def harness_words(page: str) -> int:
    """Words as lm-evaluation-harness counts them: white space at either end of a page parts one word more.

    >>> harness_words(" = Teddy = \\n ")
    5
    """
    return len(re.split(r"\s+", page))


def sentence_items(style: Detokenizer) -> Callable[[Record, int], Sequence[Passage]]:
    """Sentences, one a line, whose ends are words as well: the new line is part of the text."""

    def items(record: Record, _shots: int, /) -> Sequence[Passage]:
        lines = [line.split() for line in record["sentences"]]
        text = "".join(style.text(" ".join(words)) + "\n" for words in lines)
        return [Passage(text, sum(len(words) + 1 for words in lines))]

    return items


def byte_items(record: Record, _shots: int, /) -> Sequence[Passage]:
    return [Passage(record["text"], len(record["text"].encode()))]


def character_items(record: Record, _shots: int, /) -> Sequence[Passage]:
    return [Passage(record["text"], len(record["text"]))]


def wikitext_pages(path: Path) -> Iterator[Record]:
    """Pages, each from its title to the next, as in `EleutherAI/wikitext_document_level`."""
    page: list[str] = []
    for line in chain(text_lines(path), [None]):
        if line is None or _is_title(line):
            if any(map(str.strip, page)):
                yield {"page": "\n".join(page) + ("\n" if line is None else "")}
            page = []
        page.append(line or "")


def _is_title(line: str) -> bool:
    """One mark on either side; a section's heading has two and more."""
    words = line.split()
    return len(words) > 2 and words[0] == words[-1] == "=" != words[1] and words[-2] != "="


def sentence_groups(path: Path) -> Iterator[Record]:
    """Sentences that follow one another, as many as one passage holds."""
    sentences: list[str] = []
    n_bytes = 0
    for line in text_lines(path):
        if line.strip():
            sentences.append(line)
            n_bytes += len(line.encode())
        if n_bytes >= PASSAGE_BYTES:
            yield {"sentences": sentences}
            sentences, n_bytes = [], 0
    if sentences:
        yield {"sentences": sentences}


def lone_sentences(path: Path) -> Iterator[Record]:
    """Sentences of which none has to do with the next."""
    for line in text_lines(path):
        if line.strip():
            yield {"sentences": [line]}


def byte_passages(path: Path) -> Iterator[Record]:
    """A file's text in passages that end with a line, or where there is none with a word.

    Raises: DataError where it is not UTF-8.
    """
    return _passages(path, 0)


def last_passages(path: Path) -> Iterator[Record]:
    """The last 5,000,000 bytes of the whole corpus, as `byte_passages`; a character cut at either end is left out.

    Raises: DataError where the file has another size, and as `byte_passages`.
    """
    size = path.stat().st_size
    if size != WHOLE_BYTES:
        raise DataError(f"{path} must hold {WHOLE_BYTES} bytes, it has {size}; get the file again")
    return _passages(path, size - TEST_BYTES)


def _passages(path: Path, start: int) -> Iterator[Record]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    with path.open("rb") as file:
        file.seek(start)
        block = file.read(PASSAGE_BYTES)
        while start and block and block[0] & 0xC0 == 0x80:  # what is left of a character that began before
            block = block[1:]
        while block:
            following = file.read(PASSAGE_BYTES)
            try:
                rest += decoder.decode(block)
            except UnicodeDecodeError as error:
                raise DataError(f"{path} cannot be read as text ({error}); get the file again") from None
            end = rest.rfind("\n") + 1 or rest.rfind(" ") + 1
            passage, rest = (rest[:end], rest[end:]) if end and following else (rest, "")
            if passage:
                yield {"text": passage}
            block = following


def _wikitext(
    name: str,
    title: str,
    *,
    notes: str,
    corpus: str = "wikitext-2",
    source: str = "GPT2 §3.1, Table 3",
    items: Callable[[Record, int], Sequence[Passage]] = wikitext_items,
    published: str = "",
) -> Task:
    files = (
        *(f"{corpus}-raw/wiki.test.raw", f"{corpus}/wiki.test.raw", "wiki.test.raw"),
        *(f"{corpus}/wiki.test.tokens", f"{corpus}/test.txt", "wiki.test.tokens"),
    )
    return Task(
        name=name,
        title=title,
        source=source,
        items=items,
        measures=(PERPLEXITY,),
        test=tuple(Layout((file,), wikitext_pages) for file in files),
        hub=Hub("EleutherAI/wikitext_document_level", f"{corpus}-raw-v1", test="test", train="train"),
        published=published,
        notes=notes,
    )


def _whole_or_cut(name: str) -> tuple[Layout, ...]:
    """The test part by itself, or the whole corpus."""
    parts = (f"{name}.test", f"{name}.test.txt", "test.txt.raw")
    return (*(Layout((part,), byte_passages) for part in parts), Layout((name,), last_passages))


UNPUBLISHED = (
    "The paper does not say on which part it was measured, nor with what context; ours is the customary test set"
)
TASKS = (
    _wikitext(
        "wikitext-2",
        "WikiText-2",
        published="gpt2-wikitext-2",
        notes="Words are counted as lm-evaluation-harness counts them, two more a page than there are; GPT-2's count is"
        " unpublished, and its two WikiText results cannot both be by the word: the test sets are one. The raw text is"
        " preferred; <unk> stays as it is.",
    ),
    _wikitext(
        "wikitext-103",
        "WikiText-103",
        corpus="wikitext-103",
        published="gpt2-wikitext-103",
        notes="As wikitext-2, whose test set is the same text.",
    ),
    _wikitext(
        "wikitext-2-harness",
        "WikiText-2 as in lm-evaluation-harness",
        source="lm-evaluation-harness, task wikitext",
        items=harness_items,
        notes="Its word_perplexity, by its own way of de-tokenizing, which loses words: no result of a paper. Of the"
        " raw file as published, with its blank lines.",
    ),
    Task(
        name="ptb",
        title="Penn Treebank",
        source="GPT2 §3.1, Table 3; GPT3 §3.1.1, Table 3.1",
        items=sentence_items(PENN_TREEBANK),
        measures=(PERPLEXITY,),
        folder="ptb",
        test=(Layout(("ptb.test.txt",), sentence_groups), Layout(("data/ptb.test.txt",), sentence_groups)),
        published="gpt2-ptb",
        notes=f"{UNPUBLISHED}, in passages of 64 KiB. Line ends count as words; N and <unk> stay as they are. GPT-3's"
        " zero-shot result is 20.50.",
    ),
    Task(
        name="enwik8",
        title="enwik8",
        source="GPT2 §3.1, Table 3",
        items=byte_items,
        measures=(BITS,),
        folder="enwik8",
        test=_whole_or_cut("enwik8"),
        published="gpt2-enwik8",
        notes=f"{UNPUBLISHED}, the last 5,000,000 bytes, in passages of 64 KiB. Bits a byte.",
    ),
    Task(
        name="text8",
        title="text8",
        source="GPT2 §3.1, Table 3",
        items=character_items,
        measures=(BITS,),
        folder="text8",
        test=_whole_or_cut("text8"),
        published="gpt2-text8",
        notes=f"{UNPUBLISHED}, the last 5,000,000 characters, in passages of 64 KiB. Bits a character.",
    ),
    Task(
        name="lm1b",
        title="Billion Word benchmark",
        source="GPT2 §3.1, Table 3",
        items=sentence_items(BILLION_WORDS),
        measures=(PERPLEXITY,),
        folder="lm1b",
        test=(
            Layout(("heldout-monolingual.tokenized.shuffled/news.en.heldout-00000-of-00050",), lone_sentences),
            Layout(("news.en.heldout-00000-of-00050",), lone_sentences),
        ),
        published="gpt2-lm1b",
        notes=f"{UNPUBLISHED}, each sentence by itself, for the benchmark shuffles them. A sentence's end counts as a"
        " word.",
    ),
)
