"""From the sources a config names to a run folder with its tokenizer and packed shards."""

from collections.abc import Callable, Iterator
from pathlib import Path

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.sources import read_documents
from gptrilogy.data.index import INDEX
from gptrilogy.data.shards import PackedData, link_shards, open_shards, pack
from gptrilogy.data.split import Split, plan_split
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.runs import Run
from gptrilogy.tokenizers import Tokenizer, load_tokenizer, save_tokenizer, train_byte_bpe
from gptrilogy.training.config import DataConfig, RunConfig

Note = Callable[[str], None]
TOKENIZER_FILE = "tokenizer.json"


def survey(data: DataConfig, seed: int, note: Note) -> Split | None:
    """Read all the text once: how much there is, and which of it is held out. None for a packed shard folder.

    Raises: DataError naming the file where text is missing or unreadable.
    """
    if packed_source(data):
        return None

    def on_skip(path: Path, reason: str) -> None:
        note(f"skipped {path}: {reason}")

    valid = read_documents(data.valid, text_field=data.text_field, on_skip=on_skip) if data.valid else None
    documents = read_documents(data.sources, text_field=data.text_field, on_skip=on_skip)
    split = plan_split(documents, fraction=data.valid_fraction, seed=seed, valid=valid)
    if not split.text_bytes:
        raise DataError(f"there is no text in {', '.join(data.sources)}; give files with some")
    return split


def prepare(
    config: RunConfig, split: Split | None, run: Run, note: Note, progress: Note
) -> tuple[Tokenizer, PackedData]:
    """Give the run its tokenizer and its shards, or go on where an interrupted call stopped.

    `note` is told what is done, `progress` how far it is.

    Raises: DataError; TokenizerError; RunError where the folder cannot be written.
    """
    if split is None:
        return _take_over(Path(config.data.sources[0]), config, run)
    tokenizer = _tokenizer(config, split, run, note)
    if not (run.data_folder / INDEX).exists():
        note(f"packing {split.documents:,} documents, {split.text_bytes / 1e6:,.1f} MB, into {run.data_folder}")

    def on_progress(documents: int, text_bytes: int) -> None:
        progress(f"packed {text_bytes / split.text_bytes:.0%}: {documents:,} of {split.documents:,} documents")

    valid = _documents(config.data, config.data.valid)
    pack(_documents(config.data), tokenizer, run.data_folder, split=split, valid=valid, on_progress=on_progress)
    return tokenizer, open_shards(run.data_folder, fingerprint=tokenizer.fingerprint)


def packed_source(data: DataConfig) -> Path | None:
    """The packed shard folder that is the one source, if it is one.

    Raises: ConfigError where shards and other sources are mixed.
    """
    packed = [source for source in data.sources if (Path(source) / INDEX).is_file()]
    if packed and (len(data.sources) > 1 or data.valid):
        raise ConfigError(f"{packed[0]} is a packed shard folder, which must be the only source, without --valid")
    return Path(packed[0]) if packed else None


def _take_over(source: Path, config: RunConfig, run: Run) -> tuple[Tokenizer, PackedData]:
    """Link another run's shards into this one, with the tokenizer that made them: the one beside them, if not named."""
    beside = config.tokenizer == "byte_bpe"
    tokenizer = load_tokenizer(source.parent / "tokenizer" if beside else config.tokenizer)
    open_shards(source, fingerprint=tokenizer.fingerprint)
    save_tokenizer(tokenizer, run.tokenizer_folder)
    link_shards(source, run.data_folder)
    return tokenizer, open_shards(run.data_folder, fingerprint=tokenizer.fingerprint)


def _tokenizer(config: RunConfig, split: Split, run: Run, note: Note) -> Tokenizer:
    """The tokenizer the run already has, or the one its config asks for, saved with the run."""
    if (run.tokenizer_folder / TOKENIZER_FILE).exists():
        return load_tokenizer(run.tokenizer_folder)
    if config.tokenizer == "byte_bpe":
        wanted = config.model.n_vocab
        note(f"training a tokenizer of {wanted:,} tokens on the training text")
        texts = (split.divide(document)[0] for document in _documents(config.data))
        tokenizer = train_byte_bpe((text for text in texts if text), wanted)
        if tokenizer.n_vocab < wanted:
            note(f"the text has no more than {tokenizer.n_vocab:,} tokens to learn: the vocabulary is capped there")
    else:
        tokenizer = load_tokenizer(config.tokenizer)
    save_tokenizer(tokenizer, run.tokenizer_folder)
    return tokenizer


def _documents(data: DataConfig, sources: tuple[str, ...] | None = None) -> Iterator[Document]:
    return read_documents(data.sources if sources is None else sources, text_field=data.text_field)
