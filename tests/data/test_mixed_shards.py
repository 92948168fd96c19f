"""Packed sets under one index: opened as a mixture, read as one text, linked whole or in part."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gptrilogy.config import parse
from gptrilogy.corpus.documents import Document
from gptrilogy.data.index import INDEX, WeightedSet, read_index, read_sets, write_sets
from gptrilogy.data.shards import link_shards, open_shards, pack
from gptrilogy.data.split import plan_split
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.files import read_sealed, write_sealed
from gptrilogy.tokenizers.base import Tokenizer
from gptrilogy.tokenizers.bytes import BytesTokenizer

WEIGHTS = {"web": 0.6, "books": 0.4, "notes": 0.1}


class OtherTokenizer(BytesTokenizer):
    name = "other"


def pack_set(folder: Path, name: str, tokenizer: Tokenizer, n: int = 30) -> None:
    documents = [Document(f"{name} {number}", id=str(number), source=name) for number in range(n)]
    split = plan_split(documents, fraction=0.1, seed=0)
    pack(documents, tokenizer, folder / "sets" / name, split=split, shard_tokens=100)


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in WEIGHTS:
        pack_set(folder, name, BytesTokenizer())
    write_sets(folder, weighted(WEIGHTS))
    return folder


def weighted(weights: dict[str, float]) -> list[WeightedSet]:
    return [WeightedSet(name=name, weight=weight) for name, weight in weights.items()]


def test_a_mixture_is_opened_as_its_sets_and_as_all_their_text(mixture: Path) -> None:
    data = open_shards(mixture, fingerprint=BytesTokenizer().fingerprint)
    assert {one.name: one.weight for one in data.sets} == WEIGHTS
    for part in ("train", "valid"):
        whole, parts = getattr(data, part), [getattr(one, part) for one in data.sets]
        each = [tokens.window(0, len(tokens)) for tokens in parts]
        assert np.array_equal(whole.window(0, len(whole)), np.concatenate(each))
        assert len(whole) == sum(map(len, parts)) == getattr(data.index, part).tokens
        assert whole.documents == sum(tokens.documents for tokens in parts)
        assert whole.text_bytes == sum(tokens.text_bytes for tokens in parts)
    assert bytes(data.sets[1].train.window(0, 6).tolist()) == b"books "
    assert data.index.split.documents == 90
    assert data.index.split.text_bytes == data.train.text_bytes + data.valid.text_bytes


def test_each_set_of_a_mixture_is_a_packed_folder_of_its_own(mixture: Path) -> None:
    alone = open_shards(mixture / "sets/books", fingerprint=None)
    assert alone.sets == ()
    together = open_shards(mixture, fingerprint=None).sets[1]
    assert np.array_equal(alone.train.window(0, 50), together.train.window(0, 50))


def test_a_changed_set_changes_the_fingerprint_of_the_whole(mixture: Path) -> None:
    before = read_index(mixture).split.fingerprint
    pack_set(mixture, "books", BytesTokenizer(), n=31)
    assert read_index(mixture).split.fingerprint != before


def test_damage_in_any_set_is_found_when_the_mixture_is_opened(mixture: Path) -> None:
    shard = mixture / "sets/books/train/shard-00001.bin"
    shard.write_bytes(shard.read_bytes()[:-2] + b"xx")
    with pytest.raises(DataError, match=r"sets/books/train/shard-00001\.bin is damaged"):
        open_shards(mixture, fingerprint=None)


def test_a_set_that_is_missing_or_of_another_tokenizer_is_told(mixture: Path) -> None:
    shutil.rmtree(mixture / "sets/books")
    with pytest.raises(DataError, match=r"sets/books holds no packed text"):
        read_index(mixture)
    pack_set(mixture, "books", OtherTokenizer())
    with pytest.raises(DataError, match=r"different tokenizers \(bytes, other\): pack them again"):
        read_index(mixture)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sets": []}, "sets"),
        ({"sets": [{"name": "../web", "weight": 1}, {"name": "books", "weight": 1}]}, "name"),
        ({"sets": [{"name": "web", "weight": 0}, {"name": "books", "weight": 1}]}, "weight"),
        ({"version": 2}, "version"),
    ],
)
def test_a_damaged_index_of_a_mixture_is_refused(mixture: Path, change: dict[str, object], says: str) -> None:
    index = read_sealed(mixture / INDEX)
    write_sealed(mixture / INDEX, {**index, **change})
    with pytest.raises(DataError, match=rf"index\.json is damaged \(.*{says}"):
        open_shards(mixture, fingerprint=None)


def test_a_mixture_inside_a_mixture_is_refused(mixture: Path) -> None:
    (mixture / "sets/web" / INDEX).write_text((mixture / INDEX).read_text())
    with pytest.raises(DataError, match=r"sets/web/index\.json is damaged"):
        open_shards(mixture, fingerprint=None)


def test_one_set_is_no_mixture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        write_sets(tmp_path, weighted({"web": 1}))
    for name in (".web", "a/b", ""):
        with pytest.raises(ConfigError, match="name"):
            parse(WeightedSet, {"name": name, "weight": 1})


def test_a_linked_mixture_outlives_its_source(mixture: Path, tmp_path: Path) -> None:
    index = read_index(mixture)
    link_shards(mixture, tmp_path / "run/data")
    link_shards(mixture, mixture)
    shutil.rmtree(mixture)
    data = open_shards(tmp_path / "run/data", fingerprint=None)
    assert data.index == index
    assert {one.name: one.weight for one in data.sets} == WEIGHTS


def test_some_sets_are_linked_with_weights_of_their_own_and_one_alone_as_one_text(
    mixture: Path, tmp_path: Path
) -> None:
    link_shards(mixture, tmp_path / "two", sets=weighted({"books": 3, "web": 1}))
    assert read_sets(tmp_path / "two") == tuple(weighted({"books": 3, "web": 1}))
    assert not (tmp_path / "two/sets/notes").exists()
    link_shards(mixture, tmp_path / "one", sets=weighted({"books": 1}))
    assert read_index(tmp_path / "one") == read_index(mixture / "sets/books")
    assert read_sets(tmp_path / "one") == ()
