"""A classifier scores each text by itself, exactly, and is read back whole or not at all."""

import json
import math
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.quality.card import Card, ClassifierConfig, HeldOut, SourceCount
from gptrilogy.corpus.quality.classifier import CARD, MODEL, Classifier, logistic, score_reference
from gptrilogy.corpus.quality.features import Hasher
from gptrilogy.errors import CheckpointError
from gptrilogy.files import sha256_file, sha256_json

N = 1 << 10


def a_classifier(seed: int = 0) -> Classifier:
    weights = np.random.default_rng(seed).normal(0, 2**24, N).astype(np.int32)
    held_out = HeldOut(
        positives=1, negatives=1, accuracy=1, auc=1, positive_scores=(0,) * 20, negative_scores=(0,) * 20
    )
    card = Card(
        config=ClassifierConfig(n_features=N),
        positives={"novels": SourceCount(documents_seen=12, documents_used=10, characters_used=999)},
        negatives={"crawl": SourceCount(documents_seen=10, documents_used=10, characters_used=1)},
        documents_sha256="0" * 64,
        iterations=3,
        converged=True,
        held_out=held_out,
        libraries={"unicode": "14.0.0"},
    )
    return Classifier(weights, -12345, card)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    a_classifier().save(tmp_path / "quality")
    return tmp_path / "quality"


@given(st.lists(st.text(st.sampled_from("abc é日\n"), max_size=60), max_size=8))
def test_a_score_in_a_batch_is_the_score_alone_to_the_bit(texts: list[str]) -> None:
    classifier = a_classifier()
    assert classifier.score(texts).tolist() == [classifier.score([text])[0] for text in texts]


@given(st.lists(st.text(st.sampled_from("abc é日\n"), max_size=60), max_size=8))
def test_a_score_of_hashed_words_is_that_of_the_text_to_the_bit(texts: list[str]) -> None:
    classifier = a_classifier()
    assert classifier.score_features(Hasher(N).batch(texts)).tolist() == classifier.score(texts).tolist()


@given(st.text(max_size=60))
def test_a_score_is_that_of_the_formula(text: str) -> None:
    classifier = a_classifier()
    expected = score_reference(text, classifier.weights, classifier.bias)
    assert classifier.score([text])[0] == pytest.approx(expected, rel=1e-14)


def test_a_score_does_not_depend_on_the_order_of_words() -> None:
    words = [f"word{i}" for i in range(5000)]
    forwards, backwards = a_classifier().score([" ".join(words), " ".join(reversed(words))])
    assert forwards == backwards


def test_the_logistic_function_is_exact_to_the_last_bits() -> None:
    logits = np.concatenate([np.linspace(-699, 699, 20_001), np.linspace(-1, 1, 1001)])
    expected = [1 / (1 + math.exp(-x)) for x in logits]
    np.testing.assert_allclose(logistic(logits), expected, rtol=1e-15, atol=0)


def test_the_logistic_function_has_the_same_bits_everywhere() -> None:
    assert [x.hex() for x in logistic(np.array([-3.3, -0.1, 0.7, 12.5])).tolist()] == [
        "0x1.236630d362b35p-5",
        "0x1.e66bdb1aca090p-2",
        "0x1.561cb52a19476p-1",
        "0x1.ffff82f4698c9p-1",
    ]


def test_scores_stay_within_0_and_1_however_long_the_text() -> None:
    classifier = a_classifier()
    alone = classifier.score(words := [f"word{i}" for i in range(100)])
    low, high = (words[place] for place in (alone.argmin(), alone.argmax()))
    scores = classifier.score([f"{low} " * 100_000, f"{high} " * 100_000])
    assert 0 < scores[0] < 1e-300
    assert scores[1] == 1


def test_a_saved_classifier_comes_back(saved: Path) -> None:
    loaded = Classifier.load(saved)
    assert (loaded.weights == a_classifier().weights).all()
    assert (loaded.bias, loaded.card) == (a_classifier().bias, a_classifier().card)
    assert loaded.fingerprint == a_classifier().fingerprint != a_classifier(seed=1).fingerprint


def test_equal_classifiers_are_equal_files(saved: Path, tmp_path: Path) -> None:
    Classifier.load(saved).save(tmp_path / "again")
    for name in (CARD, MODEL):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("name", [CARD, MODEL])
def test_a_flipped_bit_is_noticed(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    for position in np.linspace(0, len(content) - 1, 40).astype(int):
        content[position] ^= 1
        (saved / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{name} is damaged: .*; train the classifier again$"):
            Classifier.load(saved)
        content[position] ^= 1


@pytest.mark.parametrize("name", [CARD, MODEL])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}.*: No such file or directory"):
        Classifier.load(saved)


@pytest.mark.parametrize("name", [CARD, MODEL])
def test_a_cut_file_is_noticed(saved: Path, name: str) -> None:
    (saved / name).write_bytes((saved / name).read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=f"{name} is damaged"):
        Classifier.load(saved)


@pytest.mark.parametrize("content", ["[]", "{}", "null", "[" * 100_000, "NaN", " " * (1 << 21)])
def test_a_card_that_is_none_is_refused(saved: Path, content: str) -> None:
    (saved / CARD).write_text(content)
    with pytest.raises(CheckpointError, match=CARD):
        Classifier.load(saved)


def vouch(folder: Path, **changes: object) -> None:
    """Write a card that is sealed well, whatever it says."""
    card = {**json.loads((folder / CARD).read_text()), **changes, "model_sha256": sha256_file(folder / MODEL)}
    del card["sha256"]
    (folder / CARD).write_text(json.dumps({**card, "sha256": sha256_json(card)}))


def test_a_sealed_card_of_another_version_is_refused(saved: Path) -> None:
    vouch(saved, version=2)
    with pytest.raises(CheckpointError, match=r"is not a classifier's card: version: .*, got 2"):
        Classifier.load(saved)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "I16"])
def test_sealed_weights_of_another_type_are_refused(saved: Path, dtype: str) -> None:
    header = json.dumps({"weights": {"dtype": dtype, "shape": [2], "data_offsets": [0, 4]}}).encode()
    (saved / MODEL).write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    vouch(saved)
    with pytest.raises(CheckpointError, match=MODEL):
        Classifier.load(saved)


def test_sealed_weights_of_another_size_are_refused(saved: Path) -> None:
    vouch(saved, config={"n_features": 2 * N})
    with pytest.raises(CheckpointError, match=r"has weights of shape \(1024,\), its card says 2048"):
        Classifier.load(saved)


def test_what_is_no_safetensors_file_is_refused_however_sealed(saved: Path) -> None:
    (saved / MODEL).write_bytes(b"\x80\x04N.")
    vouch(saved)
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        Classifier.load(saved)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot write the classifier .*file/quality: Not a directory"):
        a_classifier().save(tmp_path / "file" / "quality")


def test_saving_replaces_an_older_classifier(saved: Path) -> None:
    a_classifier(seed=1).save(saved)
    assert Classifier.load(saved).fingerprint == a_classifier(seed=1).fingerprint
    shutil.rmtree(saved)
    assert list(saved.parent.iterdir()) == []
