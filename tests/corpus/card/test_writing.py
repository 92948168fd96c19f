import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.corpus.card import write_card
from gptrilogy.errors import DataError, MissingExtraError
from gptrilogy.files import sha256_file

PICTURES = ["flow-1", "flow-2", "lengths", "mixture", "scores-1"]


class Page(HTMLParser):
    """The elements of a page, their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements = list[tuple[str, dict[str, str | None]]]()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_card_is_a_page_its_twin_and_pictures_for_both_backgrounds_and_always_the_same(
    corpus: Path, told: Path
) -> None:
    written = write_card(corpus)
    pictures = sorted(corpus / "card" / f"{name}{suffix}.png" for name in PICTURES for suffix in ("", "-dark"))
    assert written == [corpus / "card.html", corpus / "card.md", *pictures]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert [sha256_file(path) for path in written] == [sha256_file(told / path.relative_to(corpus)) for path in written]


def test_a_page_runs_nothing_fetches_nothing_and_leads_nowhere(told: Path) -> None:
    page = Page(told / "card.html")
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "iframe", "object", "embed", "link", "form", "base", "b"})
    attributes = [(name, value or "") for _, attrs in page.elements for name, value in attrs.items()]
    assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]
    assert all(value.startswith("data:image/png;base64,") for name, value in attributes if name in {"src", "srcset"})
    assert all(value.startswith("#") for name, value in attributes if name == "href")
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'",
        policy,
    )


def test_malice_is_shown_as_it_is_written(told: Path) -> None:
    page = Page(told / "card.html")
    shown = '<script>alert("1")</script>\\u001b[31m\\u202e```\n# x\n<img src=x onerror=alert(1)>\n````\n😀 ünï'
    assert shown in page.text
    assert "javascript:alert(document.domain)" in page.text
    assert "<b>evil</b>.com" not in (told / "card.html").read_text()
    for path in (told / "card.html", told / "card.md"):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", path.read_text())


def test_markdown_lets_no_malice_out_of_its_fence(told: Path) -> None:
    text = (told / "card.md").read_text()
    outside = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", text.partition("---\n\n")[2])
    assert "<script" in text
    for danger in ("<script", "onerror", "# x\n", "http:", "https:", "www.", "@", "["):
        assert danger not in outside, danger
    assert set(re.findall(r"<(\w+)", outside)) == {"picture", "source", "img"}


def test_every_number_of_the_ledger_is_in_both(told: Path) -> None:
    page = Page(told / "card.html")
    ledger: list[dict[str, Any]] = json.loads((told / "ledger.json").read_text())
    numbers = {f"{number:,}" for row in ledger for number in (row["in"], row["kept"], *row["dropped"].values())}
    markdown = (told / "card.md").read_text()
    cells = set(re.findall(r"(?<=\| )[\d,]+(?= \|)", markdown))
    assert numbers - cells == set()
    assert all(number in page.text for number in numbers)


def test_sums_that_hold_are_said_to_hold(told: Path) -> None:
    assert "in = kept + dropped holds at all 12 steps." in Page(told / "card.html").text


@pytest.mark.usefixtures("undrawn")
def test_a_sum_that_does_not_hold_is_named(corpus: Path) -> None:
    ledger: list[dict[str, Any]] = json.loads((corpus / "ledger.json").read_text())
    ledger[3]["kept"] -= 1
    (corpus / "ledger.json").write_text(json.dumps(ledger))
    write_card(corpus)
    page = Page(corpus / "card.html")
    assert "does not hold at 1 of 12 steps: common_crawl, rules: 41,200 in, 30,049 kept + 11,150 dropped." in page.text
    assert "common_crawl: rules kept 30,049, but quality took in 30,050." in page.text
    assert {"class": "bad"} in page.all("p")
    assert "**WRONG:** in = kept + dropped does not hold" in (corpus / "card.md").read_text()


def test_figures_stand_to_the_right_and_names_to_the_left(told: Path) -> None:
    page = Page(told / "card.html")
    cells = re.findall(r"<td( class=\"n\")?>([^<]+)", (told / "card.html").read_text())
    assert ("", "common_crawl") in cells
    assert (' class="n"', "8,900,000") in cells
    assert not [text for right, text in cells if right and re.search("[a-z]", text)]
    assert {"scope": "col", "class": "n"} in page.all("th")


def test_every_picture_has_words(told: Path) -> None:
    images = Page(told / "card.html").all("img")
    assert len(images) == len(PICTURES)
    assert all(len(image["alt"] or "") > 20 for image in images)


def test_shares_of_the_mixture_are_of_the_sum_of_its_weights(told: Path) -> None:
    row = "| common_crawl | 62.2% | 0.6 | 73.2% | 1.18 |"  # 8.9 of 14.3; 0.6 of 0.82; their ratio
    assert row in (told / "card.md").read_text()


def test_domains_beyond_the_longest_are_known_from_the_documents(told: Path) -> None:
    text = (told / "card.md").read_text()
    largest = sum(400 // (n + 1) for n in range(15))
    assert f"| others, or no address | {3_310 - largest:,} | {(3_310 - largest) / 33.1:.1f}% |" in text


def test_the_front_matter_says_what_is_known(told: Path) -> None:
    front = (told / "card.md").read_text().split("---\n")[1]
    assert front == (
        'pretty_name: "Corpus gpt3"\ntask_categories:\n- text-generation\nlanguage:\n- "en"\n'
        "size_categories:\n- 1K<n<10K\n"
    )


@pytest.mark.usefixtures("undrawn")
def test_what_a_recipe_did_not_do_is_left_out(corpus: Path) -> None:
    one = {"name": "text", "documents": 0, "characters": 0, "bytes": 0}
    change(corpus / "corpus.json", sets=[one], config={})
    (corpus / "ledger.json").write_text("[]")
    (corpus / "statistics.json").write_text('{"sets": {"text": {}}}')
    (corpus / "samples.jsonl").write_text("")
    assert [path.name for path in write_card(corpus)] == ["card.html", "card.md"]
    headings = re.findall("<h2[^>]*>([^<]+)", (corpus / "card.html").read_text())
    assert headings == ["What this is", "Settings"]


@pytest.mark.usefixtures("undrawn")
def test_pictures_of_an_older_card_go(corpus: Path) -> None:
    write_card(corpus)
    change(corpus / "corpus.json", sets=[])
    assert not ({path.stem for path in write_card(corpus)} & {"mixture", "mixture-dark"})


def test_names_of_strangers_are_drawn_without_a_warning(corpus: Path) -> None:
    name = "$\\frac{本}$ \x1b" + "x" * 90
    statistics = json.loads((corpus / "statistics.json").read_text())["sets"]["common_crawl"]
    change(corpus / "statistics.json", sets={name: statistics})
    one = {"name": name, "documents": 1, "characters": 1, "bytes": 1, "weight": 1}
    change(corpus / "corpus.json", sets=[one])
    (corpus / "ledger.json").write_text(json.dumps([{"set": name, "step": name, "in": 0, "kept": 0, "dropped": {}}]))
    assert len(write_card(corpus)) == 2 + 2 * 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.json", None, "cannot read .*corpus.json"),
        ("corpus.json", "{", "corpus.json is not JSON"),
        ("ledger.json", "[" * 100_000, "ledger.json is not JSON"),
        ("ledger.json", '[{"set": "a", "step": "b", "in": -1, "kept": 0}]', r"ledger.json: 0.in: .* got -1: build"),
        (
            "statistics.json",
            '{"sets": {"a": {"characters_histogram": {"edges": [1], "counts": [1, 2]}}}}',
            "2 counts need 3",
        ),
        (
            "statistics.json",
            '{"sets": {"a": {"characters_histogram": {"edges": [2, 1], "counts": [1, 1]}}}}',
            "must grow",
        ),
        ("samples.jsonl", '{"set": "a", "kept": true}\n\n{}', r"samples.jsonl:3: set: Field required"),
    ],
)
def test_damaged_numbers_are_an_error_of_one_line(corpus: Path, name: str, content: str | None, message: str) -> None:
    (corpus / name).unlink()
    if content is not None:
        (corpus / name).write_text(content)
    with pytest.raises(DataError, match=message) as raised:
        write_card(corpus)
    assert "\n" not in str(raised.value)
    assert not (corpus / "card.html").exists()


def test_without_matplotlib_nothing_is_written(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(corpus.iterdir())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"a corpus's card needs .*gptrilogy\[plot\]"):
        write_card(corpus)
    assert sorted(corpus.iterdir()) == before


def test_the_card_loads_no_matplotlib_before_it_draws() -> None:
    code = "import sys, gptrilogy.corpus.card; print(sorted({'matplotlib', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
