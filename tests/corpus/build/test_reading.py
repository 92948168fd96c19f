"""What strangers wrote becomes rows that can be stored, whatever it is."""

import json
from pathlib import Path

from corpus_builds import rows_of
from gptrilogy.corpus.build.build import build_corpus
from gptrilogy.corpus.build.config import CorpusConfig


def test_fields_that_no_file_can_hold_are_stored_as_far_as_one_can(tmp_path: Path) -> None:
    lines = [
        r'{"text": "half a character in the address", "url": "http://x.example/\ud801"}',
        r'{"text": "half a character in a field", "by": "\ud800", "votes": NaN, "share": [Infinity, 1.5]}',
    ]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    config = CorpusConfig.model_validate(
        {"sets": {"posts": {"paths": [str(tmp_path / "posts.jsonl")]}}, "near_copies": False}
    )
    build_corpus(config, tmp_path / "out", engine=None)
    first, second = rows_of(tmp_path / "out" / "documents")
    assert first["url"] == "http://x.example/?"
    fields = json.loads(second["meta"], parse_constant=lambda name: f"not JSON: {name}")
    assert {name: fields[name] for name in ("by", "votes", "share")} == {"by": "?", "votes": None, "share": [None, 1.5]}
