"""Training a quality classifier on texts one wants more of, against the raw ones.

Source: GPT3 Appendix A. Its positives are WebText, Wikipedia and the web books, its negatives unfiltered Common Crawl.
"""

import hashlib
import heapq
import json
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.draws import draw
from gptrilogy.corpus.quality.card import MIN_DOCUMENTS, Card, ClassifierConfig, HeldOut, SourceCount
from gptrilogy.corpus.quality.classifier import STEP, Classifier, score
from gptrilogy.corpus.quality.features import Hasher
from gptrilogy.corpus.quality.selection import histogram
from gptrilogy.errors import DataError
from gptrilogy.extras import needs

BATCH_DOCUMENTS = 256
ONE_HELD_OUT_IN = 10


class Sample(NamedTuple):
    """The documents of one class that were drawn, in the order of their draws, and what each source gave."""

    documents: list[Document]
    sources: dict[str, SourceCount]


def train(positives: Iterable[Document], negatives: Iterable[Document], config: ClassifierConfig) -> Classifier:
    """Fit a classifier to documents drawn from both classes, and judge it by a tenth of them held out.

    The order of the documents does not matter, and at most `max_documents` of each class are held at once. Both
    classes weigh the same, however many documents each has. The same libraries on the same kind of processor give the
    same bytes; another processor may round the last bits of a weight otherwise, so pass on the trained one.

    Raises: DataError where a class has fewer than ten documents with words.
    """
    samples = [sample(positives, "positive", config), sample(negatives, "negative", config)]
    documents = [document for drawn in samples for document in drawn.documents]
    labels = np.repeat([True, False], [len(drawn.documents) for drawn in samples])
    held = np.concatenate([held_out(drawn.documents, config.seed) for drawn in samples])
    seen = [document.text for document, is_held in zip(documents, held, strict=True) if not is_held]
    unseen = [document.text for document, is_held in zip(documents, held, strict=True) if is_held]
    weights, bias, iterations = fit(seen, labels[~held], config)
    card = Card(
        config=config,
        positives=samples[0].sources,
        negatives=samples[1].sources,
        documents_sha256=_sha256(documents),
        iterations=iterations,
        converged=iterations < config.max_iterations,
        held_out=judge(np.concatenate([score(batch, weights, bias) for batch in _batches(unseen)]), labels[held]),
        libraries={
            "unicode": unicodedata.unidata_version,
            **{name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        },
    )
    return Classifier(weights, bias, card)


def sampling_draw(document_id: str, seed: int) -> int:
    """The smaller, the sooner a document is among those that a classifier learns from."""
    return draw("quality: sample", document_id, seed)


def sample(documents: Iterable[Document], name: str, config: ClassifierConfig) -> Sample:
    """Draw the documents of one class by the smallest draws, whatever their order.

    Raises: DataError naming the class where too few have words.
    """
    seen = Counter[str]()
    drawn = heapq.nsmallest(
        config.max_documents,
        _with_words(documents, seen),
        key=lambda document: (
            sampling_draw(document.id, config.seed),
            document.id,
            document.source,
            document.text,
        ),
    )
    if len(drawn) < MIN_DOCUMENTS:
        blank = seen.total() - len(drawn)
        raise DataError(
            f"the {name} class has {len(drawn)} documents with words and {blank} blank ones, "
            f"at least {MIN_DOCUMENTS} with words are needed: name more sources for it"
        )
    used = Counter(document.source for document in drawn)
    characters = Counter[str]()
    for document in drawn:
        characters[document.source] += len(document.text)
    counts = {
        source: SourceCount(
            documents_seen=seen[source], documents_used=used[source], characters_used=characters[source]
        )
        for source in sorted(seen)
    }
    return Sample(drawn, counts)


def _with_words(documents: Iterable[Document], seen: Counter[str]) -> Iterator[Document]:
    """The documents that are not blank; all are counted by source."""
    for document in documents:
        seen[document.source] += 1
        if document.text.strip():
            yield document


def held_out(documents: Sequence[Document], seed: int) -> NDArray[np.bool_]:
    """True for the tenth of the documents with the smallest draws.

    Shapes: N documents -> (N,)
    """
    draws = np.array([draw("quality: test", document.id, seed) for document in documents], np.uint64)
    held = np.zeros(draws.size, np.bool_)
    held[np.argsort(draws, kind="stable")[: draws.size // ONE_HELD_OUT_IN]] = True
    return held


def fit(
    texts: Sequence[str], labels: NDArray[np.bool_], config: ClassifierConfig
) -> tuple[NDArray[np.int32], int, int]:
    """The weights and the bias in units of `STEP`, and the number of iterations they took.

    Raises: DataError where a weight leaves the range of the saved form.
    """
    with needs("corpus", purpose="training a quality classifier"):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

    model: Any = LogisticRegression(
        C=config.inverse_regularisation, max_iter=config.max_iterations, class_weight="balanced"
    )
    with warnings.catch_warnings(), threadpool_limits(1):  # threads would add up in an order of their own
        warnings.simplefilter("ignore", ConvergenceWarning)  # the card says it
        model.fit(_counts(texts, Hasher(config.n_features)), labels)
    weights = in_steps(np.append(model.coef_[0], model.intercept_[0]), config)
    return weights[:-1], int(weights[-1]), int(model.n_iter_[0])


def in_steps(weights: NDArray[np.float64], config: ClassifierConfig) -> NDArray[np.int32]:
    """Weights in the units of their saved form.

    Raises: DataError where one is no number or out of reach.

    >>> in_steps(np.array([1.0, -0.5]), ClassifierConfig()).tolist() == [1 << 24, -1 << 23]
    True
    """
    steps = np.rint(weights / STEP)
    wrong = weights[~(np.abs(steps) < 1 << 31)]
    if wrong.size:
        raise DataError(
            f"training ended at a weight of {wrong[0]:g}, beyond the largest, {STEP * 2**31:g}: "
            f"lower inverse_regularisation, which is {config.inverse_regularisation:g}"
        )
    return steps.astype(np.int32)


def _counts(texts: Sequence[str], hasher: Hasher) -> Any:
    """Sparse counts of the features.

    Shapes: N texts -> (N, n_features)
    """
    from scipy.sparse import csr_matrix

    rows = [features for batch in _batches(texts) for features in hasher.batch(batch)]
    ends = np.cumsum([0, *(features.indices.size for features in rows)])
    indices = np.concatenate([features.indices for features in rows]).view(np.int32)
    counts = np.concatenate([features.counts for features in rows]).astype(np.float64)
    return csr_matrix((counts, indices, ends), shape=(len(rows), hasher.n_features))


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + BATCH_DOCUMENTS] for start in range(0, len(texts), BATCH_DOCUMENTS))


def judge(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> HeldOut:
    """How well scores tell the classes apart.

    Shapes: (N,), (N,)
    """
    from sklearn.metrics import roc_auc_score  # pyright: ignore[reportUnknownVariableType]  # it has no types

    return HeldOut(
        positives=int(labels.sum()),
        negatives=int((~labels).sum()),
        accuracy=float(((scores >= 0.5) == labels).mean()),
        auc=float(cast("float", roc_auc_score(labels, scores))),
        positive_scores=tuple(histogram(scores[labels]).tolist()),
        negative_scores=tuple(histogram(scores[~labels]).tolist()),
    )


def _sha256(documents: Iterable[Document]) -> str:
    """A hash of the sources, ids and texts, in their order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(json.dumps([document.source, document.id, document.text]).encode() + b"\n")
    return digest.hexdigest()
