"""A trained quality classifier: it scores texts exactly, alike on every machine, and is saved without pickle.

Its weights are whole multiples of 2^-24, so that a text's sum is exact: neither the order of its words nor the texts
scored beside it can change a bit of its score.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gptrilogy.config import parse
from gptrilogy.corpus.quality.card import Card
from gptrilogy.corpus.quality.features import Features, Hasher, hashing_tf_reference
from gptrilogy.errors import CheckpointError, ConfigError
from gptrilogy.files import read_json, replacing_folder, sha256_file, sha256_json, write_json

CARD, MODEL = "classifier.json", "model.safetensors"
STEP = 2.0**-24  # of a weight: below what training settles, and 2^29 of them still add up exactly
MAX_CARD_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Classifier:
    """Logistic regression over counts of hashed words.

    Source: GPT3 Appendix A.
    """

    weights: NDArray[np.int32]  # (n_features,), in units of STEP
    bias: int  # in units of STEP
    card: Card

    @property
    def fingerprint(self) -> str:
        """A hash of the weights and the card, equal for equal classifiers."""
        weights = hashlib.sha256(self.weights.tobytes()).hexdigest()
        return sha256_json([self.card.model_dump(mode="json"), self.bias, weights])

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The probability that each text is of the positive class.

        Shapes: N texts -> (N,)
        """
        return score(texts, self.weights, self.bias)

    def score_features(self, features: Sequence[Features]) -> NDArray[np.float64]:
        """The same to the bit for texts that are hashed already.

        Shapes: N texts' features -> (N,)
        """
        none = np.zeros(0, np.uint32)
        indices = np.concatenate([none, *(one.indices for one in features)])
        counts = np.concatenate([none, *(one.counts for one in features)])
        bounds = np.cumsum([0, *(one.indices.size for one in features)])
        return _probabilities(self.weights[indices] * counts.astype(np.int64), bounds, self.bias)

    def save(self, folder: Path) -> None:
        """Write the weights and the card, all of it or nothing.

        Raises: CheckpointError where the disk does not take it.
        """
        from safetensors.numpy import save

        tensors = {"weights": self.weights, "bias": np.array([self.bias], np.int64)}
        try:
            with replacing_folder(folder) as temporary:
                model = temporary / MODEL
                model.write_bytes(save(tensors))
                vouched = {**self.card.model_dump(mode="json"), "model_sha256": sha256_file(model)}
                write_json(temporary / CARD, {**vouched, "sha256": sha256_json(vouched)})
        except OSError as error:
            raise CheckpointError(f"cannot write the classifier {folder}: {error.strerror}") from None

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read a saved classifier, after every byte is compared with what its card vouches for.

        Raises: CheckpointError naming the file that is missing, damaged or foreign.
        """
        card, model_sha256 = _read_card(folder / CARD)
        model = folder / MODEL
        tensors = _read_model(model, model_sha256)
        weights, bias = tensors.get("weights"), tensors.get("bias")
        if weights is None or bias is None or weights.dtype != np.int32 or bias.dtype != np.int64:
            raise CheckpointError(f"{model} does not hold int32 weights and an int64 bias: train the classifier again")
        if weights.shape != (card.config.n_features,) or bias.shape != (1,):
            raise CheckpointError(
                f"{model} has weights of shape {weights.shape}, its card says {card.config.n_features}: "
                "train the classifier again"
            )
        return cls(weights, int(bias[0]), card)


def score(texts: Sequence[str], weights: NDArray[np.int32], bias: int) -> NDArray[np.float64]:
    """`Classifier.score` for weights that have no card yet."""
    words, bounds = Hasher(weights.size).words(texts)
    return _probabilities(weights[words], bounds, bias)


def _probabilities(terms: NDArray[np.signedinteger[Any]], bounds: NDArray[np.intp], bias: int) -> NDArray[np.float64]:
    """Each text's terms lie between two bounds; whole numbers add up without rounding."""
    sums = np.concatenate(([0], np.cumsum(terms, dtype=np.int64)))
    return logistic((sums[bounds[1:]] - sums[bounds[:-1]] + bias) * STEP)


def score_reference(text: str, weights: NDArray[np.int32], bias: int) -> float:
    """`score` of one text, written as its formula."""
    counts = hashing_tf_reference(text, weights.size)
    total = bias + sum(int(weights[feature]) * count for feature, count in counts.items())
    return 1 / (1 + math.exp(-total * STEP))


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + e^-x), by operations that IEEE 754 rounds alike everywhere, as a library's `exp` is not.

    >>> logistic(np.array([-1000.0, 0.0, 1000.0])).tolist() == [logistic(np.array([-700.0]))[0], 0.5, 1.0]
    True
    """
    x = -np.minimum(np.abs(logits), 700.0)  # beyond it e^x is no normal number
    power = np.rint(x * 1.4426950408889634)  # e^x = 2^power e^rest, with the rest within ln(2) / 2
    rest = (x - power * 0.693147180369123816) - power * 1.90821492927058770e-10  # ln 2 in two parts
    series = np.ones_like(rest)
    for k in range(14, 0, -1):
        series = series * rest / k + 1.0
    small = np.ldexp(series, power.astype(np.int32))  # e^-|x|
    return np.where(logits < 0, small, 1.0) / (1.0 + small)


def _read_card(path: Path) -> tuple[Card, str]:
    """A card, and the hash it vouches for."""
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise CheckpointError(f"{path} has {path.stat().st_size} bytes, a card at most {MAX_CARD_BYTES}")
        found = read_json(path)
    except OSError as error:
        raise CheckpointError(f"{path.parent} is not a classifier: cannot read {CARD}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is damaged: it is not JSON; train the classifier again") from None
    vouched = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if vouched.pop("sha256", None) != sha256_json(vouched):
        raise CheckpointError(f"{path} is damaged: its SHA-256 of itself is wrong; train the classifier again")
    model_sha256 = str(vouched.pop("model_sha256", ""))
    try:
        return parse(Card, vouched), model_sha256
    except ConfigError as error:
        raise CheckpointError(f"{path} is not a classifier's card: {error}") from None


def _read_model(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        if sha256_file(path) != sha256:
            raise CheckpointError(f"{path} is damaged: its SHA-256 is not the card's; train the classifier again")
        return load(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except (SafetensorError, KeyError) as error:  # a type numpy has not is a KeyError
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from None
