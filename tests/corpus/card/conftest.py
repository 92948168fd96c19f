"""A small finished corpus: two sets through all steps, with one document of each kind of malice."""

import json
from pathlib import Path
from typing import Any

import pytest

from gptrilogy.corpus.card import write_card, writing
from gptrilogy.corpus.card.blocks import Palette, Picture

MALICE = '<script>alert("1")</script>\x1b[31m\u202e```\n# x\n<img src=x onerror=alert(1)>\n````\n\ud83d\ude00 ünï'
CRAWL = [
    ("read", 100_000, 98_500, {"damaged file": 1_200, "not HTML": 300}),
    ("extract", 98_500, 90_100, {"no text": 8_000, "took too long": 400}),
    ("language", 90_100, 41_200, {"not English": 48_000, "unsure": 900}),
    ("rules", 41_200, 30_050, {"too short": 10_000, "mostly symbols": 1_150}),
    ("quality", 30_050, 4_020, {"score": 26_030}),
    ("url", 4_020, 3_990, {"same page": 30}),
    ("exact", 3_990, 3_700, {"same text": 290}),
    ("near", 3_700, 3_300, {"near duplicate": 400}),
    ("decontaminate", 3_300, 3_291, {"split into too many": 9}),
]
WEBTEXT = [
    ("links", 5_000, 1_300, {"too few votes": 3_500, "blocked domain": 200}),
    ("extract", 1_300, 1_250, {"no text": 50}),
    ("decontaminate", 1_250, 1_250, {}),
]


def _ledger() -> list[dict[str, Any]]:
    return [
        {"set": name, "step": step, "in": taken, "kept": kept, "dropped": dropped}
        for name, steps in {"common_crawl": CRAWL, "webtext": WEBTEXT}.items()
        for step, taken, kept, dropped in steps
    ]


def _corpus() -> dict[str, Any]:
    files = [{"file": "common_crawl/00000.parquet", "documents": 3_291, "bytes": 9_100_000, "sha256": "0" * 64}]
    crawl = {"name": "common_crawl", "documents": 3_310, "characters": 8_900_000, "bytes": 9_100_000, "weight": 0.6}
    webtext = {"name": "webtext", "documents": 1_250, "characters": 5_400_000, "bytes": 5_600_000, "weight": 0.22}
    return {
        "version": 1,
        "recipe": "gpt3",
        "config": {"seed": 1, "quality": {"alpha": 9.0}},
        "sets": [{**crawl, "files": files}, {**webtext, "files": []}],
    }


def _statistics() -> dict[str, Any]:
    lengths = {
        "edges": [0, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000],
        "counts": [0, 400, 900, 1_100, 600, 250, 60],
    }
    contamination = {
        "grams_searched": 2_812_345,
        "grams_found": 412,
        "grams_ignored": 12,
        "documents_split": 41,
        "documents_dropped": 9,
        "pieces": 60,
        "characters_removed": 27_400,
        "by_task": {"lambada": 210, "squad_v2": 150, "piqa": 52, "copa": 0},
    }
    crawl = {
        "languages": {"en": 3_250, "de": 40, "unknown": 20},
        "domains": {f"example{n}.com": 400 // (n + 1) for n in range(30)} | {"<b>evil</b>.com": 3},
        "characters_histogram": lengths,
        "scores": {
            "edges": [n / 10 for n in range(11)],
            "kept": [30, 20, 20, 50, 100, 200, 300, 500, 900, 1_900],
            "dropped": [9_970, 5_000, 3_000, 2_500, 2_000, 1_500, 1_000, 700, 350, 10],
        },
        "duplicates": {"clusters": 180, "documents": 580, "largest": 41, "by_size": {"2": 140, "3": 30, "41": 1}},
        "contamination": contamination,
    }
    webtext = {
        "languages": {"en": 1_250},
        "domains": {"nytimes.com": 40, "bbc.co.uk": 31},
        "characters_histogram": {"edges": lengths["edges"], "counts": [0, 50, 150, 300, 400, 300, 50]},
        "scores": None,
        "duplicates": {"clusters": 0, "documents": 0, "largest": 0, "by_size": {}},
        "contamination": None,
    }
    return {"sets": {"common_crawl": crawl, "webtext": webtext}}


def _samples() -> list[dict[str, Any]]:
    prose = "It was a bright cold day in April, and the clocks were striking. " * 14
    kept = {
        "set": "webtext",
        "kept": True,
        "step": None,
        "reason": None,
        "detail": None,
        "id": "webtext/a.warc.gz:40961",
    }
    dropped = {
        "set": "common_crawl",
        "kept": False,
        "step": "rules",
        "reason": "too short",
        "detail": "31 characters | at least 200",
        "id": "x",
    }
    return [
        {**kept, "url": "https://www.example.com/essay", "characters": 4_210, "text": prose},
        {**dropped, "url": "javascript:alert(document.domain)", "characters": 31, "text": MALICE},
        {**dropped, "url": "https://www.example.org/@user", "characters": 12, "text": "$x$ سلام دنیا"},
    ]


def _write(folder: Path) -> Path:
    folder.mkdir()
    for name, value in {"corpus": _corpus(), "ledger": _ledger(), "statistics": _statistics()}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in _samples()))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The folder of a finished corpus."""
    return _write(tmp_path / "corpus")


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder with its card, for tests that only read."""
    folder = _write(tmp_path_factory.mktemp("told") / "corpus")
    write_card(folder)
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are empty files: drawing takes seconds."""

    def touch(picture: Picture, path: Path, palette: Palette) -> None:
        path.write_bytes(b"")

    monkeypatch.setattr(writing, "save_picture", touch)
