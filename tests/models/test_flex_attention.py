"""FlexAttention uncompiled, as a CPU runs it: values only, for there it has no backward pass.

Its compiled kernel needs CUDA; that `attend` chooses it there is tested beside `attend`.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_inputs import PATTERNS, random_qkv, sparse_patterns
from gptrilogy.models import flex_attention
from gptrilogy.models.attention import attend_reference
from gptrilogy.models.flex_attention import compiled_flex, flex
from gptrilogy.models.patterns import Banded, Pattern

pytestmark = pytest.mark.filterwarnings(
    "ignore:flex_attention called without torch.compile:UserWarning"  # the one thing these tests do on purpose
)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("T", [1, 150])
def test_a_mask_made_from_the_pattern_gives_the_formula(pattern: Pattern, T: int) -> None:
    qkv = random_qkv(2, 3, T, 16)
    torch.testing.assert_close(flex(*qkv, pattern), attend_reference(*qkv, pattern), rtol=1e-5, atol=1e-5)


@settings(max_examples=6)
@given(pattern=sparse_patterns(), T=st.integers(2, 60))
def test_patterns_of_any_size_give_the_formula(pattern: Pattern, T: int) -> None:
    qkv = random_qkv(1, 3, T, 16)
    torch.testing.assert_close(flex(*qkv, pattern), attend_reference(*qkv, pattern), rtol=1e-5, atol=1e-5)


def test_bf16_is_near_the_formula() -> None:
    qkv = random_qkv(1, 3, 40, 16, dtype=torch.bfloat16)
    q, k, v = (x.float() for x in qkv)
    expected = attend_reference(q, k, v, Banded(7))
    torch.testing.assert_close(flex(*qkv, Banded(7)).float(), expected, rtol=2e-2, atol=2e-2)


def test_the_compiled_kernel_gets_the_same_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `compiled_flex` all but the compiler."""
    monkeypatch.setattr(flex_attention, "_compiled", lambda: flex_attention.flex_attention)
    qkv = random_qkv(1, 3, 30, 16)
    for pattern in PATTERNS:
        assert torch.equal(compiled_flex(*qkv, pattern), flex(*qkv, pattern))
