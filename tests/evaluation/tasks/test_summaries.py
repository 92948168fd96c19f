"""Articles and highlights, read from lines of JSON and from `.story` files."""

import hashlib
import json
from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Free, Outcome
from gptrilogy.evaluation.tasks.summaries import TASKS

(TLDR,) = TASKS
ADDRESS = "http://news.example/bridge"
STORY = "(News) -- The bridge closed.\n\nNobody was hurt.\n\n@highlight\n\nBridge closed\n\n@highlight\n\nNobody hurt\n"
ASKED = Free("(News) -- The bridge closed. Nobody was hurt.\nTL;DR:", ("Bridge closed\nNobody hurt",))


def stories(folder: Path, address: str, content: str, below: str = "cnn/stories", listed: str = "all_test.txt") -> Path:
    name = hashlib.sha1(address.encode()).hexdigest() + ".story"
    for path, text in ((folder / below / name, content), (folder / listed, f"{address}\n")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_an_article_is_followed_by_the_hint(tmp_path: Path) -> None:
    (tmp_path / "cnn-dailymail").mkdir()
    line = json.dumps({"article": "The bridge closed.", "highlights": "Closed .\nNobody hurt .", "id": "1"})
    (tmp_path / "cnn-dailymail/test.jsonl").write_text(f"{line}\n")
    split = read_split(TLDR, "test", tmp_path)
    assert items_of(TLDR, split, 0, 0) == [Free("The bridge closed.\nTL;DR:", ("Closed .\nNobody hurt .",))]
    assert demonstration_of(TLDR, split, 0, 0) == "The bridge closed.\nTL;DR: Closed .\nNobody hurt ."


@pytest.mark.parametrize("below", ["cnn/stories", "dailymail/stories"])
@pytest.mark.parametrize("listed", ["all_test.txt", "url_lists/all_test.txt", "cnn-dailymail/all_test.txt"])
def test_listed_stories_are_found_by_the_hash_of_their_address(tmp_path: Path, below: str, listed: str) -> None:
    split = read_split(TLDR, "test", stories(tmp_path, ADDRESS, STORY, below, listed))
    assert items_of(TLDR, split, 0, 0) == [ASKED]


def test_three_sentences_of_what_is_written_are_scored() -> None:
    text = " Bridge closed. Nobody hurt. It is old. The rest is not read."
    values = {measure.name: measure([Outcome(ASKED, record=0, text=text)]).value for measure in TLDR.measures}
    assert values["rouge1"] == values["rouge_l"] == pytest.approx(2 * 4 / (7 + 4))
    assert values["rouge2"] == pytest.approx(2 * 3 / (6 + 3))
    assert values["rouge"] == pytest.approx((values["rouge1"] + values["rouge2"] + values["rouge_l"]) / 3)


def test_a_hundred_tokens_are_sampled_from_the_two_likeliest() -> None:
    assert TLDR.answering is not None
    assert TLDR.answering.sampling is not None
    assert (TLDR.answering.max_tokens, TLDR.answering.sampling.top_k, TLDR.answering.stop) == (100, 2, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("The bridge closed.\n", "lacks an article or its @highlight lines"),
        ("@highlight\n\nBridge closed\n", "lacks an article or its @highlight lines"),
        ("", "lacks an article or its @highlight lines"),
    ],
)
def test_a_story_without_both_parts_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_split(TLDR, "test", stories(tmp_path, ADDRESS, content))


def test_a_listed_story_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = stories(tmp_path, ADDRESS, STORY)
    (folder / "all_test.txt").write_text(f"{ADDRESS}\n{ADDRESS}/2\n")
    with pytest.raises(DataError, match=f"lists {ADDRESS}/2, but .*story is not in cnn/stories or dailymail/stories"):
        read_split(TLDR, "test", folder)


def test_a_record_without_highlights_is_named(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"article": "The bridge closed."}\n')
    with pytest.raises(DataError, match=r"record 1 of .* has no field highlights; it has article"):
        items_of(TLDR, read_split(TLDR, "test", tmp_path), 0, 0)
