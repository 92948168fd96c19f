import json
import math
from dataclasses import asdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.models.config import GPTConfig
from gptrilogy.scaling.plan import Plan, expected_bits_per_byte, make_plan, memory_by_part

SMALL = GPTConfig(n_vocab=2048, n_ctx=256, n_embd=192, n_head=6, n_layer=4)
RUN: dict[str, Any] = {
    "steps": 1000,
    "batch_size": 32,
    "micro_batch_size": 8,
    "precision": "fp32",
    "flops_per_s": 2e11,
    "text_tokens": 4_000_000,
    "text_bytes": 14_000_000,
    "available_bytes": 16 * 10**9,
}


def planned(**changes: Any) -> Plan:
    return make_plan(SMALL, **{**RUN, **changes})


def test_the_plans_json_has_its_promised_names() -> None:
    document = json.loads(json.dumps(asdict(planned())))
    assert document["parameters"] == 2_222_208
    assert set(document) == {
        "parameters",
        "parameters_by_part",
        "non_embedding_parameters",
        "flops_per_token_forward",
        "flops_per_token_training",
        "memory_bytes",
        "memory_by_part",
        "tokens",
        "steps",
        "tokens_per_step",
        "epochs",
        "pf_days",
        "seconds",
        "seconds_from",
        "expected_bits_per_byte",
        "warnings",
    }


def test_the_sums_follow_from_each_other() -> None:
    plan = planned()
    assert plan.tokens_per_step == 32 * 256
    assert plan.tokens == 1000 * plan.tokens_per_step
    assert plan.epochs == plan.tokens / 4_000_000
    assert plan.parameters == sum(plan.parameters_by_part.values())
    assert plan.memory_bytes == sum(plan.memory_by_part.values())
    assert plan.pf_days is not None
    assert plan.seconds is not None
    assert math.isclose(plan.pf_days * 86_400e15, plan.tokens * plan.flops_per_token_training)
    assert math.isclose(plan.seconds * 0.4 * 2e11, plan.tokens * plan.flops_per_token_training)
    assert plan.seconds_from == "40% of this machine's matrix ceiling"


def test_a_timed_step_outweighs_the_estimate() -> None:
    plan = planned(step_s=0.25)
    assert (plan.seconds, plan.seconds_from) == (250.0, "timed steps")


def test_without_steps_there_is_no_time_and_without_text_no_expectation() -> None:
    size_alone = planned(steps=None)
    assert (size_alone.tokens, size_alone.seconds, size_alone.pf_days, size_alone.epochs) == (None,) * 4
    no_text = planned(text_tokens=None, text_bytes=None)
    assert (no_text.epochs, no_text.expected_bits_per_byte) == (None, None)
    assert no_text.warnings == size_alone.warnings == ()


# Warnings.


def test_a_run_that_fits_is_not_warned_of() -> None:
    assert planned().warnings == ()


def test_a_text_read_too_often_is_warned_of() -> None:
    (warning,) = planned(text_tokens=800_000, text_bytes=2_800_000).warnings
    assert "it will be read 10.2 times" in warning
    assert planned(text_tokens=2_048_000).warnings == ()  # 4 times, and no more


def test_a_step_past_the_memory_is_warned_of() -> None:
    (warning,) = planned(available_bytes=10**8).warnings
    assert "this machine has 0.1 GB" in warning
    assert "--train.micro-batch-size" in warning


def test_a_run_inside_its_warm_up_is_warned_of() -> None:
    (warning,) = planned(warmup_tokens=10_000_000).warnings
    assert "8,192,000 of 10,000,000 tokens" in warning
    assert planned(warmup_tokens=8_192_000).warnings == ()


def test_every_reason_is_given_at_once() -> None:
    assert len(planned(text_tokens=800_000, available_bytes=1, warmup_tokens=10**9).warnings) == 3


# Memory.


def test_adam_keeps_16_bytes_a_weight_and_bf16_copies_2_more() -> None:
    fp32, bf16 = memory_by_part(SMALL, 8, "fp32"), memory_by_part(SMALL, 8, "bf16")
    assert fp32["weights"] + fp32["gradients"] + fp32["Adam's two moments"] == 16 * 2_222_208
    assert (fp32["bf16 copies of the weights"], bf16["bf16 copies of the weights"]) == (0, 2 * 2_222_208)
    assert fp32["activations"] / 2 < bf16["activations"] < fp32["activations"]


def test_activations_grow_with_the_micro_batch_and_weights_do_not() -> None:
    one, eight = memory_by_part(SMALL, 1, "fp32"), memory_by_part(SMALL, 8, "fp32")
    assert one["activations"] < eight["activations"]
    assert {**one, "activations": 0} == {**eight, "activations": 0}


# The loss to expect.


@given(layers=st.lists(st.integers(1, 48), min_size=2, max_size=2, unique=True).map(sorted), text=st.floats(1e6, 1e12))
def test_a_larger_model_is_expected_to_be_better(layers: list[int], text: float) -> None:
    small, large = (SMALL.replace(n_layer=n_layer) for n_layer in layers)
    assert expected_bits_per_byte(large, text, int(text)) < expected_bits_per_byte(small, text, int(text))


@given(text_bytes=st.integers(10**6, 10**11), epochs=st.floats(0.2, 20), more=st.floats(1.01, 10))
def test_more_text_is_expected_to_help(text_bytes: int, epochs: float, more: float) -> None:
    seen = text_bytes * epochs
    now = expected_bits_per_byte(SMALL, seen, text_bytes)
    assert expected_bits_per_byte(SMALL, seen * more, int(text_bytes * more)) < now  # as often, but more of it
    assert expected_bits_per_byte(SMALL, seen * more, text_bytes) < now  # the same, more often


@given(text_bytes=st.integers(10**6, 10**10), epochs=st.floats(1.1, 50))
def test_repeated_text_is_worth_less_than_new_text(text_bytes: int, epochs: float) -> None:
    seen = text_bytes * epochs
    assert expected_bits_per_byte(SMALL, seen, text_bytes) > expected_bits_per_byte(SMALL, seen, int(seen))


@given(text_bytes=st.integers(1, 10**12), epochs=st.floats(0, 1e6))
def test_no_text_is_too_short_or_too_often_read_for_an_expectation(text_bytes: int, epochs: float) -> None:
    assert 0 < expected_bits_per_byte(SMALL, text_bytes * epochs, text_bytes) <= 8  # 8 bits: every byte a guess
