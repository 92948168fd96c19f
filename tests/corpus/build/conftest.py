"""A small crawl beside two sets of books, with one page of every fate."""

from pathlib import Path
from typing import Any

import pytest

from corpus_builds import LEAKED, site
from gptrilogy.config import merge, parse
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.recipes.corpus import corpus_recipe
from web_archive import Crawl, passages, record, reworded


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """Forty pages that are all different, and after them copies and worse."""
    texts = passages(44, seed=1)
    pages = Crawl()
    for number in range(40):
        pages.add(site(number), texts[number])
    pages.add(f"{site(0)}?utm_source=x", texts[0] + "\nA line more.")  # one page by its URL; the longer stays
    pages.add("https://copy.example/", texts[1])  # the same text
    pages.add("https://near.example/", reworded(texts[2], 0.05))
    pages.add("https://leak.example/", f"{'before ' * 60}{LEAKED} {'after ' * 90}")
    pages.add("https://good.example/", texts[40])  # stands among the good documents too
    pages.records.append(record(b"\x89PNG", media="image/png", packed=True))
    pages.records.append(record(b"", http="HTTP/1.1 404 Not Found", packed=True))
    return pages


@pytest.fixture(scope="session")
def sources(crawl: Crawl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Files of three sets."""
    folder = tmp_path_factory.mktemp("sources")
    good = folder / "good"
    good.mkdir()
    for number, text in enumerate(passages(44, seed=1)[40:] + passages(60, seed=2)[:30]):
        (good / f"{number}.txt").write_text(text, encoding="utf-8")
    files = crawl.write(folder / "crawl", 3)
    last = Path(files[-1])
    last.write_bytes(last.read_bytes() + crawl.records[0][:-30])  # cut short
    return {"common_crawl": files, "webtext2": [str(good)]}


@pytest.fixture(scope="session")
def config(sources: dict[str, list[str]]) -> CorpusConfig:
    """GPT-3's recipe, without the chance that its draw brings in."""
    changes: dict[str, Any] = {
        "sets": {name: {"paths": paths} for name, paths in sources.items()},
        "against": ["quotes"],
        "keep_dropped": True,
        "selection": {"rule": "threshold", "threshold": 0.0},
        "classifier": {"n_features": 1 << 14},  # few, so that training takes no time
        "part_bytes": 8_000,
    }
    return parse(CorpusConfig, merge(corpus_recipe("gpt3").model_dump(exclude_unset=True), changes))
