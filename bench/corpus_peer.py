"""One measurement of a corpus step, alone in its process: datatrove's steps, and the libraries beneath ours.

    PYTHON bench/corpus_peer.py MEASURE --input LIST_OR_JSONL --work FOLDER

prints one JSON line. It imports nothing of this project, so that it runs in an environment of datatrove's own:

    VENV/bin/pip install 'datatrove[io,processing]==0.10.1' spacy==3.8.18 readability-lxml==0.9 fastwarc==2.0.1

`bench.corpus_speed` asks for all of them in turn.
"""

import argparse
import importlib
import json
import resource
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("datatrove", "trafilatura", "readability-lxml", "warcio", "spacy", "fastwarc", "resiliparse")
TEXTS = "texts"  # of the work folder; what an extraction writes, as JSONL
KEPT = "kept"
OUTCOMES = {"extracted", "timeout", "broken_process", "clean_error"}
OUR_BUCKETS, OUR_HASHES = 5, 2  # ten hashes as bands of two


@dataclass(slots=True)
class Result:
    """What one measurement found. The seconds are of its steps by name; imports come before them."""

    measure: str
    records: int = 0  # handed out by the reader
    documents: int = 0  # that came out at the end
    input_bytes: int = 0  # HTML, of every record that the reader hands out as a page, or UTF-8 text
    output_bytes: int = 0  # UTF-8 text
    wall_s: dict[str, float] = field(default_factory=dict[str, float])
    cpu_s: dict[str, float] = field(default_factory=dict[str, float])
    peak_bytes: int = 0  # of the process itself
    child_peak_bytes: int = 0  # of the largest that it started
    versions: dict[str, str] = field(default_factory=dict[str, str])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    outcomes: dict[str, int] = field(default_factory=dict[str, int])  # datatrove's own counts of pages

    @contextmanager
    def timing(self, step: str) -> Generator[None]:
        start, cpu = time.perf_counter(), cpu_seconds()
        yield
        self.wall_s[step] = time.perf_counter() - start
        self.cpu_s[step] = cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Of this process and of those it has started and seen end."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def read_pages(paths: Iterable[Path], result: Result) -> Iterator[tuple[str, bytes]]:
    """Address and content of each page served with 200, by fastwarc."""
    warc = importlib.import_module("fastwarc.warc")
    for path in paths:
        with path.open("rb") as file:
            for record in warc.ArchiveIterator(file, record_types=warc.WarcRecordType.response, parse_http=True):
                result.records += 1
                if record.http_headers.status_code != 200 or record.http_content_type != "text/html":
                    continue
                content = record.reader.read()
                result.input_bytes += len(content)
                yield record.headers["WARC-Target-URI"], content


def fastwarc_alone(source: Path, _: Path, result: Result) -> None:
    paths = read_list(source)
    importlib.import_module("fastwarc.warc")
    with result.timing("read"):
        result.documents = sum(1 for _ in read_pages(paths, result))


def resiliparse(source: Path, work: Path, result: Result) -> None:
    """fastwarc, then resiliparse's text of the main content, written as JSONL."""
    encoding = importlib.import_module("resiliparse.parse.encoding")
    html2text = importlib.import_module("resiliparse.extract.html2text")

    def extract(content: bytes) -> str:
        html = encoding.bytes_to_str(content, encoding.detect_encoding(content))
        return html2text.extract_plain_text(html, main_content=True, preserve_formatting=True, alt_texts=False)

    extract_by(extract, source, work, result)


def trafilatura(source: Path, work: Path, result: Result) -> None:
    """fastwarc, then trafilatura as datatrove calls it, but in this process and without a time limit, as JSONL."""
    library = importlib.import_module("trafilatura")

    def extract(content: bytes) -> str:
        return library.extract(content, favor_precision=True, include_comments=False, deduplicate=True) or ""

    extract_by(extract, source, work, result)


def extract_by(extract: Callable[[bytes], str], source: Path, work: Path, result: Result) -> None:
    paths, out = read_list(source), work / TEXTS / "00000.jsonl"
    importlib.import_module("fastwarc.warc")
    out.parent.mkdir()
    with result.timing("extract"), out.open("w", encoding="utf-8") as file:
        for url, content in read_pages(paths, result):
            if text := extract(content).strip():
                file.write(json.dumps({"text": text, "id": url, "metadata": {"url": url}}, ensure_ascii=False) + "\n")
    count_texts(out, result)


def datatrove_reader(source: Path, work: Path, result: Result) -> None:
    run_pipeline("read", [warc_reader(source, work), Tally(result)], work, result)
    result.documents = result.records


def datatrove_trafilatura(source: Path, work: Path, result: Result) -> None:
    datatrove_extract(datatrove("pipeline.extractors").Trafilatura(), source, work, result)


def datatrove_readability(source: Path, work: Path, result: Result) -> None:
    """Its extractor wants a fork that no registry carries; the published library lacks one of the two arguments."""
    readability: Any = importlib.import_module("readability")
    published = readability.Document

    def document(html: str, *, min_text_length: int, min_text_score: int) -> Any:
        del min_text_score
        return published(html or "<p></p>", min_text_length=min_text_length)  # it warms up with no text

    readability.Document = document
    result.settings["left_out"] = ["min_text_score"]
    extractor = datatrove("pipeline.extractors").ReadabilityInscriptis
    extractor._requires_dependencies = ["inscriptis", ("readability", "readability-lxml")]  # its own list has the fork
    datatrove_extract(extractor(), source, work, result)


def datatrove_extract(extractor: Any, source: Path, work: Path, result: Result) -> None:
    """WarcReader, an extractor with its own time limit a page, JsonlWriter."""
    result.settings["timeout_s"] = extractor.timeout
    writer = datatrove("pipeline.writers").JsonlWriter(str(work / TEXTS), "${rank}.jsonl", compression=None)
    run_pipeline("extract", [warc_reader(source, work), Tally(result), extractor, writer], work, result)
    count_texts(work / TEXTS / "00000.jsonl", result)


def datatrove_minhash_like_ours(source: Path, work: Path, result: Result) -> None:
    """Sets of lower-cased words between whitespace, ten hashes."""
    tokenizers = datatrove("utils.word_tokenizers")

    class Words(tokenizers.WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            raise NotImplementedError

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            raise NotImplementedError

    plain = datatrove("utils.text").TextNormConfig(
        lowercase=True, remove_punctuation=False, norm_unicode_diacritics=False, norm_numbers=False
    )
    shape = {"n_grams": 1, "num_buckets": OUR_BUCKETS, "hashes_per_bucket": OUR_HASHES}
    minhash(Words(), {**shape, "norm_config": plain}, source, work, result)


def datatrove_minhash(source: Path, work: Path, result: Result) -> None:
    """Its own settings: 5-grams of spaCy's words, 14 buckets of 8 hashes."""
    minhash("eng", {}, source, work, result)


def minhash(language: Any, settings: dict[str, Any], source: Path, work: Path, result: Result) -> None:
    dedup, writers = datatrove("pipeline.dedup"), datatrove("pipeline.writers")
    config = datatrove("pipeline.dedup.minhash").MinhashConfig(**settings)
    result.settings |= {name: getattr(config, name) for name in ("n_grams", "num_buckets", "hashes_per_bucket")}
    signatures, buckets, clusters = (str(work / name) for name in ("signatures", "buckets", "clusters"))
    count_texts(source, result)
    result.input_bytes, result.records = result.output_bytes, result.documents

    def texts() -> Any:
        return datatrove("pipeline.readers").JsonlReader(str(source.parent), glob_pattern=source.name)

    first = dedup.MinhashDedupSignature(signatures, config=config, language=language)
    run_pipeline("signatures", [texts(), first], work, result)
    pairs = dedup.MinhashDedupBuckets(signatures, buckets, config=config)
    run_pipeline("buckets", [pairs], work, result, tasks=config.num_buckets)
    run_pipeline("cluster", [dedup.MinhashDedupCluster(buckets, clusters, config=config)], work, result)
    kept = writers.JsonlWriter(str(work / KEPT), "${rank}.jsonl", compression=None)
    run_pipeline("filter", [texts(), dedup.MinhashDedupFilter(clusters), kept], work, result)
    count_texts(work / KEPT / "00000.jsonl", result)


MEASURES: dict[str, Callable[[Path, Path, Result], None]] = {
    "fastwarc": fastwarc_alone,
    "datatrove-reader": datatrove_reader,
    "resiliparse": resiliparse,
    "trafilatura": trafilatura,
    "datatrove-trafilatura": datatrove_trafilatura,
    "datatrove-readability": datatrove_readability,
    "datatrove-minhash-like-ours": datatrove_minhash_like_ours,
    "datatrove-minhash": datatrove_minhash,
}


class Tally:
    """A step that counts what the reader hands out, as the bytes of its text in UTF-8."""

    def __init__(self, result: Result) -> None:
        self.result = result

    def __deepcopy__(self, _: object) -> "Tally":
        return self  # the executor copies its steps, and the counts would go with the copy

    def __call__(self, data: Iterable[Any], *_: int) -> Iterator[Any]:
        for document in data:
            self.result.records += 1
            self.result.input_bytes += len(document.text.encode("utf-8", "replace"))
            yield document


def datatrove(module: str) -> Any:
    return importlib.import_module(f"datatrove.{module}")


def warc_reader(source: Path, work: Path) -> Any:
    listed = work / "files.txt"
    listed.write_text("".join(f"{path.relative_to(source.parent)}\n" for path in read_list(source)), encoding="utf-8")
    return datatrove("pipeline.readers").WarcReader(str(source.parent), paths_file=str(listed))


def run_pipeline(step: str, pipeline: list[Any], work: Path, result: Result, *, tasks: int = 1) -> None:
    """In this process, one task after the other."""
    executor = datatrove("executor").LocalPipelineExecutor(
        pipeline, tasks=tasks, workers=1, logging_dir=str(work / "logs" / step)
    )
    with result.timing(step):
        stats = executor.run()
    for one in stats.stats:
        result.outcomes |= {name: one.stats[name].total for name in OUTCOMES & one.stats.keys()}


def read_list(source: Path) -> list[Path]:
    return [source.parent / line for line in source.read_text(encoding="utf-8").splitlines()]


def count_texts(path: Path, result: Result) -> None:
    result.documents = result.output_bytes = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            result.documents += 1
            result.output_bytes += len(json.loads(line)["text"].encode("utf-8", "replace"))


def versions() -> Iterator[tuple[str, str]]:
    for library in LIBRARIES:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            continue


def measure(name: str, source: Path, work: Path) -> Result:
    """Raises: FileExistsError where the work folder holds an earlier run's files, which datatrove would take up."""
    work.mkdir(parents=True)
    result = Result(name, versions=dict(versions()))
    MEASURES[name](source.resolve(), work, result)
    result.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result.child_peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--input", type=Path, required=True, help="a list of WARC files, or a file of texts as JSONL")
    parser.add_argument("--work", type=Path, required=True, help="a folder that is made and keeps what is written")
    given = parser.parse_args()
    print(json.dumps(asdict(measure(given.measure, given.input, given.work))))


if __name__ == "__main__":
    main()
