"""`gpt tokenizer train|fetch|encode|decode`."""

import json
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import Parameter

from gptrilogy.cli.options import Flag

if TYPE_CHECKING:  # tokenizers are imported when a verb begins to work: they would take a tenth of `gpt --help`
    from gptrilogy.tokenizers.base import Tokenizer


def train(
    *sources: str,
    vocab_size: int,
    out: Path,
    kind: Literal["byte_bpe", "gpt1"] = "byte_bpe",
    text_field: str = "text",
    force: Flag = False,
) -> None:
    """Train a tokenizer on text: GPT-2's kind, or GPT-1's.

        gpt tokenizer train novels/ --vocab-size 8000 --out tokenizers/novels
        zcat dump.txt.gz | gpt tokenizer train - --vocab-size 8000 --out tokens/

    Parameters
    ----------
    sources
        Text files, JSON lines (both also as .gz, .bz2, .xz, .zst), Parquet, folders of these, - for standard input;
        built corpora.
    vocab_size
        Tokens in all: 256 bytes, the merges, and <|endoftext|>; for gpt1, <unk>, each character in two forms, the
        merges, and the line break.
    out
        The folder to write tokenizer.json into.
    kind
        byte_bpe writes every text and gives it back unchanged. gpt1 is GPT-1's: words of ftfy and spaCy in lower case
        (needs the extra gpt1).
    text_field
        The field of a JSON line, or the column of Parquet, that holds the text.
    force
        Replace the tokenizer that --out already holds.

    """
    from gptrilogy.cli.output import print_note, print_text
    from gptrilogy.corpus.spooling import held
    from gptrilogy.data.built_corpus import stream_texts
    from gptrilogy.errors import ConfigError, RunError
    from gptrilogy.files import check_writable
    from gptrilogy.runs import Run
    from gptrilogy.tokenizers import save_tokenizer, train_byte_bpe, train_gpt1_bpe
    from gptrilogy.tokenizers.pieces import streamed
    from gptrilogy.training.progress import ConsoleReporter

    if not sources:
        raise ConfigError("name at least one source of text, for example: gpt tokenizer train novels/ ...")
    if (out / "tokenizer.json").exists() and not force:
        raise RunError(f"{out} already holds a tokenizer: --force replaces it, another --out leaves it alone")
    Run(out).must_hold_none()
    check_writable(out)
    with held(sources) as held_sources:
        documents = stream_texts(
            held_sources, text_field=text_field, on_skip=lambda path, why: print_note(f"skipped {path}: {why}")
        )
        if kind == "byte_bpe":
            pieces = chain.from_iterable(streamed(document.parts()) for document in documents)
            trained = train_byte_bpe(pieces, vocab_size, on_progress=ConsoleReporter().passing)
        else:
            trained = train_gpt1_bpe(("".join(document.parts()) for document in documents), vocab_size)
    if trained.n_vocab < vocab_size:
        print_note(f"the text has no more than {trained.n_vocab:,} tokens to learn: the vocabulary is capped there")
    save_tokenizer(trained, out)
    print_text(_described(out, trained))


def fetch(name: str, /, *, source: Annotated[Path | None, Parameter(name="--from")] = None) -> None:
    """Get a vocabulary that OpenAI published. Afterwards its name stands for it
    wherever a tokenizer is asked for.

        gpt tokenizer fetch gpt2
        echo "Hello world" | gpt tokenizer encode gpt2

    GPT-3 has the vocabulary of GPT-2. Each file must have the published SHA-256,
    or it is not kept. They are kept below $GPTRILOGY_CACHE, by default in
    ~/.cache/gptrilogy.

    Parameters
    ----------
    name
        gpt2 (50,257 tokens) or gpt1 (40,478 tokens).
    source
        A folder to take the files from instead of the network: encoder.json and vocab.bpe for gpt2,
        encoder_bpe_40000.json and vocab_40000.bpe for gpt1.

    """
    from gptrilogy.cli.output import print_note, print_text
    from gptrilogy.tokenizers import published

    folder = published.fetch(name, source=source, note=print_note)
    print_text(_described(folder, published.load_published(name)))


def encode(tokenizer: Path, /, *, allow_special: list[str] | None = None) -> None:
    """Read lines of text on stdin, print one JSON list of token ids for each, its
    newline excluded.

        gpt tokenizer encode tokenizers/novels < novel.txt

    Parameters
    ----------
    tokenizer
        A name (gpt2, gpt1, bytes), a folder or file with a tokenizer, or a run or checkpoint folder.
    allow_special
        A special token that may occur in the text, as --allow-special '<|endoftext|>'; can be given again for others.
        Without it the text <|endoftext|> is encoded as its thirteen characters, so no text can end itself.

    """
    from gptrilogy.cli.output import print_json
    from gptrilogy.errors import DataError
    from gptrilogy.tokenizers import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number} of the input is not UTF-8 at byte {error.start}; convert it first"
            ) from None
        print_json(loaded.encode(text, allowed_special=allow_special or ()))


def decode(tokenizer: Path, /) -> None:
    """Read JSON lists of token ids on stdin, one a line, print the text of each.

        gpt tokenizer encode tokenizers/novels < novel.txt | gpt tokenizer decode tokenizers/novels

    Parameters
    ----------
    tokenizer
        A name (gpt2, gpt1, bytes), a folder or file with a tokenizer, or a run or checkpoint folder.

    """
    from gptrilogy.cli.output import print_text
    from gptrilogy.errors import DataError
    from gptrilogy.tokenizers import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    for number, line in enumerate(sys.stdin, start=1):
        ids = _token_ids(line)
        if ids is None:
            raise DataError(f"line {number} of the input is not a JSON list of token ids: {line.strip()[:40]!r}")
        print_text(loaded.decode(ids))


def _token_ids(line: str) -> list[int] | None:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    return [item for item in items if type(item) is int] if all(type(item) is int for item in items) else None


def _described(place: Path, tokenizer: "Tokenizer") -> str:
    return f"{place}: {tokenizer.name}, {tokenizer.n_vocab:,} tokens, fingerprint {tokenizer.fingerprint[:16]}"
