"""The bench of whole builds: what it makes of a build's files."""

import json
from pathlib import Path

from bench.corpus import Result, fates_of_texts, found_pairs, page, planted_pairs

from corpus_builds import TESTS
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig, SetConfig
from web_archive import Crawl, passages, reworded


def test_planted_copies_are_judged_by_what_a_build_kept(tmp_path: Path) -> None:
    texts = passages(4, seed=8)
    crawl = Crawl()
    for number, text in enumerate(texts):
        crawl.add(f"https://a.example/{number}", text)
    crawl.add("https://b.example/0", texts[0])
    crawl.add("https://b.example/1", reworded(texts[1], 0.03))
    paths = tuple(crawl.write(tmp_path / "pages", 1))
    config = CorpusConfig(sets={"web": SetConfig(paths=paths)}, keep_dropped=True)
    build_corpus(config, tmp_path / "out", tests=TESTS, engine=None)
    kept, size = fates_of_texts(tmp_path / "out")
    assert len(kept) == 6
    assert size == sum(len(text.encode()) for text in crawl.texts.values())
    pairs = [(f"https://b.example/{number}", f"https://a.example/{number}") for number in (0, 1, 2)]
    assert found_pairs(kept, pairs) == (2, 2)
    assert found_pairs(kept, [("https://a.example/2", "https://a.example/3")]) == (1, 0)


def test_pairs_of_larger_sizes_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"kind": kind, "size": size, "url": f"{size}{kind}", "of": "a"}
        for size in ("1x", "4x")
        for kind in ("copy", "image")
    ]
    (tmp_path / "truth.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert planted_pairs(tmp_path, "1x") == {"copy": [("1xcopy", "a")], "changed": []}
    assert len(planted_pairs(tmp_path, "4x")["copy"]) == 2


def test_the_page_rates_each_step_by_what_it_reads() -> None:
    sizes = {"input_bytes": 4 * 10**6, "html_bytes": 10**7, "text_bytes": 2 * 10**6, "peak_bytes": 1, "worker_bytes": 1}
    steps, planted = {"read": 5.0, "score": 0.5, "url": 0.1}, {"copy": (10, 9)}
    result = Result("1x", **sizes, pages=7, kept=6, seconds=60.0, disk_bytes=1, steps=steps, planted=planted)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page([result], "").splitlines()]
    assert ["read", "HTML", "5.0", "2.0"] in lines
    assert ["score", "text", "0.5", "4.0"] in lines
    assert ["url", "", "0.1", ""] in lines
    assert ["copy", "10", "9 (90.00%)"] in lines
