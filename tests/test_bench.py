"""The bench measures like with like."""

import pytest
from bench.cases import ALL, DEFAULT, OURS_FP32, PLAIN, Case
from bench.contenders import BUILDERS
from bench.measure import measure

from gptrilogy.models import GPTConfig
from gptrilogy.scaling.compute import n_parameters

TINY = Case(
    name="tiny",
    model=GPTConfig(n_layer=2, n_embd=16, n_head=2, n_ctx=8, n_vocab=11),
    batch_size=3,
    sample_steps=2,
)


@pytest.mark.parametrize("name", ALL)
def test_every_contender_trains_the_same_model_from_the_same_loss(name: str) -> None:
    ours, other = BUILDERS[OURS_FP32](TINY), BUILDERS[name](TINY)
    assert sum(p.numel() for p in other.model.parameters()) == n_parameters(TINY.model)
    tolerance = 2e-2 if "bf16" in name else 1e-4
    assert other.step() == pytest.approx(ours.step(), abs=tolerance)


def test_a_measurement_gives_positive_samples_of_each_process() -> None:
    said: list[str] = []
    found = measure(TINY, 2, said.append, contenders=(DEFAULT, PLAIN))
    assert list(found.results) == [DEFAULT, PLAIN]
    for name, result in found.results.items():
        assert len(result.seconds) == 2
        assert min(result.seconds) > 0
        assert result.peak_bytes > 1e7
        assert found.share_of_ceiling(name) > 0
    assert said


def test_a_process_that_ends_early_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="the process of nobody ended with code 1"):
        measure(TINY, 1, print, contenders=("nobody",))
