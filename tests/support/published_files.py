"""Small copies of published data sets, and what is read from them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.finetuning.published import read_published
from gptrilogy.finetuning.published_questions import Split
from gptrilogy.finetuning.tasks import Example

MRPC_HEADER = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]


def tsv(*rows: Sequence[str]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def jsonl(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def folder(root: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def read(name: str, path: Path, split: Split, *, labelled: bool = True) -> tuple[list[Example], list[str]]:
    notes: list[str] = []
    return list(read_published(name, path, split, labelled=labelled, note=notes.append)), notes


def only(name: str, path: Path, split: Split, *, labelled: bool = True) -> Example:
    (example,), notes = read(name, path, split, labelled=labelled)
    assert notes == []
    return example


def refusal(name: str, path: Path, split: Split, *, labelled: bool = True) -> str:
    with pytest.raises(DataError) as raised:
        read(name, path, split, labelled=labelled)
    assert "\n" not in str(raised.value)
    return str(raised.value)
