"""What is encoded and learned from: texts at hand, and gigabytes made of them whose different words go on growing in
number, as those of real text do. Needs no torch.
"""

import importlib.metadata
import random
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from gptrilogy.corpus.sotu import find_speeches

TEXT_CHARS = 8_000_000
BLOCK_CHARS = 1 << 20
STRANGE_CHARS = BLOCK_CHARS // 100  # in letters of their own: as names, typing errors and other languages are
FREQUENT = 200  # Chinese characters of which any may end a run


def text_files(folder: Path) -> dict[str, Path]:
    """The .txt files of a folder by their names; `chinese.txt` is the one whose runs have no spaces."""
    return {path.stem: path for path in sorted(folder.glob("*.txt"))}


def write_texts(folder: Path) -> None:
    """Two texts that an installation brings: the presidential messages, and PyTorch's own Python.

    Raises: ConfigError where the messages are not installed.
    """
    prose = (path.read_text(encoding="utf-8") for path in sorted(find_speeches().glob("*.txt")))
    python = (
        file.read_text(encoding="utf-8")
        for file in sorted(importlib.metadata.files("torch") or [])
        if file.suffix == ".py"
    )
    for name, source in (("prose", prose), ("python", python)):
        text = ""
        while len(text) < TEXT_CHARS:
            text += next(source)
        (folder / f"{name}.txt").write_text(text[:TEXT_CHARS], encoding="utf-8")


def texts(files: Mapping[str, Path], size_bytes: int, seed: int = 0) -> Iterator[str]:
    """Blocks of the files in turn, `size_bytes` in all or a little more, no two alike.

    Where words have spaces, a hundredth of each block has its letters exchanged, in each block in another way, so
    that its words are new. In a block of Chinese three frequent characters become commas, so that the runs between
    two punctuation marks, which are its words here, are cut anew.
    """
    rng = random.Random(seed)
    sources = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    frequent = [c for c, _ in Counter(sources.get("chinese", "")).most_common(FREQUENT) if c.isalpha()]
    written = 0
    while written < size_bytes:
        for name, source in sources.items():
            start = rng.randrange(max(1, len(source) - BLOCK_CHARS))
            block = source[start : start + BLOCK_CHARS]
            block = _cut_anew(block, frequent, rng) if name == "chinese" else _partly_strange(block, rng)
            written += len(block.encode())
            yield block


def _cut_anew(block: str, frequent: list[str], rng: random.Random) -> str:
    for character in rng.sample(frequent, 3):
        block = block.replace(character, "，")
    return block


def _partly_strange(block: str, rng: random.Random) -> str:
    letters = list(string.ascii_lowercase)
    rng.shuffle(letters)
    start = rng.randrange(max(1, len(block) - STRANGE_CHARS))
    end = start + STRANGE_CHARS
    strange = block[start:end].translate(str.maketrans(string.ascii_lowercase, "".join(letters)))
    return block[:start] + strange + block[end:]
