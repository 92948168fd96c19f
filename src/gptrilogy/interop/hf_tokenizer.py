"""A tokenizer as `transformers` and its relatives read it: tokenizer.json, and vocab.json with merges.txt beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer as Engine
from tokenizers import decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from gptrilogy.errors import FormatError
from gptrilogy.files import write_atomic, write_json
from gptrilogy.tokenizers.base import END_OF_TEXT, Tokenizer
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.bytes import BytesTokenizer
from gptrilogy.tokenizers.gpt1 import GPT1BPE
from gptrilogy.tokenizers.symbols import Pair, to_symbols, vocabulary

UNKNOWN = "<unk>"
GPT1_NOTE = (
    "transformers reads this vocabulary with BERT's word rules, not with GPT-1's ftfy and spaCy: texts with accents, "
    "contractions or runs of punctuation get other ids there than here"
)


@dataclass(frozen=True, slots=True)
class Export:
    """What the files say: symbols with their ids, merges, the class that reads them, and what it does otherwise."""

    vocab: dict[str, int]
    merges: Sequence[Pair]
    reader: str
    notes: tuple[str, ...] = ()


def write_hf_tokenizer(folder: Path, tokenizer: Tokenizer, *, n_ctx: int) -> list[str]:
    """Write a tokenizer's files into a folder; -> what will be different there.

    Raises: FormatError for a tokenizer that is no byte-pair encoding; OSError from the disk.
    """
    export = export_of(tokenizer)
    write_json(folder / "vocab.json", export.vocab)
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in export.merges)]
    write_atomic(folder / "merges.txt", ("\n".join(lines) + "\n").encode())
    write_atomic(folder / "tokenizer.json", _engine(export, tokenizer).to_str(pretty=True).encode())
    end = {} if tokenizer.eot_id is None else dict.fromkeys(("bos_token", "eos_token"), END_OF_TEXT)
    unknown = END_OF_TEXT if tokenizer.eot_id is not None else UNKNOWN
    settings = {"tokenizer_class": export.reader, "model_max_length": n_ctx, "unk_token": unknown, **end}
    write_json(folder / "tokenizer_config.json", settings)
    return list(export.notes)


def export_of(tokenizer: Tokenizer) -> Export:
    """A tokenizer in the terms of byte-pair encoding, in which plain bytes are one without merges.

    Raises: FormatError for any other kind.
    """
    match tokenizer:
        case ByteLevelBPE():
            vocab = vocabulary(tokenizer.merges) | {END_OF_TEXT: tokenizer.eot_id}
            return Export(vocab, tokenizer.merges, "GPT2Tokenizer")
        case BytesTokenizer():
            vocab = {to_symbols(bytes([byte])): byte for byte in range(256)} | {END_OF_TEXT: tokenizer.eot_id}
            return Export(vocab, (), "GPT2Tokenizer")
        case GPT1BPE():
            return Export(dict(tokenizer.vocabulary), tokenizer.merges, "OpenAIGPTTokenizer", (GPT1_NOTE,))
        case _:
            raise FormatError(f"the tokenizer {tokenizer.name} is no byte-pair encoding; other programs cannot read it")


def _engine(export: Export, tokenizer: Tokenizer) -> Engine:
    if export.reader == "OpenAIGPTTokenizer":
        engine = Engine(BPE(export.vocab, list(export.merges), unk_token=UNKNOWN, end_of_word_suffix="</w>"))
        engine.normalizer = normalizers.BertNormalizer(lowercase=True)
        engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        engine.decoder = decoders.BPEDecoder(suffix="</w>")
    else:
        engine = Engine(BPE(export.vocab, list(export.merges)))
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens(list(tokenizer.special_tokens))
    return engine
