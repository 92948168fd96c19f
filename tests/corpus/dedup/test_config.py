"""A banding's chances, counted out over all ways in which hashes can agree."""

from itertools import product

import pytest

from gptrilogy.config import parse
from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.errors import ConfigError

SPARKS = DedupConfig(spare_hashes=0, n_hashes=10, bands=10, rows=1)


def chances_reference(similarity: float, config: DedupConfig) -> tuple[float, float]:
    """The chance of a whole band, and of that with enough agreement, over each of the 2^H outcomes."""
    candidate = found = 0.0
    for agrees in product((0, 1), repeat=config.signature_length):
        chance = similarity ** sum(agrees) * (1 - similarity) ** (config.signature_length - sum(agrees))
        bands = [agrees[n * config.rows : (n + 1) * config.rows] for n in range(config.bands)]
        if any(all(band) for band in bands):
            candidate += chance
            found += chance * (sum(agrees) >= config.least_agreement)
    return candidate, found


@pytest.mark.parametrize("shape", [(10, 10, 1), (10, 5, 2), (10, 3, 3), (7, 1, 5), (5, 5, 1)])
@pytest.mark.parametrize("similarity", [0.0, 0.13, 0.7, 1.0])
def test_chances_are_those_of_all_outcomes(shape: tuple[int, int, int], similarity: float) -> None:
    n_hashes, bands, rows = shape
    config = DedupConfig(spare_hashes=0, n_hashes=n_hashes, bands=bands, rows=rows)
    candidate, found = chances_reference(similarity, config)
    assert config.candidate_probability(similarity) == pytest.approx(candidate, abs=1e-12)
    assert config.found_probability(similarity) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("config", [SPARKS, DedupConfig(), DedupConfig(spare_hashes=0, n_hashes=100, bands=20, rows=5)])
def test_the_prefilter_loses_no_more_than_it_may_and_could_not_ask_for_more(config: DedupConfig) -> None:
    chances = config._chances(config.threshold)  # pyright: ignore[reportPrivateUsage] - the sums below are its point
    least = config.least_agreement
    assert sum(chances[:least]) <= 0.01 * sum(chances) < sum(chances[: least + 1])
    assert config.found_probability(0.7) >= 0.99 * config.candidate_probability(0.7)


def test_without_a_loss_every_candidate_is_verified() -> None:
    every = SPARKS.replace(prefilter_loss=0)
    assert every.least_agreement == 1
    assert every.found_probability(0.3) == pytest.approx(1 - 0.7**10)


def test_copies_at_the_highest_threshold_agree_in_everything() -> None:
    assert DedupConfig(threshold=1).least_agreement == DedupConfig().signature_length


def test_bands_must_fit_the_hashes() -> None:
    with pytest.raises(ConfigError, match=r"bands \* rows must be at most n_hashes, got 4 \* 3 and 10: fewer bands"):
        parse(DedupConfig, {"n_hashes": 10, "bands": 4, "rows": 3})
