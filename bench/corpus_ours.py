"""One measurement of a corpus step of ours, alone in its process, in the form of `bench/corpus_peer.py`.

python -m bench.corpus_ours MEASURE --input LIST_OR_JSONL --work FOLDER
"""

import argparse
import json
import resource
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq

from bench.corpus_peer import KEPT, TEXTS, Result, read_list
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig, SetConfig
from gptrilogy.corpus.documents import Page
from gptrilogy.corpus.extraction import ExtractionConfig, extract
from gptrilogy.corpus.readers import Limits, find_files, read_pages


def ours_extraction(source: Path, work: Path, result: Result) -> None:
    """Archives read with their digests checked, every page's main text taken out, as JSONL."""
    config, out = ExtractionConfig(), work / TEXTS / "00000.jsonl"
    out.parent.mkdir(parents=True)
    with result.timing("extract"), out.open("w", encoding="utf-8") as file:
        for page in (
            page for found in find_files([*map(str, read_list(source))]) for page in read_pages(found, Limits())
        ):
            if isinstance(page, Page):
                result.records += 1
                result.input_bytes += len(page.content)
                text = extract(page, config)
                if isinstance(text, str):
                    result.documents += 1
                    result.output_bytes += len(text.encode())
                    file.write(json.dumps({"id": page.url, "text": text}) + "\n")


def ours_minhash(source: Path, work: Path, result: Result) -> None:
    """A whole build that looks for near copies only: texts read, hashed, compared, verified and written."""
    config = CorpusConfig(
        sets={"web": SetConfig(paths=(str(source),))}, same_url=False, same_text=False, keep_dropped=False
    )
    out = work / "corpus"
    with result.timing("build"):
        build_corpus(config, out, engine=None)
    result.records = sum(1 for _ in source.open(encoding="utf-8"))
    (work / KEPT).mkdir()
    with (work / KEPT / "00000.jsonl").open("w", encoding="utf-8") as file:
        for path in sorted(out.glob("documents/*/*.parquet")):
            for row in pq.read_table(path, columns=["text", "meta"]).to_pylist():
                result.documents += 1
                result.output_bytes += len(row["text"].encode())
                file.write(json.dumps({"id": json.loads(row["meta"])["id"]}) + "\n")
    result.input_bytes = sum(len(json.loads(line)["text"].encode()) for line in source.open(encoding="utf-8"))


MEASURES: dict[str, Callable[[Path, Path, Result], None]] = {
    "ours-extraction": ours_extraction,
    "ours-minhash": ours_minhash,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    asked = parser.parse_args()
    result = Result(asked.measure)
    asked.work.mkdir(parents=True)
    MEASURES[asked.measure](asked.input.resolve(), asked.work, result)
    result.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
