"""The learning rates of the papers, computed from their words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.recipes import recipe
from gptrilogy.training.config import TrainConfig
from gptrilogy.training.schedule import learning_rate, linear_learning_rate

GPT1 = recipe("gpt1").train.model_copy(update={"epochs": None, "max_steps": 200_000})
GPT3_TOKENS_PER_STEP = 1600 * 2048


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 2.5e-4 / 2000),
        (999, 1.25e-4),
        (1999, 2.5e-4),
        (2000 + 99_000 - 1, 1.25e-4),  # half-way down
        (2000 + 49_500 - 1, 2.5e-4 * (2 + math.sqrt(2)) / 4),
        (199_999, 0.0),
        (300_000, 0.0),
    ],
)
def test_gpt1_warms_up_over_2000_updates_and_falls_to_zero(step: int, rate: float) -> None:
    # GPT1 §4.1: "increased linearly from zero over the first 2000 updates and annealed to 0 using a cosine schedule"
    assert learning_rate(GPT1, step=step, tokens_per_step=64 * 512) == pytest.approx(rate, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("tokens", "rate"),
    [
        (375e6 / 2, 0.3e-4),
        (375e6, 0.6e-4),
        ((375e6 + 260e9) / 2, 0.33e-4),  # the middle between the peak and a tenth of it
        (260e9, 0.06e-4),
        (280e9, 0.06e-4),
        (300e9, 0.06e-4),
    ],
)
def test_gpt3_counts_tokens_and_stays_at_a_tenth(tokens: float, rate: float) -> None:
    # GPT3 App. B: "warmup over the first 375 million tokens", "cosine decay for learning rate down to 10% of its
    # value, over 260 billion tokens (after 260 billion tokens, training continues at 10%)"
    config = recipe("gpt3-175b").train
    step = round(tokens / GPT3_TOKENS_PER_STEP) - 1
    found = learning_rate(config, step=step, tokens_per_step=GPT3_TOKENS_PER_STEP)
    assert found == pytest.approx(rate, rel=5e-3)  # a step of 3.3M tokens is nearly a hundredth of the warm-up


def test_tokens_and_steps_say_the_same() -> None:
    by_step = TrainConfig(max_steps=100, warmup_steps=10, decay_steps=80)
    by_token = TrainConfig(max_steps=100, warmup_tokens=10 * 48, decay_tokens=80 * 48)
    for step in range(120):
        assert learning_rate(by_step, step=step, tokens_per_step=48) == pytest.approx(
            learning_rate(by_token, step=step, tokens_per_step=48), rel=1e-12
        )


schedules = st.builds(
    TrainConfig,
    max_steps=st.integers(1, 10**6),
    warmup_steps=st.integers(0, 10**5),
    decay_steps=st.integers(1, 10**6) | st.none(),
    learning_rate=st.floats(1e-6, 10),
    final_lr_fraction=st.floats(0.01, 1),
)


@given(config=schedules, step=st.integers(0, 10**6))
def test_a_rate_is_above_zero_and_at_most_the_peak(config: TrainConfig, step: int) -> None:
    rate = learning_rate(config, step=step, tokens_per_step=1)
    assert 0 < rate <= config.learning_rate * (1 + 1e-12)


@given(config=schedules, step=st.integers(0, 10**6))
def test_a_rate_rises_in_the_warm_up_and_falls_after_it(config: TrainConfig, step: int) -> None:
    now, then = (learning_rate(config, step=at, tokens_per_step=1) for at in (step, step + 1))
    if step + 2 <= config.warmup_steps:
        assert now < then
    else:
        assert now >= then * (1 - 1e-12) or step + 1 == config.warmup_steps


@given(config=schedules, beyond=st.integers(0, 10**6))
def test_a_rate_is_flat_past_the_end(config: TrainConfig, beyond: int) -> None:
    end = max(config.decay_steps or config.max_steps or 1, config.warmup_steps)
    rate = learning_rate(config, step=end + beyond, tokens_per_step=1)
    assert rate == pytest.approx(config.learning_rate * config.final_lr_fraction, rel=1e-9)


@given(config=schedules, step=st.integers(0, 10**6), more=st.integers(1, 10**6))
def test_a_longer_run_keeps_the_schedule_whose_end_is_stored(config: TrainConfig, step: int, more: int) -> None:
    stored = config.replace(decay_steps=config.decay_steps or config.max_steps)
    longer = stored.replace(max_steps=(stored.max_steps or 0) + more)
    for each in (stored, longer):
        rate = learning_rate(each, step=step, tokens_per_step=1)
        assert rate == learning_rate(config, step=step, tokens_per_step=1)


@pytest.mark.parametrize(("max_steps", "warmup"), [(1000, 2), (10, 0), (10, 5), (10, 9), (1, 0), (537, 1), (2, 1)])
def test_fine_tuning_warms_up_and_falls_to_zero_on_straight_lines(max_steps: int, warmup: int) -> None:
    # GPT1 §4.1: "a linear learning rate decay schedule with warmup over 0.2% of training". An update of the warm-up
    # has the rate at its end, one after it the rate at its beginning, so that none is wasted at zero.
    for step in range(max_steps):
        up = np.interp(step + 1, [0, warmup], [0, 1]) if warmup else 1
        down = np.interp(step, [warmup, max_steps], [1, 0])
        found = linear_learning_rate(6.25e-5, step=step, max_steps=max_steps, warmup_fraction=warmup / max_steps)
        assert found == pytest.approx(6.25e-5 * (up if step < warmup else down), rel=1e-9)
    assert linear_learning_rate(1.0, step=max_steps, max_steps=max_steps, warmup_fraction=warmup / max_steps) == 0


@given(max_steps=st.integers(1, 3000), warmup_fraction=st.floats(0, 0.99), peak=st.floats(1e-6, 10))
def test_no_update_of_fine_tuning_is_wasted_at_zero(max_steps: int, warmup_fraction: float, peak: float) -> None:
    def rate(step: int) -> float:
        return linear_learning_rate(peak, step=step, max_steps=max_steps, warmup_fraction=warmup_fraction)

    warmup = warmup_fraction * max_steps
    rates = [rate(step) for step in range(max_steps)]
    assert all(0 < each <= peak * (1 + 1e-12) for each in rates)
    assert rates[0] == pytest.approx(peak * min(1, 1 / warmup if warmup else 1))
    assert rates[-1] == pytest.approx(peak * min(1, 1 / (max_steps - warmup)))
    top = rates.index(max(rates))
    assert abs(top + 1 - warmup) <= 1
    assert rates == [*sorted(rates[:top]), *sorted(rates[top:], reverse=True)]
