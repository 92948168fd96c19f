"""Records of web archives written by hand, and a small crawl of them whose every page's fate is known."""

import gzip
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gptrilogy.corpus.sotu import find_speeches

PARAGRAPH_CHARS = (400, 3_000)


def record(
    content: bytes,
    *,
    kind: str = "response",
    media: str = "text/html",
    http: str = "HTTP/1.1 200 OK",
    fields: Mapping[str, str] | None = None,
    http_fields: Mapping[str, str] | None = None,
    packed: bool = False,
) -> bytes:
    """One WARC record; a response unless another type is named, and its own gzip member if asked."""
    if kind == "response":
        lines = [http, f"Content-Type: {media}", *(f"{key}: {value}" for key, value in (http_fields or {}).items())]
        content, media = "\r\n".join(lines).encode() + b"\r\n\r\n" + content, "application/http; msgtype=response"
    head = {"WARC-Type": kind, "WARC-Target-URI": "http://a.example/", "Content-Type": media}
    head |= {"Content-Length": str(len(content))} | dict(fields or {})
    lines = ["WARC/1.0", *(f"{key}: {value}" for key, value in head.items())]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n\r\n"
    return gzip.compress(whole, mtime=0) if packed else whole


@dataclass
class Crawl:
    """The pages of a made-up crawl, and the main text of each by its URL."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    records: list[bytes] = field(default_factory=list[bytes])

    def add(self, url: str, text: str) -> None:
        self.texts[url] = text.strip().replace("\n", "\n\n")
        paragraphs = "".join(f"<p>{paragraph}</p>\n" for paragraph in text.split("\n"))
        html = f"<html><head><title>t</title></head><body><main><article>{paragraphs}</article></main></body></html>"
        self.records.append(record(html.encode(), fields={"WARC-Target-URI": url}, packed=True))

    def write(self, folder: Path, n_files: int) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"crawl-{number}.warc.gz" for number in range(n_files)]
        for number, path in enumerate(paths):
            path.write_bytes(b"".join(self.records[number::n_files]))
        return [str(path) for path in paths]


def passages(count: int, *, seed: int = 0) -> list[str]:
    """Stretches of presidential messages, each of its own place."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(find_speeches().glob("*.txt"))[:60])
    lines = [line.strip() for line in text.split("\n") if PARAGRAPH_CHARS[0] < len(line) < PARAGRAPH_CHARS[1]]
    return random.Random(seed).sample(sorted(set(lines)), count)


def reworded(text: str, share: float, *, seed: int = 0) -> str:
    """The same text with a share of its words replaced."""
    rng = random.Random(seed)
    words = text.split(" ")
    for place in rng.sample(range(len(words)), round(share * len(words))):
        words[place] = f"word{rng.randrange(10**6)}"
    return " ".join(words)
