"""A corpus from its sources to its last file: what becomes of each page, and that nothing but the input decides it."""

import json
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from corpus_builds import LEAKED, TESTS, build_apart, contents, rows_of, site
from gptrilogy.config import merge
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.corpus.build.engine import Engine
from gptrilogy.errors import DataError, RunError
from web_archive import Crawl


@pytest.fixture(scope="module")
def built(config: CorpusConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "corpus"
    build_corpus(config, out, tests=TESTS, engine=None)
    return out


def ledger(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows = json.loads((out / "ledger.json").read_text(encoding="utf-8"))
    return {(row["set"], row["step"]): row for row in rows}


def kept(out: Path, name: str = "common_crawl") -> dict[str, list[str]]:
    """The texts kept of each URL."""
    found: dict[str, list[str]] = {}
    for row in rows_of(out / "documents" / name):
        found.setdefault(row["url"], []).append(row["text"])
    return found


def test_each_page_meets_its_fate(built: Path, crawl: Crawl) -> None:
    dropped = {row["url"]: (row["step"], row["reason"]) for row in rows_of(built / "dropped" / "common_crawl")}
    assert dropped[site(0)] == ("url", "same URL")
    one_of_two = [("exact", "same text")] * 1
    assert [dropped[url] for url in (site(1), "https://copy.example/") if url in dropped] == one_of_two
    one_near = [("near", "near duplicate")]
    assert [dropped[url] for url in (site(2), "https://near.example/") if url in dropped] == one_near
    assert dropped["https://good.example/"] == ("exact", "in webtext2")
    pages = kept(built)
    assert pages[f"{site(0)}?utm_source=x"] == [crawl.texts[f"{site(0)}?utm_source=x"]]
    assert all(pages[site(number)] == [crawl.texts[site(number)]] for number in range(3, 40))


def test_what_a_test_has_is_cut_out_with_its_surroundings(built: Path, crawl: Crawl) -> None:
    pieces = kept(built)["https://leak.example/"]
    whole = crawl.texts["https://leak.example/"]
    assert len(pieces) == 2
    start = whole.index(LEAKED)
    assert pieces == [whole[: start - 200], whole[start + len(LEAKED) + 200 :]]


def test_losses_of_the_archives_are_counted(built: Path) -> None:
    row = ledger(built)["common_crawl", "read"]
    assert row["dropped"] == {"not text": 1, "status 404": 1, "truncated archive": 1}
    assert row["in"] == 40 + 5 + 3


def test_every_document_is_kept_or_dropped_once(built: Path) -> None:
    read = ledger(built)["common_crawl", "read"]["in"]
    ids = Counter(row["id"] for row in rows_of(built / "dropped" / "common_crawl"))
    ids.update({row["id"].split("#")[0] for row in rows_of(built / "documents" / "common_crawl")})
    assert (len(ids), set(ids.values())) == (read, {1})


def test_the_sum_of_every_step_is_the_next_ones_input(built: Path) -> None:
    for name in ("common_crawl", "webtext2"):
        rows = [row for (set_, _), row in ledger(built).items() if set_ == name]
        for row, following in pairwise(rows):
            assert row["in"] == row["kept"] + sum(row["dropped"].values())
            assert following["in"] == row["kept"]


def test_the_working_folder_is_gone(built: Path) -> None:
    assert not (built / "work").exists()
    assert {path.name for path in built.iterdir()} >= {"corpus.json", "ledger.json", "statistics.json", "classifier"}


@pytest.mark.parametrize("part_bytes", [1, 1 << 30])
def test_how_the_input_is_cut_decides_nothing(
    config: CorpusConfig, built: Path, tmp_path: Path, part_bytes: int
) -> None:
    build_corpus(config.replace(part_bytes=part_bytes), tmp_path / "other", tests=TESTS, engine=None)
    for name in ("common_crawl", "webtext2"):
        one, other = (rows_of(out / "documents" / name) for out in (built, tmp_path / "other"))
        assert {(row["id"], row["text"]) for row in one} == {(row["id"], row["text"]) for row in other}
    assert (tmp_path / "other" / "samples.jsonl").read_bytes() == (built / "samples.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_every_engine_gives_the_same_bytes(engine: Engine, config: CorpusConfig, built: Path, tmp_path: Path) -> None:
    made = build_apart(config, tmp_path / "other", engine=engine)
    assert made.returncode == 0, made.stderr
    assert contents(tmp_path / "other") == contents(built)


def test_a_finished_corpus_is_verified_and_left_alone(config: CorpusConfig, built: Path) -> None:
    before, notes = contents(built), list[str]()
    build_corpus(config, built, tests=TESTS, engine=None, on_note=notes.append)
    assert contents(built) == before
    assert notes == [f"{built} is finished: every file is as it was written"]


def test_a_damaged_file_of_a_finished_corpus_is_built_again(config: CorpusConfig, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    shutil.copytree(built, out)
    path = next((out / "documents" / "webtext2").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    build_corpus(config, out, tests=TESTS, engine=None)
    assert contents(out) == contents(built)


def test_a_corpus_whose_last_file_is_cut_is_not_built_over(config: CorpusConfig, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    shutil.copytree(built, out)
    (out / "corpus.json").write_bytes((built / "corpus.json").read_bytes()[:100])
    with pytest.raises(RunError, match=r"holds documents, and no corpus\.json that says what they are"):
        build_corpus(config.replace(seed=5), out, tests=TESTS, engine=None)


def test_another_recipe_does_not_overwrite_a_corpus(config: CorpusConfig, built: Path) -> None:
    with pytest.raises(RunError, match="holds a corpus of another recipe or other sources"):
        build_corpus(config.replace(seed=5), built, tests=TESTS, engine=None)
    with pytest.raises(RunError, match="holds a corpus of another recipe or other sources"):
        build_corpus(config, built, tests=[("quotes", "other words " * 20)], engine=None)


def test_raw_documents_need_good_ones(config: CorpusConfig, tmp_path: Path) -> None:
    changes = {"webtext2": {"paths": []}}
    with pytest.raises(Exception, match="the classifier learns from good documents: give sources to webtext2, books1"):
        config.replace(sets={**config.model_dump()["sets"], **changes})


def test_nothing_to_build_from_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to build from: give a source to one of the sets web"):
        build_corpus(CorpusConfig(sets={"web": {}}), tmp_path / "out", engine=None)  # pyright: ignore[reportArgumentType] - pydantic makes it


def test_a_classifier_of_another_build_scores_without_good_documents(
    config: CorpusConfig, built: Path, tmp_path: Path
) -> None:
    crawl_only = {name: {"paths": ()} for name in ("webtext2", "books1", "books2", "wikipedia")}
    sets = merge(config.model_dump()["sets"], crawl_only)
    build_corpus(
        config.replace(sets=sets, classifier_from=str(built / "classifier")), tmp_path / "out", tests=TESTS, engine=None
    )
    scores = [
        {row["url"]: json.loads(row["meta"])["score"] for row in rows_of(out / "documents" / "common_crawl")}
        for out in (built, tmp_path / "out")
    ]
    assert all(scores[1][url] == score for url, score in scores[0].items())
    assert len(scores[1]) == len(scores[0]) + 1  # the page that the good documents have
