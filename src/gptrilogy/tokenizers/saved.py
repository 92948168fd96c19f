"""A tokenizer as one JSON file that cannot be mistaken for another, nor for its own damaged copy."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from gptrilogy.errors import TokenizerError
from gptrilogy.files import write_json
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.bytes import BytesTokenizer

FILE_NAME = "tokenizer.json"
FORMAT = "gptrilogy.tokenizer"
VERSION = 1

KINDS: dict[str, Callable[[Mapping[str, Any]], Tokenizer]] = {
    "byte_bpe": ByteLevelBPE.from_definition,
    "bytes": BytesTokenizer.from_definition,
}


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> Path:
    """Write `folder/tokenizer.json`, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    header = {"format": FORMAT, "version": VERSION}
    write_json(path, {**header, **tokenizer.definition(), "sha256": tokenizer.fingerprint})
    return path


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file, or of a folder that holds `tokenizer.json`.

    Raises: TokenizerError naming the file if it is missing, damaged, foreign, or of a newer version.
    """
    text, path = _read(path)
    try:
        return _restored(json.loads(text, object_pairs_hook=_without_duplicates))
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:  # not JSON, nested too deeply, or a number of too many digits
        raise TokenizerError(f"{path} is not a JSON file that can be read: {error}") from None


def _read(path: Path) -> tuple[bytes, Path]:
    try:
        file = path / FILE_NAME if path.is_dir() else path
        return file.read_bytes(), file
    except FileNotFoundError:
        raise TokenizerError(
            f"no tokenizer at {path}: looked for that file, or for {FILE_NAME} in that folder; "
            "`gpt tokenizer train SOURCE... --vocab-size 8000 --out DIR` makes one"
        ) from None
    except (OSError, ValueError) as error:
        raise TokenizerError(f"cannot read the tokenizer {str(path)!r}: {error}") from None


def _restored(document: object) -> Tokenizer:
    if not isinstance(document, dict):
        raise TokenizerError(f"a saved tokenizer is a JSON object, got {type(document).__name__}")
    fields = dict(cast("dict[str, Any]", document))
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


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python keeps the last of equal keys in silence; which one was meant is not ours to guess."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise TokenizerError("a field is given twice")
    return fields
