"""Data sets come out of wheels in the layouts they were published in."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bench.study_data import FILES, app, question, tsv

from gptrilogy.errors import DataError

PAIR = {"sentence1": "It rains. ", "sentence2": "It is wet.", "idx": 9}
DOC = {"id": "7-1", "query": "Question: Ice is\nAnswer:", "choices": ["hot", "cold"], "gold": 1}


def arrow(*rows: dict[str, Any]) -> bytes:
    table = pa.Table.from_pylist(list(rows))
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def requests(*docs: dict[str, Any]) -> bytes:
    return gzip.compress("".join(json.dumps({"doc": doc}) + "\n" for doc in docs).encode())


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "data.whl"
    with zipfile.ZipFile(path, "w") as archive:

        def write(name: str, content: bytes) -> None:
            archive.writestr(f"package/{FILES[name][0]}", content)

        write("sst2/dev.tsv", arrow({"sentence": "it 's charming . ", "label": 1, "idx": 0}))
        write("mrpc/dev.tsv", arrow({**PAIR, "label": 1}))
        write("rte/dev.tsv", arrow({**PAIR, "label": 0}, {**PAIR, "label": 1}))
        write("openbookqa/dev.jsonl", requests(DOC, DOC, {**DOC, "id": "7-2", "gold": 0}, DOC))
    return path


def test_files_have_the_published_layouts(wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    app([str(wheel), "--out", str(out)], result_action="return_value")
    assert (out / "sst2/dev.tsv").read_text() == "sentence\tlabel\nit 's charming .\t1\n"
    assert (out / "mrpc/dev.tsv").read_text().splitlines()[1] == "1\t\t\tIt rains.\tIt is wet."
    rte = (out / "rte/dev.tsv").read_text().splitlines()
    assert rte == [
        "index\tsentence1\tsentence2\tlabel",
        "9\tIt rains.\tIt is wet.\tentailment",
        "9\tIt rains.\tIt is wet.\tnot_entailment",
    ]
    questions = [json.loads(line) for line in (out / "openbookqa/dev.jsonl").read_text().splitlines()]
    assert questions == [question(DOC), question({**DOC, "id": "7-2", "gold": 0})]
    assert not (out / "arc_easy").exists()
    assert "left out arc_easy/ARC-Easy-Dev.jsonl" in capsys.readouterr().err


def test_a_field_with_a_tab_is_refused() -> None:
    with pytest.raises(DataError, match="row 2 holds a tab"):
        tsv(("sentence", "label"), [("one\ttwo", 1)])
