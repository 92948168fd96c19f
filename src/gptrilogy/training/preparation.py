"""From the sources a config names to a run folder with its tokenizer and packed shards."""

from collections.abc import Iterator, Mapping
from itertools import chain, takewhile
from pathlib import Path
from typing import TypeAlias

from gptrilogy.corpus.sources import OnSkip, stream_documents
from gptrilogy.corpus.spooling import called, is_passing, spool, spooled
from gptrilogy.data.index import INDEX, SETS, WeightedSet, read_sets, write_sets
from gptrilogy.data.shards import PackedData, link_shards, open_shards, pack
from gptrilogy.data.split import Split, plan_split
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.runs import Run
from gptrilogy.tokenizers import Tokenizer, load_tokenizer, save_tokenizer, train_byte_bpe
from gptrilogy.tokenizers.bpe_training import check_size
from gptrilogy.tokenizers.pieces import streamed
from gptrilogy.training.config import DataConfig, RunConfig
from gptrilogy.training.source_files import note_sources
from gptrilogy.training.text_sets import Note, TextSet, reweighted, text_sets

TOKENIZER_FILE = "tokenizer.json"
FORMAT_NAMES = {".txt": "text, one document", ".jsonl": "JSON lines, a document each", ".parquet": "Parquet"}
Splits: TypeAlias = Mapping[str, Split]  # of the sets of a mixture, in their order


def take_in(data: DataConfig, run: Run, note: Note, progress: Note) -> None:
    """Read into the run folder what can be read only once, standard input and pipes; where that fails, leave no run.

    Raises: DataError, RunError as `spool`.
    """

    def on_read(n_bytes: int) -> None:
        progress(f"read {n_bytes / 1e6:,.1f} MB")

    try:
        taken = spool((*data.sources, *data.valid), run.spool_folder, on_read)
    except BaseException:
        run.config_path.unlink(missing_ok=True)  # so that the same command can be given again
        raise
    for source, path in taken.items():
        note(f"read {path.stat().st_size / 1e6:,.1f} MB from {called(source)}: {FORMAT_NAMES[path.suffix]}")


def readable(data: DataConfig, run: Run) -> DataConfig:
    """The same, with what `take_in` has read by the names of its files."""
    read = {
        name: spooled(names, run.spool_folder) for name, names in (("sources", data.sources), ("valid", data.valid))
    }
    return data.model_copy(update=read)


def check_vocabulary(config: RunConfig) -> None:
    """Raises: ConfigError where a tokenizer is to be trained of a size that it cannot have."""
    if config.tokenizer == "byte_bpe" and not packed_source(config.data):
        check_size(config.model.n_vocab)


def survey(data: DataConfig, seed: int, note: Note) -> Split | None:
    """Read all of one text once: how much there is, and which of it is held out. None for a packed shard folder.

    Raises: DataError naming the file where text is missing or unreadable; ConfigError where it is a mixture.
    """
    surveyed = survey_sets(data, seed, note)
    if isinstance(surveyed, Mapping):
        raise ConfigError(f"{', '.join(data.sources)} is a mixture of {', '.join(surveyed)}, where one text is needed")
    return surveyed


def survey_sets(data: DataConfig, seed: int, note: Note) -> Split | Splits | None:
    """As `survey`, and for a mixture the same of every set.

    Raises: DataError naming the file, or the set, where text is missing or unreadable; ConfigError.
    """
    if packed_source(data):
        return None

    def on_skip(path: Path, reason: str) -> None:
        note(f"skipped {path}: {reason}")

    sets = text_sets(data, note)
    splits = {one.name: _split(one, data, seed, on_skip) for one in sets}
    return splits if len(sets) > 1 else splits[sets[0].name]


def _split(one: TextSet, data: DataConfig, seed: int, on_skip: OnSkip) -> Split:
    valid = stream_documents(data.valid, text_field=data.text_field, on_skip=on_skip) if data.valid else None
    split = plan_split(one.read(on_skip), fraction=data.valid_fraction, seed=seed, valid=valid)
    if not split.text_bytes:
        what = f"in the set {one.name}" if one.name else f"in {', '.join(data.sources)}"
        remedy = ", or leave it out with a weight of 0" if one.name else ""
        raise DataError(f"there is no text {what}; give files with some{remedy}")
    return split


def prepare(
    config: RunConfig, split: Split | Splits | None, run: Run, note: Note, progress: Note
) -> tuple[Tokenizer, PackedData]:
    """Give the run its tokenizer and its shards, or go on where an interrupted call stopped.

    `note` is told what is done, `progress` how far it is.

    Raises: DataError; TokenizerError; RunError where the folder cannot be written.
    """
    if split is None:
        return _take_over(Path(config.data.sources[0]), config, run, note)
    sources = (*config.data.sources, *config.data.valid)
    note_sources(run.data_folder, [source for source in sources if not is_passing(source)])
    data = readable(config.data, run)
    sets = text_sets(data, _say_nothing)
    splits = [split] if isinstance(split, Split) else [split[one.name] for one in sets]
    parts = list(zip(sets, splits, strict=True))
    tokenizer = _tokenizer(config, parts, run, note, progress)
    documents, text_bytes = sum(one.documents for one in splits), sum(one.text_bytes for one in splits)
    if not (run.data_folder / INDEX).exists():
        note(f"packing {documents:,} documents, {text_bytes / 1e6:,.1f} MB, into {run.data_folder}")
    before_documents, before_bytes = 0, 0

    def on_progress(n_documents: int, n_bytes: int) -> None:
        done = f"{before_documents + n_documents:,} of {documents:,} documents"
        progress(f"packed {(before_bytes + n_bytes) / text_bytes:.0%}: {done}")

    for one, its in parts:
        folder = run.data_folder / SETS / one.name if len(parts) > 1 else run.data_folder
        valid = stream_documents(data.valid, text_field=data.text_field)
        pack(one.read(None), tokenizer, folder, split=its, valid=valid, on_progress=on_progress)
        before_documents, before_bytes = before_documents + its.documents, before_bytes + its.text_bytes
    if len(parts) > 1:
        write_sets(run.data_folder, [WeightedSet(name=one.name, weight=one.weight) for one in sets if one.weight])
    return tokenizer, open_shards(run.data_folder, fingerprint=tokenizer.fingerprint)


def packed_source(data: DataConfig) -> Path | None:
    """The packed shard folder that is the one source, if it is one.

    Raises: ConfigError where shards and other sources are mixed.
    """
    packed = [source for source in data.sources if (Path(source) / INDEX).is_file()]
    if packed and (len(data.sources) > 1 or data.valid):
        raise ConfigError(f"{packed[0]} is a packed shard folder, which must be the only source, without --valid")
    return Path(packed[0]) if packed else None


def _take_over(source: Path, config: RunConfig, run: Run, note: Note) -> tuple[Tokenizer, PackedData]:
    """Link another run's shards into this one, with the tokenizer that made them: the one beside them, if not named.

    A mixture is taken over by the weights that are asked for, with which nothing need be packed again.
    """
    beside = config.tokenizer == "byte_bpe"
    tokenizer = load_tokenizer(source.parent / "tokenizer" if beside else config.tokenizer)
    open_shards(source, fingerprint=tokenizer.fingerprint)
    sets = reweighted(read_sets(source), config.data.weights, note)
    save_tokenizer(tokenizer, run.tokenizer_folder)
    link_shards(source, run.data_folder, sets=sets)
    return tokenizer, open_shards(run.data_folder, fingerprint=tokenizer.fingerprint)


def _tokenizer(
    config: RunConfig, parts: list[tuple[TextSet, Split]], run: Run, note: Note, progress: Note
) -> Tokenizer:
    """The tokenizer the run already has, or the one its config asks for, saved with the run."""
    if (run.tokenizer_folder / TOKENIZER_FILE).exists():
        return load_tokenizer(run.tokenizer_folder)
    if config.tokenizer == "byte_bpe":
        wanted = config.model.n_vocab
        note(f"training a tokenizer of {wanted:,} tokens on the training text")
        texts = chain.from_iterable(_training_texts(*part) for part in parts)
        tokenizer = train_byte_bpe(texts, wanted, on_progress=progress)
        if tokenizer.n_vocab < wanted:
            note(f"the text has no more than {tokenizer.n_vocab:,} tokens to learn: the vocabulary is capped there")
    else:
        tokenizer = load_tokenizer(config.tokenizer)
    save_tokenizer(tokenizer, run.tokenizer_folder)
    return tokenizer


def _training_texts(one: TextSet, split: Split) -> Iterator[str]:
    """The text of each document that is for training; of a long one in pieces from which the same is learned."""
    for chunks in split.divided(one.read(None)):
        yield from streamed(text for _, text in takewhile(lambda chunk: chunk.part == "train", chunks))


def _say_nothing(message: str) -> None:
    del message
