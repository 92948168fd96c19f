"""The vocabularies that OpenAI published, known by name and by hash: fetched once, checked at every use."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gptrilogy.errors import ConfigError, TokenizerError
from gptrilogy.files import replacing_folder, user_cache
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.foreign import read_pair
from gptrilogy.tokenizers.untrusted import read_bytes

Note: TypeAlias = Callable[[str], None]

TIMEOUT_S = 20.0  # for an answer to begin or go on
TOTAL_S = 300.0  # for one file: a megabyte over the slowest line that anybody would wait for
PAUSES_S = (1.0, 4.0)  # before the second try and the third
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file, and what it must be to the byte."""

    url: str
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


GPT1_URL = "https://raw.githubusercontent.com/openai/finetune-transformer-lm/master/model"
GPT2_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"
PUBLISHED: Mapping[str, tuple[PublishedFile, PublishedFile]] = {
    "gpt1": (
        PublishedFile(
            f"{GPT1_URL}/encoder_bpe_40000.json",
            815_973,
            "fdf49b19e7de236852091da09b84a7a3cd5e7b0e79916376cf45f6b8127b8078",
        ),
        PublishedFile(
            f"{GPT1_URL}/vocab_40000.bpe",
            458_495,
            "0ea9b51ae695073cd871e0358f7016311d671a7ff3963e367d5236522f294725",
        ),
    ),
    "gpt2": (
        PublishedFile(
            f"{GPT2_URL}/encoder.json",
            1_042_301,
            "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        ),
        PublishedFile(
            f"{GPT2_URL}/vocab.bpe",
            456_318,
            "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        ),
    ),
}


def load_published(name: str) -> Tokenizer:
    """The tokenizer of a vocabulary that was fetched before.

    Raises: TokenizerError where it was not, or where its files are no longer what was published.
    """
    folder = cache_folder(name)
    if not folder.is_dir():
        raise TokenizerError(
            f"the vocabulary {name} is not on this machine yet (looked in {folder}): "
            f"`gpt tokenizer fetch {name}` brings it; {_remedy(name)}"
        )
    for file in PUBLISHED[name]:
        try:
            _read_checked(folder / file.name, file)
        except TokenizerError as error:
            raise TokenizerError(f"{error}; `gpt tokenizer fetch {name}` replaces it") from None
    encoder, merges = PUBLISHED[name]
    return read_pair(folder, (encoder.name, merges.name))


def fetch(name: str, *, source: Path | None = None, note: Note) -> Path:
    """Bring a published vocabulary into the cache, from a folder or the network, and return where it lies.

    Nothing reaches the cache whose size and SHA-256 are not the published ones. What is there and whole is left alone.

    Raises: ConfigError for an unknown name; TokenizerError where it cannot be had or kept, with what to do instead.
    """
    if name not in PUBLISHED:
        from gptrilogy.config import suggest

        raise ConfigError(f"no vocabulary is published as {name!r:.60}; {suggest(name, PUBLISHED)}")
    folder = cache_folder(name)
    if _is_whole(folder, name):
        note(f"{name} is already here, and whole: nothing to fetch")
        return folder
    try:
        contents = {
            file.name: _read_checked(source / file.name, file) if source else _download(file, note)
            for file in PUBLISHED[name]
        }
    except TokenizerError as error:
        raise TokenizerError(f"{error}; {_remedy(name)}") from None
    try:
        with replacing_folder(folder) as temporary:
            for file_name, content in contents.items():
                (temporary / file_name).write_bytes(content)
    except OSError as error:
        if not _is_whole(folder, name):  # else another process has just brought it
            raise TokenizerError(
                f"cannot keep the vocabulary in {folder}: {error.strerror}; "
                "set GPTRILOGY_CACHE to a folder that can be written"
            ) from None
    return folder


def cache_folder(name: str) -> Path:
    """Where a vocabulary is kept: below $GPTRILOGY_CACHE, else $XDG_CACHE_HOME/gptrilogy, else ~/.cache/gptrilogy.

    Raises: TokenizerError where neither is set and the user has no home.
    """
    if own := os.environ.get("GPTRILOGY_CACHE"):
        return Path(own, "tokenizers", name)
    shared = user_cache()
    if shared is None:
        raise TokenizerError(
            "this user has no home folder to keep files in; set GPTRILOGY_CACHE to a folder that can be written"
        )
    return shared / "gptrilogy" / "tokenizers" / name


def _is_whole(folder: Path, name: str) -> bool:
    with suppress(TokenizerError):
        return all(_read_checked(folder / file.name, file) for file in PUBLISHED[name])
    return False


def _remedy(name: str) -> str:
    names = " and ".join(file.name for file in PUBLISHED[name])
    place = PUBLISHED[name][0].url.rpartition("/")[0]
    return f"`gpt tokenizer fetch {name} --from FOLDER` takes {names} without a network, copied from {place}"


def _read_checked(path: Path, file: PublishedFile) -> bytes:
    return _checked(read_bytes(path, max_bytes=file.size_bytes), file, str(path))


def _checked(content: bytes, file: PublishedFile, where: str) -> bytes:
    """Raises: TokenizerError for content that is not the published file's."""
    if len(content) != file.size_bytes:
        raise TokenizerError(f"{where} has {len(content):,} bytes, the published file has {file.size_bytes:,}")
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise TokenizerError(f"{where} is not the published file: its SHA-256 is {found}, it must be {file.sha256}")
    return content


def _download(file: PublishedFile, note: Note) -> bytes:
    """A file from the network, tried again where that may help.

    Raises: TokenizerError naming the address and what came last.
    """
    pauses_s = iter(PAUSES_S)
    while True:
        note(f"fetching {file.url} ({file.size_bytes / 1e6:.2f} MB)")
        try:
            return _checked(_body(file), file, file.url)
        except OSError as error:
            reason = getattr(error, "reason", error)
            pause_s = next(pauses_s, None)
            if pause_s is None:
                raise TokenizerError(f"cannot fetch {file.url}: {reason}") from None
        note(f"{reason}; trying again in {pause_s:g} s")
        time.sleep(pause_s)


def _body(file: PublishedFile) -> bytes:
    """What the server sends, and no more than one chunk beyond what it should.

    Raises: OSError where another try may help; TokenizerError where the server says no or sends too much.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    deadline = time.monotonic() + TOTAL_S
    content = bytearray()
    try:
        with urlopen(file.url, timeout=TIMEOUT_S) as response:  # noqa: S310 - one of the addresses above
            while len(content) <= file.size_bytes and (chunk := response.read1(CHUNK_BYTES)):
                content += chunk
                if time.monotonic() > deadline:
                    raise TimeoutError(f"only {len(content):,} bytes came in {TOTAL_S:g} s")
    except HTTPError as error:
        error.close()
        if error.code >= 500 or error.code == 429:
            raise ConnectionError(f"the server answers {error.code}") from None
        raise TokenizerError(f"cannot fetch {file.url}: the server answers {error.code}") from None
    except HTTPException as error:
        raise ConnectionError(f"the answer is not HTTP ({error!r:.100})") from None
    if len(content) > file.size_bytes:
        raise TokenizerError(f"{file.url} sends more than the {file.size_bytes:,} bytes of the published file")
    if len(content) < file.size_bytes:
        raise ConnectionError(f"the connection ended after {len(content):,} bytes")
    return bytes(content)
