"""Summaries of news: CNN/Daily Mail."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from gptrilogy.errors import DataError
from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.reading import json_lines, text_lines
from gptrilogy.evaluation.scores.summaries import ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_MEAN
from gptrilogy.evaluation.task import Answering, Hub, Layout, Record, Task
from gptrilogy.generation.config import Sampling

STORIES = ("cnn/stories", "dailymail/stories")
HIGHLIGHT = "@highlight"


def tldr_items(record: Record, _shots: int, /) -> Sequence[Free]:
    """An article and "TL;DR:"; its highlights, one a line, are the summary. Source: GPT2 §3.6."""
    return [Free(f"{record['article']}\nTL;DR:", (record["highlights"],))]


def listed_stories(path: Path) -> Iterator[Record]:
    """The stories of a list of addresses, each in a file that has its address's SHA-1 for a name.

    Raises: DataError for a story that is in neither of the two folders.
    """
    roots = path.parent, path.parent.parent
    folders = [folder for root in roots for below in STORIES if (folder := root / below).is_dir()]
    for address in filter(None, map(str.strip, text_lines(path))):
        name = f"{hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()}.story"
        found = next((file for folder in folders if (file := folder / name).is_file()), None)
        if found is None:
            raise DataError(f"{path} lists {address}, but {name} is not in {' or '.join(STORIES)}; unpack both there")
        yield story(found)


def story(path: Path) -> Record:
    """The article of a `.story` file, its paragraphs joined by spaces, and its highlights, one a line."""
    article: list[str] = []
    highlights: list[str] = []
    kept = article
    for line in filter(None, map(str.strip, text_lines(path))):
        if line == HIGHLIGHT:
            kept = highlights
        else:
            kept.append(line)
    if not article or not highlights:
        raise DataError(f"{path} lacks an article or its {HIGHLIGHT} lines; get the file again")
    return {"article": " ".join(article), "highlights": "\n".join(highlights)}


TASKS = (
    Task(
        name="cnn-dailymail-tldr",
        title="CNN/Daily Mail summaries",
        source="GPT2 §3.6",
        items=tldr_items,
        measures=(ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_MEAN),
        folder="cnn-dailymail",
        test=(
            Layout(("test.jsonl",), json_lines),
            Layout(("all_test.txt",), listed_stories),
            Layout(("url_lists/all_test.txt",), listed_stories),
        ),
        train=(
            Layout(("train.jsonl",), json_lines),
            Layout(("all_train.txt",), listed_stories),
            Layout(("url_lists/all_train.txt",), listed_stories),
        ),
        hub=Hub("abisee/cnn_dailymail", "3.0.0", test="test", train="train"),
        answering=Answering(max_tokens=100, stop=(), beams=1, sampling=Sampling(top_k=2)),
        published="gpt2-cnn-dailymail-tldr",
        notes="The first three sentences of what is written are scored. The line break before the hint, the end of a "
        "sentence, and stemmed ROUGE with the summary's ROUGE-L are ours: the paper names none.",
    ),
)
