"""What a saved classifier says of itself: how it was trained, on what, and how well it told held-out texts apart."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.corpus.quality.features import N_FEATURES, is_power_of_two
from gptrilogy.corpus.quality.selection import N_BINS

MIN_DOCUMENTS = 10  # of a class: one tenth is held out

Count: TypeAlias = Annotated[int, Field(ge=0)]
Histogram: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=N_BINS, max_length=N_BINS)]


class ClassifierConfig(Config):
    """How a classifier is trained.

    Source: GPT3 Appendix A has logistic regression over Spark's standard tokenizer and HashingTF, and gives no number;
    where Spark has a default, it is ours, but for the regularisation, which Spark leaves out by default.
    """

    n_features: Annotated[int, Field(ge=1, le=1 << 24)] = N_FEATURES  # a power of two; Spark's default
    inverse_regularisation: Annotated[float, Field(gt=0)] = 1.0  # scikit-learn's C; ours
    max_iterations: Annotated[int, Field(ge=1)] = 100  # of L-BFGS; Spark's default
    max_documents: Annotated[int, Field(ge=MIN_DOCUMENTS)] = 20_000  # of each class, drawn by id; ours
    raw_share: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the raw documents at most, for it is to score them; ours
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0  # of that draw and of what is held out; ours

    def check(self) -> None:
        if not is_power_of_two(self.n_features):
            raise ValueError(f"n_features must be a power of two, got {self.n_features}")


class SourceCount(Config):
    """What one source gave a class."""

    documents_seen: Count = 0
    documents_used: Count = 0  # drawn among those with words, for training or held out
    characters_used: Count = 0


class HeldOut(Config):
    """How the classifier did on the tenth of each class it did not see."""

    positives: Count
    negatives: Count
    accuracy: float  # a score of at least one half is called positive
    auc: float  # the chance that a positive scores higher than a negative
    positive_scores: Histogram
    negative_scores: Histogram


class Card(Config):
    """The provenance of a classifier."""

    format: Literal["gptrilogy-quality"] = "gptrilogy-quality"
    version: Literal[1] = 1
    config: ClassifierConfig
    positives: dict[str, SourceCount]  # by source
    negatives: dict[str, SourceCount]
    documents_sha256: str  # of the sources, ids and texts used, so that equal training is known
    iterations: Count
    converged: bool  # false where max_iterations ended it, which is no fault
    held_out: HeldOut
    libraries: dict[str, str]  # versions, with Unicode's, which decides lower case
