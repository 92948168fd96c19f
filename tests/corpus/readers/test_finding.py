import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from gptrilogy.corpus.documents import Page
from gptrilogy.corpus.readers import Limits, SourceFile, find_files, read_pages
from gptrilogy.errors import DataError, MissingExtraError


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    folder = tmp_path / "crawl"
    for name in ["b.txt", "a/z.md", "a/B.html", "a.warc.gz", "cover.png", ".hidden.txt", ".git/x.txt", "t.PARQUET"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("text")
    return folder


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_a_folder_gives_its_files_by_name_and_tells_what_it_leaves(crawl: Path) -> None:
    skipped = list[tuple[str, str]]()
    files = find_files([str(crawl)], on_skip=lambda path, reason: skipped.append((Path(path).name, reason)))
    assert [(file.name, file.format) for file in files] == [
        ("crawl/a/B.html", "html"),
        ("crawl/a/z.md", "text"),
        ("crawl/a.warc.gz", "warc"),
        ("crawl/b.txt", "text"),
        ("crawl/t.PARQUET", "parquet"),
    ]
    assert sorted(skipped) == [
        (".git", "hidden"),
        (".hidden.txt", "hidden"),
        ("cover.png", "not a kind of file known by its name"),
    ]


def test_a_run_within_a_folder_is_not_read(crawl: Path) -> None:
    before, skipped = [file.name for file in find_files([str(crawl)])], list[tuple[str, str]]()
    (crawl / "runs" / "one" / "data").mkdir(parents=True)
    for name in ("config.json", "environment.json", "metrics.jsonl", "data/page.txt"):
        (crawl / "runs" / "one" / name).write_text("{}")
    files = find_files([str(crawl)], on_skip=lambda path, reason: skipped.append((path, reason)))
    assert [file.name for file in files] == before
    assert (str(crawl / "runs" / "one"), "a run") in skipped


def test_the_names_of_files_do_not_depend_on_the_way_to_their_folder(
    crawl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(crawl)
    assert [file.name for file in find_files(["."])] == [file.name for file in find_files([str(crawl)])]


def test_files_come_in_the_order_of_their_sources(crawl: Path) -> None:
    sources = [str(crawl / "b.txt"), str(crawl / "a")]
    assert [(file.name, file.source) for file in find_files(sources)] == [
        ("b.txt", sources[0]),
        ("a/B.html", sources[1]),
        ("a/z.md", sources[1]),
    ]


def test_a_file_named_directly_is_text_if_its_suffix_is_unknown(crawl: Path) -> None:
    (file,) = find_files([str(crawl / "cover.png")])
    assert (file.format, file.size_bytes) == ("text", 4)


def test_a_changed_file_is_noticed(crawl: Path) -> None:
    (before,) = find_files([str(crawl / "b.txt")])
    os.utime(crawl / "b.txt", ns=(1, 1))
    (after,) = find_files([str(crawl / "b.txt")])
    assert before.version != after.version


def test_a_file_goes_to_another_process_as_plain_values(crawl: Path) -> None:
    for file in find_files([str(crawl)]):
        assert SourceFile.model_validate_json(file.model_dump_json()) == file


def test_links_that_loop_end(crawl: Path) -> None:
    (crawl / "loop").symlink_to(crawl)
    assert len(find_files([str(crawl)])) == 5


def test_a_missing_source_is_refused_with_the_nearest_name(crawl: Path) -> None:
    with pytest.raises(DataError, match=r"crwal' does not exist: did you mean .*crawl\?"):
        find_files([str(crawl.with_name("crwal"))])


def test_a_folder_without_a_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cover.png").write_text("text")
    with pytest.raises(DataError, match=r"holds nothing to read: looked there and below for \*\.warc"):
        find_files([str(tmp_path)])


def test_a_remote_folder_is_read_like_a_local_one(memory: fsspec.AbstractFileSystem) -> None:
    for name in ["b.txt", "a/z.md", "a.jsonl", "cover.png", ".hidden.txt"]:
        memory.pipe(f"/bucket/crawl/{name}", b'{"text": "one"}')
    files = find_files(["memory://bucket/crawl"])
    assert [file.name for file in files] == ["crawl/a/z.md", "crawl/a.jsonl", "crawl/b.txt"]
    assert [file.path for file in files][:1] == ["memory:///bucket/crawl/a/z.md"]
    assert all(file.version for file in files)
    (page,) = read_pages(files[1], Limits())
    assert isinstance(page, Page)
    assert (page.content, page.id, page.source) == ("one", "crawl/a.jsonl:1", "memory://bucket/crawl")


def test_a_remote_file_may_be_named_directly(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/bucket/a.jsonl", b'{"text": "one"}')
    memory.pipe("/bucket/README", b"two")
    found = find_files(["memory://bucket/a.jsonl", "memory://bucket/README"])
    assert [(file.name, file.format) for file in found] == [("a.jsonl", "jsonl"), ("README", "text")]


def test_a_file_url_gives_the_same_pages_as_its_path(crawl: Path) -> None:
    local, remote = (find_files([prefix + str(crawl)]) for prefix in ("", "file://"))
    assert [file.name for file in local] == [file.name for file in remote]
    contents = [[page for file in files for page in read_pages(file, Limits())] for files in (local, remote)]
    assert [item.id for item in contents[0]] == [item.id for item in contents[1]]
    assert len(contents[0]) == 5


def test_a_remote_folder_without_a_readable_file_is_refused(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/bucket/cover.png", b"text")
    with pytest.raises(
        DataError, match=r"memory://bucket.* holds nothing to read: looked there and below for \*\.warc"
    ):
        find_files(["memory://bucket"])


def test_a_store_that_fails_is_named_with_what_it_says(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise PermissionError("Access Denied")

    memory.pipe("/bucket/a.txt", b"text")
    monkeypatch.setattr(memory, "find", refuse)
    with pytest.raises(
        DataError, match="cannot read memory://bucket: Access Denied; check the address and your access"
    ):
        find_files(["memory://bucket"])


def test_addresses_that_cannot_be_read_are_refused_in_one_line(memory: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(DataError, match="'memory://nowhere/x' does not exist"):
        find_files(["memory://nowhere/x"])
    with pytest.raises(DataError, match="Protocol not known: teleport"):
        find_files(["teleport://bucket/x"])
    with pytest.raises(MissingExtraError, match=r"reading s3://bucket/x needs another package: .*s3fs"):
        find_files(["s3://bucket/x"])
