import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Engine
from tokenizers import decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers import END_OF_TEXT, ByteLevelBPE, BytesTokenizer, load_tokenizer
from gptrilogy.tokenizers.gpt1 import GPT1BPE
from gptrilogy.tokenizers.symbols import Pair, byte_symbols, vocabulary

MERGES: list[Pair] = [("a", "b"), ("Ġ", "ab"), ("Ġab", "c")]
OURS = ByteLevelBPE(MERGES)


def write(folder: Path, engine: Engine) -> Path:
    path = folder / "tokenizer.json"
    engine.save(str(path))
    return path


def gpt2_engine(merges: list[Pair] = MERGES) -> Engine:
    """What the library that defines the format makes of our vocabulary."""
    engine = Engine(BPE(vocabulary(merges), merges))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.post_processor = processors.ByteLevel(trim_offsets=False)
    engine.add_special_tokens([END_OF_TEXT])
    return engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, gpt2_engine())


def change(path: Path, field: str, value: object) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    section: Any = document
    *parents, name = field.split(".")
    for parent in parents:
        section = section[int(parent) if isinstance(section, list) else parent]
    section[name] = value
    path.write_text(json.dumps(document), encoding="utf-8")


def test_a_file_that_the_library_wrote_is_our_tokenizer(path: Path):
    assert load_tokenizer(path).fingerprint == OURS.fingerprint
    assert load_tokenizer(path.parent).fingerprint == OURS.fingerprint


def test_its_ids_are_those_of_the_library(path: Path):
    text = " abc don't ab\n\n  naïve 猫"
    assert load_tokenizer(path).encode(text) == Engine.from_file(str(path)).encode(text).ids


def test_it_goes_before_the_pair_that_lies_beside_it(path: Path):
    (path.parent / "vocab.json").write_text("{}")
    (path.parent / "merges.txt").write_text("damaged")
    assert load_tokenizer(path.parent).fingerprint == OURS.fingerprint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model.merges", ["a b", "Ġ ab", "Ġab c"]),
        ("model.merges", [["a", "b"], ["Ġ", "ab"], ["Ġab", "c"]]),
        ("model.vocab", vocabulary(MERGES) | {END_OF_TEXT: 259}),
        ("model.vocab", vocabulary(MERGES)),
        ("model.continuing_subword_prefix", ""),
        ("model.end_of_word_suffix", ""),
        ("truncation", {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}),
        ("post_processor", None),
        (
            "post_processor",
            {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {}},
        ),
    ],
)
def test_what_changes_no_id_may_be_written_in_each_of_its_ways(path: Path, field: str, value: object):
    change(path, field, value)
    assert load_tokenizer(path).fingerprint == OURS.fingerprint


END = {"id": 259, "content": END_OF_TEXT, "single_word": False, "lstrip": False, "rstrip": False, "special": True}
PAD = END | {"id": 260, "content": "[PAD]"}


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("model.type", "Unigram", "model.type must be 'BPE', got 'Unigram'"),
        ("model.type", ["BPE"], r"model.type must be 'BPE', got \['BPE'\]"),
        ("model.dropout", 0.1, "model.dropout must be None, got 0.1"),
        ("model.unk_token", "<unk>", "model.unk_token must be None, got '<unk>'"),
        ("model.continuing_subword_prefix", "##", "model.continuing_subword_prefix must be '', got '##'"),
        ("model.end_of_word_suffix", "@", "model.end_of_word_suffix must be '', got '@'"),
        ("model.byte_fallback", True, "model.byte_fallback must be False, got True"),
        ("model.ignore_merges", True, "model.ignore_merges must be False"),
        ("model.fuse_unk", True, "model.fuse_unk must be False"),
        ("model.colour", "red", "the field model.'colour' is not known"),
        ("model.vocab", [], "model.vocab must be an object"),
        ("model.vocab", None, "model.vocab must be an object"),
        ("model.vocab.ab", 7, "'ab' has the id 7"),
        ("model.vocab.ab", True, "the id of 'ab' must be a whole number"),
        ("model.vocab.xyz", 260, "no merge makes 'xyz', whose id is 260"),
        ("model.merges", {"a": "b"}, "model.merges a list"),
        ("model.merges", ["a b", 7], "merge 1 must be two symbols with a space between, got 7"),
        ("model.merges", [["a", "b", "c"]], "merge 0 must be two symbols"),
        ("model.merges", [["a", 1]], "merge 0 must be two symbols"),
        ("model.merges", [["a", "b"]], r"'<\|endoftext\|>' has the id 259 among 260 tokens, 1 merges make it 257"),
        ("model", {"type": "WordLevel"}, "model.type must be 'BPE', got 'WordLevel'"),
        ("model", [], "model.vocab must be an object"),
        ("version", "2.0", "version must be '1.0', got '2.0'"),
        ("colour", "red", "the field 'colour' is not known"),
        ("normalizer", {"type": "NFC"}, "normalizer must be None, got {'type': 'NFC'}"),
        ("pre_tokenizer", None, "pre_tokenizer.type must be 'ByteLevel', got None"),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": []}, "pre_tokenizer.type must be 'ByteLevel'"),
        ("pre_tokenizer.add_prefix_space", True, "pre_tokenizer.add_prefix_space must be False, got True"),
        ("pre_tokenizer.use_regex", False, "pre_tokenizer.use_regex must be True, got False"),
        ("pre_tokenizer.individual_digits", True, "the field pre_tokenizer.'individual_digits' is not known"),
        ("decoder", None, "decoder.type must be 'ByteLevel', got None"),
        ("decoder", {"type": "Metaspace"}, "decoder.type must be 'ByteLevel', got 'Metaspace'"),
        ("post_processor", {"type": "BertProcessing"}, "post_processor.type must be 'ByteLevel'"),
        (
            "post_processor",
            {"type": "TemplateProcessing", "special_tokens": {"<s>": {}}},
            "post_processor.special_tokens must be {}, got {'<s>'",
        ),
        ("post_processor", {"type": "TemplateProcessing", "single": []}, "post_processor.single must be"),
        ("added_tokens", [], r"added_tokens must hold <\|endoftext\|> and nothing else, got none"),
        ("added_tokens", None, "added_tokens must be a list, got NoneType"),
        ("added_tokens", [END, PAD], r"and nothing else, got '\[PAD\]' with id 260"),
        ("added_tokens", [END, END], r"the token '<\|endoftext\|>' has two ids, 259 and 259"),
        ("added_tokens", [7], "an added token is an object with a content and an id, got 7"),
        ("added_tokens", [{"content": "x"}], "an added token is an object"),
        ("added_tokens.0.id", 0, r"'<\|endoftext\|>' has the id 0"),
        ("added_tokens.0.id", True, r"the id of '<\|endoftext\|>' must be a whole number from 0 to 600000, got True"),
        ("added_tokens.0.special", False, "special must be True, got False"),
        ("added_tokens.0.lstrip", True, "lstrip must be False, got True"),
        ("added_tokens.0.content", "</s>", "added_tokens must hold .* got '</s>' with id 259"),
    ],
)
def test_what_would_give_other_ids_is_refused_by_name(path: Path, field: str, value: object, complaint: str):
    change(path, field, value)
    with pytest.raises(TokenizerError, match=complaint) as caught:
        load_tokenizer(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


def test_a_token_may_not_have_one_id_in_the_vocabulary_and_another_beside_it(path: Path):
    change(path, "model.vocab", vocabulary(MERGES) | {END_OF_TEXT: 300})
    with pytest.raises(TokenizerError, match=r"the token '<\|endoftext\|>' has two ids, 259 and 300"):
        load_tokenizer(path)


@pytest.mark.parametrize("setting", ["add_prefix_space", "add_bos_token", "add_eos_token"])
def test_settings_beside_it_that_change_ids_are_refused(path: Path, setting: str):
    settings = path.with_name("tokenizer_config.json")
    settings.write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", setting: False}))
    assert load_tokenizer(path).fingerprint == OURS.fingerprint
    settings.write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", setting: True}))
    with pytest.raises(TokenizerError, match=f"tokenizer_config.json: {setting} must be False, got True"):
        load_tokenizer(path)


def test_bytes_written_as_a_vocabulary_without_merges_are_bytes_again(tmp_path: Path):
    engine = Engine(BPE({symbol: byte for byte, symbol in byte_symbols().items()}, []))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens([END_OF_TEXT])
    assert load_tokenizer(write(tmp_path, engine)).fingerprint == BytesTokenizer().fingerprint


def gpt1_engine(tokenizer: GPT1BPE) -> Engine:
    """What `transformers` makes of a vocabulary of GPT-1's kind."""
    engine = Engine(BPE(dict(tokenizer.vocabulary), tokenizer.merges, unk_token="<unk>", end_of_word_suffix="</w>"))
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.BPEDecoder(suffix="</w>")
    engine.add_special_tokens(["<unk>", *tokenizer.special_tokens])
    return engine


@pytest.mark.parametrize("special", [[], ["_start_"], ["_start_", "_delimiter_", "_classify_"]])
def test_gpt1s_vocabulary_is_read_with_its_special_tokens(tmp_path: Path, special: list[str]):
    original = GPT1BPE("ab", [("a", "b</w>"), ("a", "ab</w>")]).with_special(special)
    found = load_tokenizer(write(tmp_path, gpt1_engine(original)))
    assert found.fingerprint == original.fingerprint
    assert list(found.special_tokens) == special


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("normalizer.type", "Lowercase", "normalizer.type must be 'BertNormalizer', got 'Lowercase'"),
        ("normalizer.lowercase", False, "normalizer.lowercase must be True, got False"),
        ("normalizer.strip_accents", True, "normalizer.strip_accents must be None, got True"),
        ("normalizer.others", True, "the field normalizer.'others' is not known, nor what it does to the ids"),
        ("decoder.suffix", "", "decoder.suffix must be '</w>', got ''"),
        ("decoder.others", True, "the field decoder.'others' is not known"),
        ("pre_tokenizer.type", "Whitespace", "pre_tokenizer.type must be 'BertPreTokenizer', got 'Whitespace'"),
        ("model.unk_token", None, "model.unk_token must be '<unk>', got None"),
        ("added_tokens.1.id", 99, "added_tokens must follow the vocabulary as {'_start_': 8}, got {'_start_': 99}"),
    ],
)
def test_another_scheme_with_gpt1s_word_ends_is_refused(tmp_path: Path, field: str, value: object, complaint: str):
    path = write(tmp_path, gpt1_engine(GPT1BPE("ab", [("a", "b</w>"), ("a", "ab</w>")]).with_special(["_start_"])))
    change(path, field, value)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["model"]["vocab"].pop("_start_")
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(TokenizerError, match=re.escape(complaint)):
        load_tokenizer(path)
