import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt1_reference import encode_gpt1_reference
from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers import (
    FINETUNING_TOKENS,
    GPT1BPE,
    StreamDecoder,
    load_tokenizer,
    save_tokenizer,
)
from gptrilogy.tokenizers import gpt1 as module
from gptrilogy.tokenizers.gpt1_training import count_words, from_counts
from gptrilogy.tokenizers.symbols import Pair

# The ids that the released code gives, transcribed and run by itself on the released files.
GOLDEN = [
    (record["text"], record["ids"])
    for record in map(json.loads, Path(__file__).with_name("gpt1_golden.jsonl").read_text().splitlines())
]
SNIPPETS = [
    "the", "The ", "cat", "can't", "she's", "Mr.", "U.S.", "5km", "$5.00", "½", "é", "e\u0301", "ﬁ", "â€™", "&amp;",
    "&eacute;", "—", "…", "``", "''", "'", '"', ".", "...", "!", "?!", "++", "\\", "/", "_", ":)", ":D", "<3", "猫",
    "🙂", "\u200d", "İ", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\x00", "\x1c", "\x85", "\xad",
    "<unk>", "</w>", "_start_",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(SNIPPETS), max_size=20).map("".join))
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def small(corpus: list[str]) -> GPT1BPE:
    return from_counts(count_words(corpus), 60)


@pytest.fixture(scope="module")
def pair(shared_data: Callable[[str], Path]) -> tuple[dict[str, int], list[Pair]]:
    encoder = json.loads(shared_data("vocab/gpt1/encoder_bpe_40000.json").read_text(encoding="utf-8"))
    lines = shared_data("vocab/gpt1/vocab_40000.bpe").read_text(encoding="utf-8").split("\n")[1:-1]  # a version, an end
    return encoder, [(left, right) for left, right in (line.split(" ") for line in lines)]


@pytest.fixture(scope="module")
def gpt1(pair: tuple[dict[str, int], list[Pair]]) -> GPT1BPE:
    return GPT1BPE.from_pair(*pair)


@pytest.mark.parametrize(("text", "ids"), GOLDEN, ids=[ascii(text)[:40] for text, _ in GOLDEN])
def test_the_released_pair_gives_the_ids_of_the_released_code(gpt1: GPT1BPE, text: str, ids: list[int]):
    assert gpt1.encode(text) == ids


def test_every_token_has_the_id_of_the_released_encoder(gpt1: GPT1BPE, pair: tuple[dict[str, int], list[Pair]]):
    encoder, merges = pair
    assert (gpt1.n_vocab, gpt1.eot_id, gpt1.name) == (40_478, None, "gpt1_bpe-40478")
    assert (dict(gpt1.vocabulary), list(gpt1.merges), len(gpt1.characters)) == (encoder, merges, 238)
    assert [gpt1.token_bytes(i) for i in (0, 1, 239, 240, 481)] == [b"<unk>", b".", b". ", b", ", b"the "]
    assert gpt1.token_bytes(40_477) == b"\n "


def test_the_tokens_of_fine_tuning_follow_in_their_order(gpt1: GPT1BPE):
    tuned = gpt1.with_special(FINETUNING_TOKENS)
    assert dict(tuned.special_tokens) == {"_start_": 40_478, "_delimiter_": 40_479, "_classify_": 40_480}
    ids = tuned.encode("_start_a cat_delimiter_The cat_classify_", allowed_special=FINETUNING_TOKENS)
    assert ids == [40_478, *gpt1.encode("a cat"), 40_479, *gpt1.encode("The cat"), 40_480]
    assert tuned.decode(ids) == "_start_ a cat _delimiter_ the cat _classify_"
    assert tuned.encode("_start_") == gpt1.encode("_start_")


def test_a_novel_has_the_ids_of_the_readable_twin(gpt1: GPT1BPE, shared_data: Callable[[str], Path]):
    text = shared_data("text/austen/emma.txt").read_text(encoding="utf-8")[:50_000]
    assert gpt1.encode(text) == encode_gpt1_reference(text, gpt1.vocabulary, gpt1.merges)


@settings(max_examples=25)
@given(texts=st.lists(TEXTS, min_size=4, max_size=4))
def test_the_released_pair_gives_the_ids_of_the_readable_twin(gpt1: GPT1BPE, texts: list[str]):
    text = "".join(texts)
    assert gpt1.encode(text) == encode_gpt1_reference(text, gpt1.vocabulary, gpt1.merges)


@given(text=TEXTS)
def test_ids_equal_those_of_the_readable_twin(small: GPT1BPE, text: str):
    assert small.encode(text) == encode_gpt1_reference(text, small.vocabulary, small.merges)


@st.composite
def merge_lists(draw: st.DrawFn) -> list[Pair]:
    """Merges nobody would learn, on two letters: symbols made twice, in every order that is not refused."""
    merges: list[Pair] = []
    for _ in range(draw(st.integers(0, 12))):
        known = ["a", "b", "a</w>", "b</w>", *("".join(pair) for pair in merges)]
        candidate = [*merges, (draw(st.sampled_from(known)), draw(st.sampled_from(known)))]
        try:
            GPT1BPE("ab", candidate)
        except TokenizerError:
            continue
        merges = candidate
    return merges


@given(merges=merge_lists(), text=st.text(alphabet="ab c", max_size=40))
def test_ids_equal_those_of_the_twin_for_merges_of_any_kind(merges: list[Pair], text: str):
    tokenizer = GPT1BPE("ab", merges)
    assert tokenizer.encode(text) == encode_gpt1_reference(text, tokenizer.vocabulary, merges)


def test_a_full_cache_changes_no_id(small: GPT1BPE, corpus: list[str], monkeypatch: pytest.MonkeyPatch):
    expected = small.encode_batch(corpus)
    monkeypatch.setattr(module, "CACHED_WORDS", 3)
    fresh = GPT1BPE(small.characters, small.merges)
    assert [fresh.encode(text) for text in corpus] == expected
    assert len(vars(fresh)["_known"]) <= 3


@given(texts=st.lists(TEXTS, max_size=3))
def test_a_batch_is_its_texts_one_by_one(small: GPT1BPE, texts: list[str]):
    assert small.encode_batch(texts) == [small.encode(text) for text in texts]
    assert [ids.tolist() for ids in small.encode_arrays(texts)] == small.encode_batch(texts)


def test_ids_are_unknown_characters_ends_merges_line_break_special():
    tokenizer = GPT1BPE("ab", [("a", "b</w>"), ("a", "a")], ["<s>"])
    expected = ["<unk>", "a", "b", "a</w>", "b</w>", "ab</w>", "aa", "\n</w>", "<s>"]
    assert list(tokenizer.vocabulary) == expected
    assert list(tokenizer.vocabulary.values()) == list(range(9))
    decoded = [tokenizer.decode([token]) for token in range(9)]
    assert decoded == ["<unk>", "a", "b", "a", "b", "ab", "aa", "\n", "<s>"]


def test_words_come_back_in_lower_case_with_single_spaces(gpt1: GPT1BPE):
    ids = gpt1.encode("He  can't pay\t$5.00 —\n\n\nnor WILL he: 猫!")
    assert gpt1.decode(ids) == "he ca n't pay $ 5.00 - \n nor will he : <unk>!"


def test_what_was_decoded_has_the_same_ids_again(gpt1: GPT1BPE):
    ids = gpt1.encode("Emma Woodhouse, handsome, clever, and rich;\n  she's 21 — nearly “twenty-one” years.")
    assert gpt1.encode(gpt1.decode(ids)) == ids


@given(ids=st.lists(st.integers(0, 11)))
def test_streamed_tokens_put_together_are_the_decoded_text(ids: list[int]):
    tokenizer = GPT1BPE("né", [("n", "é"), ("né", "n</w>")], FINETUNING_TOKENS)
    assert tokenizer.n_vocab == 11
    ids = [token % tokenizer.n_vocab for token in ids]
    stream = StreamDecoder(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.finish() == tokenizer.decode(ids)


def test_a_lone_surrogate_is_refused_with_its_place(small: GPT1BPE):
    with pytest.raises(TokenizerError, match=r"position 4 \(after 'the '\) holds U\+DC80"):
        small.encode_batch(["the cat", "the \udc80"])


@pytest.mark.parametrize("token_id", [-1, 12])
def test_an_id_outside_the_vocabulary_is_refused(token_id: int):
    with pytest.raises(TokenizerError, match=rf"token id {token_id} is outside 0\.\.5"):
        GPT1BPE("ab", []).decode([0, token_id])


def test_a_name_that_is_no_special_token_is_refused(small: GPT1BPE):
    with pytest.raises(TokenizerError, match="'_start_' is not a special token of this tokenizer"):
        small.encode("_start_", allowed_special=["_start_"])


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([""], "special token '' is empty or there already"),
        (["x", "x"], "special token 'x' is empty or there already"),
        (["a</w>"], "special token 'a</w>' is empty or there already"),
        (["<unk>"], "special token '<unk>' is empty or there already"),
        (["x" * 1025], "has 1025 bytes; the limit is 1024"),
        (["\ud800"], "lone surrogate"),
    ],
)
def test_a_special_token_that_cannot_be_one_is_refused(names: list[str], complaint: str):
    with pytest.raises(TokenizerError, match=complaint):
        GPT1BPE("ab", []).with_special(names)


@pytest.mark.parametrize("special", [(), FINETUNING_TOKENS])
def test_it_comes_back_from_its_file(small: GPT1BPE, special: tuple[str, ...], tmp_path: Path):
    original = small.with_special(special)
    loaded = load_tokenizer(save_tokenizer(original, tmp_path))
    assert isinstance(loaded, GPT1BPE)
    assert (loaded.name, loaded.fingerprint) == (original.name, original.fingerprint)
    assert loaded.vocabulary == original.vocabulary
    assert loaded.encode("The cat's café.") == small.encode("The cat's café.")


def test_the_released_pair_comes_back_from_its_file(gpt1: GPT1BPE, tmp_path: Path):
    loaded = load_tokenizer(save_tokenizer(gpt1, tmp_path))
    assert loaded.fingerprint == gpt1.fingerprint
    assert loaded.encode("the president is a very good man .") == [481, 4735, 544, 246, 963, 870, 762, 239]


def test_it_can_be_sent_to_another_process(small: GPT1BPE):
    copy = pickle.loads(pickle.dumps(small.with_special(["_x_"])))
    assert copy.encode("the _x_", allowed_special=["_x_"]) == [*small.encode("the"), small.n_vocab]


def test_special_tokens_are_part_of_the_fingerprint():
    plain, tuned, other = (GPT1BPE("ab", [], special) for special in ((), ("x",), ("y",)))
    assert len({plain.fingerprint, tuned.fingerprint, other.fingerprint}) == 3
    assert plain.with_special("x").fingerprint == tuned.fingerprint


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"colour": 1}, "has the fields kind, characters, merges, special, got"),
        ({"kind": "byte_bpe"}, "has the fields"),
        ({"characters": "ab"}, "characters must be a list of strings, got 'ab'"),
        ({"characters": ["a", 7]}, "characters must be a list of strings"),
        ({"merges": {}}, "merges must be a list of strings"),
        ({"merges": ["a b c"]}, "merge 0 must be two symbols with a space between, got 'a b c'"),
        ({"special": [None]}, "special must be a list of strings"),
    ],
)
def test_a_definition_of_something_else_is_refused(changes: dict[str, Any], complaint: str):
    definition = GPT1BPE("ab", [("a", "b")]).definition()
    with pytest.raises(TokenizerError, match=complaint):
        GPT1BPE.from_definition(definition | changes)


PAIR = {"<unk>": 0, "a": 1, "b": 2, "a</w>": 3, "b</w>": 4, "ab</w>": 5, "\n</w>": 6}


def test_an_encoder_and_merges_that_belong_together_are_taken():
    tokenizer = GPT1BPE.from_pair(PAIR, [("a", "b</w>")])
    assert tokenizer.encode("ab\nba") == [5, 6, 2, 3]


@pytest.mark.parametrize(
    ("encoder", "merges", "complaint"),
    [
        (PAIR | {"a": 2, "b": 1}, [("a", "b</w>")], "'b</w>' has the id 4, its characters and merges make it 3"),
        (PAIR | {"ab</w>": 6, "\n</w>": 5}, [("a", "b</w>")], "'ab</w>' has the id 6, .* make it 5"),
        (PAIR | {"a": True}, [("a", "b</w>")], "'a' has the id True, .* make it 1"),
        (PAIR | {"a": 99}, [("a", "b</w>")], "character 0 must be one character that is no white space, got ''"),
        (PAIR | {"c": 7}, [("a", "b</w>")], "8 tokens do not fit 1 merges"),
        (PAIR | {"c": 7, "d": 8}, [("a", "b</w>")], "character 2 must be one character .* got 'a</w>'"),
        (PAIR, [("b", "a</w>")], "'ba</w>' is missing, .* make it 5"),
        (PAIR, [("a", "c</w>")], r"merge 0 \('a', 'c</w>'\) uses 'c</w>' before it exists"),
        (PAIR, [], "7 tokens do not fit 0 merges"),
        (PAIR, [("a", "b</w>")] * 2, r"merge 1 \('a', 'b</w>'\) comes twice"),
        ({}, [], "0 tokens do not fit 0 merges"),
        ({"hello": 0, "world": 1}, [], "'<unk>' is missing"),
    ],
)
def test_a_pair_that_does_not_fit_together_is_refused(encoder: dict[str, int], merges: list[Pair], complaint: str):
    with pytest.raises(TokenizerError, match=complaint) as caught:
        GPT1BPE.from_pair(encoder, merges)
    assert "\n" not in str(caught.value)


def test_one_changed_id_in_the_released_pair_is_named(pair: tuple[dict[str, int], list[Pair]]):
    encoder, merges = pair
    swapped = encoder | {"the</w>": encoder["of</w>"], "of</w>": encoder["the</w>"]}
    with pytest.raises(TokenizerError, match=r"'the</w>' has the id .* make it 481"):
        GPT1BPE.from_pair(swapped, merges)
    with pytest.raises(TokenizerError, match=r"merge 0 .*'bachel', 'orette</w>'.* before it exists"):
        GPT1BPE.from_pair(encoder, [merges[-1], *merges[:-1]])


@pytest.mark.parametrize("missing", ["ftfy", "spacy"])
def test_without_the_extra_it_decodes_and_says_what_encoding_needs(missing: str):
    code = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from gptrilogy.errors import MissingExtraError
from gptrilogy.tokenizers import GPT1BPE
tokenizer = GPT1BPE("ab", [("a", "b</w>")])
print(tokenizer.decode([5, 3]))
try:
    tokenizer.encode("ab")
except MissingExtraError as error:
    print(error)
"""
    shown = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert shown.splitlines() == [
        "ab a",
        f"GPT-1's tokenizer needs {missing}, which is not installed: pip install 'gptrilogy[gpt1]'",
    ]


def test_importing_it_loads_neither_spacy_nor_ftfy_nor_torch():
    code = "import sys, gptrilogy.tokenizers.gpt1; print({'spacy', 'ftfy', 'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.mark.parametrize(
    ("unit", "n_ids"),
    [("\n", 0), ("\u00a0", 0), ("\x00", 0), ("\na", 999_999), (".", MEGABYTE)],
    ids=ascii,
)
def test_a_megabyte_is_encoded(unit: str, n_ids: int):
    tokenizer = GPT1BPE("a.", [])
    assert len(tokenizer.encode(unit * (MEGABYTE // len(unit)))) == n_ids


@pytest.mark.parametrize("unit", ["'", "!", ":@", "'s", ".=."])
def test_a_megabyte_without_a_space_that_would_take_hours_is_refused(small: GPT1BPE, unit: str):
    with pytest.raises(TokenizerError, match="spaCy would take too long over punctuation without spaces") as caught:
        small.encode(unit * (MEGABYTE // len(unit)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["a", "猫", "' "])
def test_a_megabyte_without_a_space_that_spacy_can_take_is_encoded(small: GPT1BPE, unit: str):
    assert len(small.encode(unit * (MEGABYTE // len(unit)))) > MEGABYTE // 1000
