"""Bombs: what inflates to a gigabyte is read in little memory, measured where nothing else runs."""

import subprocess
import sys
from pathlib import Path

import pytest

MAKE = '''
import bz2, gzip, sys, zlib, zstandard
from pathlib import Path

MIB = 1 << 20
folder, zeros = Path(sys.argv[1]), bytes(MIB)

def member(before=b"", after=b""):
    """A gzip member of a gigabyte of zeros between two texts: its middle is one flushed block again and again."""
    packer = zlib.compressobj(wbits=31)
    head = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    block = zlib.compressobj(wbits=-15)
    middle = block.compress(zeros) + block.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(wbits=-15)
    tail = last.compress(after) + last.flush()
    sum, size = zlib.crc32(before), len(before) + 1024 * MIB + len(after)
    for _ in range(1024):
        sum = zlib.crc32(zeros, sum)
    end = zlib.crc32(after, sum).to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return head + middle * 1024 + tail + end

def record(block, length=None, http=""):
    head = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\n" + http.encode() + b"\\r\\n"
    length = len(head) + len(block) if length is None else length + len(head)
    lines = ["WARC/1.0", "WARC-Type: response", "Content-Type: application/http", f"Content-Length: {length}", "", ""]
    return "\\r\\n".join(lines).encode() + head + block

page = gzip.compress(record(b"<p>page</p>") + b"\\r\\n\\r\\n", mtime=0)
(folder / "body.warc").write_bytes(
    record(member(), http="Content-Encoding: gzip\\r\\n") + b"\\r\\n\\r\\n" + gzip.decompress(page))
(folder / "record.warc.gz").write_bytes(page + member(record(b"", 1024 * MIB), b"\\r\\n\\r\\n") + page)
(folder / "lie.warc.gz").write_bytes(page + member(record(b"<p>lie</p>")))
(folder / "line.jsonl.gz").write_bytes(member(b'{"text": "one"}\\n{"text": "', b'"}\\n{"text": "three"}\\n'))
(folder / "text.txt.gz").write_bytes(gzip.compress(zeros, mtime=0) * 1024)
(folder / "text.txt.bz2").write_bytes(bz2.compress(zeros) * 1024)
(folder / "text.txt.zst").write_bytes(zstandard.compress(zeros) * 1024)
(folder / "wiki.xml.gz").write_bytes(
    member(b"<mediawiki><page><title>A</title><revision><text>".ljust(MIB), b"</text></revision></page></mediawiki>"))
'''
READ = """
import resource, sys
from gptrilogy.corpus.documents import Page
from gptrilogy.corpus.readers import Limits, find_files, read_pages

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

folder, name = sys.argv[1:]
(small,), (file,) = find_files([f"{folder}/small.{name.split('.', 1)[1]}"]), find_files([f"{folder}/{name}"])
list(read_pages(small, Limits()))  # what the libraries take themselves
before = peak()
items = read_pages(file, Limits(max_text_bytes=16 << 20))
found = ["page" if isinstance(item, Page) else item.reason.name for item in items]
print(peak() - before, *found, sep="|")
"""
BOMBS = {
    "body.warc": ["inflates past the limit", "page"],
    "record.warc.gz": ["page", "inflates past the limit", "page"],
    "lie.warc.gz": ["page", "page", "malformed archive"],
    "line.jsonl.gz": ["page", "inflates past the limit", "page"],
    "text.txt.gz": ["inflates past the limit"],
    "text.txt.bz2": ["inflates past the limit"],
    "text.txt.zst": ["inflates past the limit"],
    "wiki.xml.gz": ["malformed archive"],  # XML has no zeros
}


def run(code: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    run(MAKE, folder)
    for name in BOMBS:
        (folder / f"small.{name.split('.', 1)[1]}").write_bytes(b"")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_gigabyte_of_zeros_takes_little_more_memory_than_its_limit(bombs: Path, name: str) -> None:
    peak_mib, *found = run(READ, bombs, name).split("|")
    assert found == BOMBS[name]
    assert int(peak_mib) <= 16 + 8, f"{peak_mib} MiB for a limit of 16"
