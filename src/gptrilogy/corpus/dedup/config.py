"""How near copies are looked for, and what that finds: the chance that a pair of some similarity is seen at all."""

from math import comb

from pydantic import Field

from gptrilogy.config import Config


class DedupConfig(Config):
    """Ten hashes choose the pairs of documents to look at; six more tell which of them are worth reading.

    With `bands=10, rows=1` pairs are chosen as Spark's MinHashLSH does, wherever any hash agrees: 24 times as many as
    here, and one copy in two hundred more. Pairs grow with the square of the documents, the slowest with
    `n_hashes=100, bands=20, rows=5`, which is for many millions.

    Source: GPT3 Appendix A names MinHashLSH, ten hashes and the classifier's features. The rest is ours.

    >>> [round(DedupConfig().candidate_probability(similarity), 3) for similarity in (0.1, 0.5, 0.9)]
    [0.049, 0.763, 1.0]
    """

    n_hashes: int = Field(default=10, ge=1, le=255)  # of a document, by which pairs are chosen
    spare_hashes: int = Field(default=6, ge=0, le=255)  # more of them, which choose none but spare verifications
    bands: int = Field(default=5, ge=1)  # a pair is looked at if all hashes of one band agree
    rows: int = Field(default=2, ge=1)  # hashes in a band
    threshold: float = Field(default=0.7, gt=0, le=1)  # Jaccard similarity from which two documents are copies
    prefilter_loss: float = Field(default=0.01, ge=0, lt=1)  # of the pairs at the threshold, passed over unverified
    seed: int = Field(default=0, ge=0)

    def check(self) -> None:
        if self.bands * self.rows > self.n_hashes:
            raise ValueError(
                f"bands * rows must be at most n_hashes, got {self.bands} * {self.rows} and {self.n_hashes}: "
                f"fewer bands, or more hashes"
            )

    @property
    def signature_length(self) -> int:
        return self.n_hashes + self.spare_hashes

    def candidate_probability(self, similarity: float) -> float:
        """The chance that two documents agree in a whole band, were the hashes independent: 1 - (1 - s^rows)^bands."""
        return 1 - (1 - similarity**self.rows) ** self.bands

    def found_probability(self, similarity: float) -> float:
        """The chance that they do, and that their overlap is then taken: some candidates agree in too few hashes."""
        return sum(self._chances(similarity)[self.least_agreement :])

    @property
    def least_agreement(self) -> int:
        """In how many hashes a candidate pair must agree, so that `prefilter_loss` is kept at the threshold.

        >>> DedupConfig().least_agreement, DedupConfig(prefilter_loss=0).least_agreement
        (7, 2)
        """
        chances = self._chances(self.threshold)
        allowed, least = self.prefilter_loss * sum(chances), self.rows
        while least < self.signature_length and sum(chances[: least + 1]) <= allowed:
            least += 1
        return least

    def _chances(self, similarity: float) -> list[float]:
        """The chances that exactly k hashes agree, for each k, and among them a whole band."""
        H, s = self.signature_length, similarity
        missed = _ways_to_miss(H, self.bands, self.rows)
        return [(comb(H, k) - missed[k]) * s**k * (1 - s) ** (H - k) for k in range(H + 1)]


def _ways_to_miss(n_hashes: int, bands: int, rows: int) -> list[int]:
    """In how many ways exactly k of the hashes agree without filling a band, for k from 0 to n_hashes."""
    ways = [comb(n_hashes - bands * rows, k) for k in range(n_hashes + 1)]
    for _ in range(bands):
        ways = [sum(ways[k - at] * comb(rows, at) for at in range(min(rows, k + 1))) for k in range(n_hashes + 1)]
    return ways
