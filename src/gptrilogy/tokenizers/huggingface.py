"""Hugging Face's tokenizer.json, read where it says exactly what GPT-2's or GPT-1's tokenizer does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.base import END_OF_TEXT, Tokenizer
from gptrilogy.tokenizers.foreign import byte_level, ids_of, pairs_of
from gptrilogy.tokenizers.gpt1 import GPT1BPE
from gptrilogy.tokenizers.gpt1_symbols import UNKNOWN, WORD_END
from gptrilogy.tokenizers.untrusted import naming, read_object

Rules: TypeAlias = Mapping[str, tuple[object, ...]]  # a field, and the values that it may have; None is also: not given

SETTINGS = "tokenizer_config.json"
NEVER = (False, None)

BOTH: Rules = {
    "version": ("1.0", None),
    "model.type": ("BPE", None),
    "model.dropout": (None,),
    "model.continuing_subword_prefix": ("", None),
    "model.fuse_unk": NEVER,
    "model.byte_fallback": NEVER,
    "model.ignore_merges": NEVER,
    "post_processor.type": ("ByteLevel", "TemplateProcessing", None),
    "post_processor.special_tokens": ({}, None),
    "post_processor.single": ([{"Sequence": {"id": "A", "type_id": 0}}], None),  # a text is itself, nothing added
}
BYTE_LEVEL: Rules = BOTH | {
    "model.unk_token": (None,),
    "model.end_of_word_suffix": ("", None),
    "normalizer": (None,),
    "pre_tokenizer.type": ("ByteLevel",),
    "pre_tokenizer.add_prefix_space": (False,),
    "pre_tokenizer.use_regex": (True, None),
    "decoder.type": ("ByteLevel",),
}
# The word rules that `transformers` has for GPT-1 are BERT's. The vocabulary was made with GPT-1's own, as here.
GPT1: Rules = BOTH | {
    "model.unk_token": (UNKNOWN,),
    "model.end_of_word_suffix": (WORD_END,),
    "normalizer.type": ("BertNormalizer",),
    "normalizer.lowercase": (True,),
    "normalizer.strip_accents": (None,),
    "normalizer.clean_text": (True,),
    "normalizer.handle_chinese_chars": (True,),
    "pre_tokenizer.type": ("BertPreTokenizer",),
    "decoder.type": ("BPEDecoder",),
    "decoder.suffix": (WORD_END,),
}
# What needs no rule: it does nothing to the ids, as the way a caller cuts and pads, or is read by itself.
FREE = {
    "": {"truncation", "padding", "added_tokens"},
    "model": {"vocab", "merges"},
    "normalizer": set[str](),
    "pre_tokenizer": {"trim_offsets"},
    "post_processor": {"add_prefix_space", "trim_offsets", "use_regex", "pair"},
    "decoder": {"add_prefix_space", "trim_offsets", "use_regex"},
}
ADDED: Rules = {"special": (True,), "single_word": NEVER, "lstrip": NEVER, "rstrip": NEVER}
BESIDE: Rules = {"add_prefix_space": NEVER, "add_bos_token": NEVER, "add_eos_token": NEVER}


def from_huggingface(document: Mapping[str, Any], path: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json, and of the tokenizer_config.json beside it if there is one.

    Raises: TokenizerError naming the first field whose value would give other ids here.
    """
    with naming(path):
        tokenizer = _tokenizer(document)
    settings = path.with_name(SETTINGS)
    if settings.is_file():
        with naming(settings):
            _check(read_object(settings), BESIDE)
    return tokenizer


def _tokenizer(document: Mapping[str, Any]) -> Tokenizer:
    model = _section(document, "model")
    is_gpt1 = model.get("end_of_word_suffix") == WORD_END
    rules = GPT1 if is_gpt1 else BYTE_LEVEL
    _check(document, rules)
    _check_known(document, rules)
    vocab, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocab, dict) or not isinstance(merges, list):
        raise TokenizerError("model.vocab must be an object and model.merges a list")
    encoder = ids_of(cast("dict[str, Any]", vocab))
    added = _added(document.get("added_tokens"), encoder)
    pairs = pairs_of(cast("list[object]", merges))
    if is_gpt1:
        return _gpt1({token: token_id for token, token_id in encoder.items() if token not in added}, pairs, added)
    if set(added) != {END_OF_TEXT}:
        others = sorted(set(added) - {END_OF_TEXT})
        found = f"{others[0]!r:.60} with id {added[others[0]]}" if others else "none"
        raise TokenizerError(
            f"added_tokens must hold {END_OF_TEXT} and nothing else, got {found}; there is no other here"
        )
    return byte_level(encoder | added, pairs)


def _gpt1(encoder: dict[str, int], merges: list[tuple[str, str]], special: dict[str, int]) -> Tokenizer:
    tokenizer = GPT1BPE.from_pair(encoder, merges).with_special(sorted(special, key=lambda name: special[name]))
    if tokenizer.special_tokens != special:
        raise TokenizerError(
            f"added_tokens must follow the vocabulary as {dict(tokenizer.special_tokens)!r:.100}, got {special!r:.100}"
        )
    return tokenizer


def _added(listed: object, encoder: Mapping[str, int]) -> dict[str, int]:
    """Special tokens with their ids, in which a vocabulary that lists them too must agree; `<unk>` is none."""
    if not isinstance(listed, list):
        raise TokenizerError(f"added_tokens must be a list, got {type(listed).__name__}")
    added: dict[str, int] = {}
    for token in cast("list[object]", listed):
        fields: Mapping[str, Any] = cast("dict[str, Any]", token) if isinstance(token, dict) else {}
        match fields:
            case {"id": int(token_id), "content": str(name)}:
                pass
            case _:
                raise TokenizerError(f"an added token is an object with a content and an id, got {token!r:.80}")
        _check(fields, ADDED, where=f"added token {name!r:.60}: ")
        ids_of({name: token_id})
        if encoder.get(name, token_id) != token_id or name in added:
            raise TokenizerError(
                f"the token {name!r:.60} has two ids, {token_id} and {encoder.get(name, added.get(name))}"
            )
        added[name] = token_id
    if added.get(UNKNOWN) == 0:
        del added[UNKNOWN]
    return added


def _check(document: Mapping[str, Any], rules: Rules, where: str = "") -> None:
    for field, allowed in rules.items():
        section, _, name = field.rpartition(".")
        value = (_section(document, section) if section else document).get(name)
        if value not in allowed:
            raise TokenizerError(
                f"{where}{field} must be {allowed[0]!r:.80}, got {value!r:.80}: the ids would not be those that GPT-2 "
                "or GPT-1 gives; this tokenizer cannot be used here"
            )


def _check_known(document: Mapping[str, Any], rules: Rules) -> None:
    for section, free in FREE.items():
        prefix = f"{section}." if section else ""
        ruled = {field.removeprefix(prefix).partition(".")[0] for field in rules if field.startswith(prefix)}
        fields = _section(document, section) if section else document
        if unknown := sorted(set(fields) - ruled - free):
            raise TokenizerError(f"the field {prefix}{unknown[0]!r:.60} is not known, nor what it does to the ids")


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name)
    return cast("dict[str, Any]", section) if isinstance(section, dict) else {}
