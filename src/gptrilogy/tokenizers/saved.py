"""A tokenizer as one JSON file that cannot be mistaken for another, nor for its own damaged copy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gptrilogy.errors import TokenizerError
from gptrilogy.files import make_folder, write_json
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.bytes import BytesTokenizer
from gptrilogy.tokenizers.foreign import FILE_NAME, read_foreign
from gptrilogy.tokenizers.gpt1 import GPT1BPE
from gptrilogy.tokenizers.huggingface import from_huggingface
from gptrilogy.tokenizers.published import PUBLISHED, load_published
from gptrilogy.tokenizers.untrusted import naming, read_object

FORMAT = "gptrilogy.tokenizer"
VERSION = 1

KINDS: dict[str, Callable[[Mapping[str, Any]], Tokenizer]] = {
    "byte_bpe": ByteLevelBPE.from_definition,
    "bytes": BytesTokenizer.from_definition,
    "gpt1_bpe": GPT1BPE.from_definition,
}


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> Path:
    """Write `folder/tokenizer.json`, whole or not at all, and return its path."""
    make_folder(folder)
    path = folder / FILE_NAME
    header = {"format": FORMAT, "version": VERSION}
    write_json(path, {**header, **tokenizer.definition(), "sha256": tokenizer.fingerprint})
    return path


def load_tokenizer(path: Path | str) -> Tokenizer:
    """The tokenizer of a file, of a folder, of a run's or checkpoint's `tokenizer/`, or of a name where no path is.

    Files are `tokenizer.json`, ours or Hugging Face's, and what `foreign` lists; names are bytes, gpt1 and gpt2.

    Raises: TokenizerError naming the file if it is missing, damaged, foreign, or of a newer version.
    """
    path = Path(path)
    try:
        for place in (path, path / "tokenizer"):
            if (found := _at(place)) is not None:
                return found
        is_there = path.exists()
    except OSError as error:
        raise TokenizerError(f"cannot read the tokenizer {str(path)!r}: {error}") from None
    if is_there:
        raise TokenizerError(_not_found(path))
    return _named(path)


def _at(place: Path) -> Tokenizer | None:
    file = place / FILE_NAME
    if file.is_file():
        return _read(file)
    found = read_foreign(place)
    return _read(place) if found is None and place.is_file() else found


def _named(path: Path) -> Tokenizer:
    name = str(path)
    if name == BytesTokenizer.name:
        return BytesTokenizer()
    if name in PUBLISHED:
        return load_published(name)
    from gptrilogy.config import suggest

    raise TokenizerError(_not_found(path, f", for a name ({suggest(name, [BytesTokenizer.name, *PUBLISHED])})"))


def _not_found(path: Path, also: str = "") -> str:
    return (
        f"no tokenizer at {path}: looked for a file, for a folder with {FILE_NAME} or published files{also}; "
        "`gpt tokenizer fetch gpt2` brings GPT-2's, "
        "`gpt tokenizer train SOURCE... --vocab-size 8000 --out DIR` makes one"
    )


def _read(path: Path) -> Tokenizer:
    document = read_object(path)
    if "format" not in document and "model" in document:
        return from_huggingface(document, path)
    with naming(path):
        return _restored(document)


def _restored(fields: dict[str, Any]) -> Tokenizer:
    _check_header(fields.pop("format", None), fields.pop("version", None))
    fingerprint = fields.pop("sha256", None)
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise TokenizerError(f"unknown kind of tokenizer {kind!r:.60}; known: {', '.join(KINDS)}")
    tokenizer = KINDS[kind](fields)
    if tokenizer.fingerprint != fingerprint:
        raise TokenizerError(
            f"the content has SHA-256 {tokenizer.fingerprint}, the file says {fingerprint!r:.80}: "
            "it was damaged or edited; take the original again"
        )
    return tokenizer


def _check_header(form: object, version: object) -> None:
    if form != FORMAT:
        raise TokenizerError(f"not a tokenizer saved by gptrilogy: 'format' must be {FORMAT!r}, got {form!r:.60}")
    if type(version) is not int or version < 1:  # bool is an int too, and true is no version
        raise TokenizerError(f"'version' must be a whole number from 1, got {version!r:.60}")
    if version > VERSION:
        raise TokenizerError(
            f"saved in version {version} of the format, this program reads {VERSION}: upgrade gptrilogy"
        )
