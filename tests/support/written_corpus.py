"""A folder as `gpt corpus build` leaves it, of a few texts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from gptrilogy.files import sha256_file, write_json

DOCUMENTS_A_FILE = 7


def write_corpus(folder: Path, sets: Mapping[str, Sequence[str]], weights: Mapping[str, float | None]) -> Path:
    """Texts of each set in files of a few, with small row groups; -> the folder."""
    entries = [
        {
            "name": name,
            "documents": len(texts),
            "characters": sum(map(len, texts)),
            "bytes": sum(len(text.encode()) for text in texts),
            "weight": weights.get(name),
            "files": [
                _write(folder, f"documents/{name}/part-{start // DOCUMENTS_A_FILE:05d}.parquet", name, start, texts)
                for start in range(0, len(texts), DOCUMENTS_A_FILE)
            ],
        }
        for name, texts in sets.items()
    ]
    write_json(folder / "corpus.json", {"version": 1, "recipe": "gpt3", "config": {}, "sets": entries})
    return folder


def _write(folder: Path, file: str, name: str, start: int, texts: Sequence[str]) -> dict[str, object]:
    path, chosen = folder / file, texts[start : start + DOCUMENTS_A_FILE]
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "id": [f"{name}:{start + place}" for place in range(len(chosen))],
        "text": list(chosen),
        "url": [""] * len(chosen),
        "set": [name] * len(chosen),
        "meta": [json.dumps({})] * len(chosen),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=3)
    return {"file": file, "documents": len(chosen), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
