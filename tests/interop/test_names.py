"""The one table of names, read in both directions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import FormatError
from gptrilogy.interop.names import GGUF, HF_GPT1, HF_GPT2, OPENAI, Dialect, to_ours, to_theirs
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.models.weights import shapes

PRE = GPTConfig(n_vocab=11, n_ctx=6, n_embd=8, n_head=2, n_layer=2)
POST = PRE.replace(norm="post", final_norm=False)


def weights_of(config: GPTConfig) -> dict[str, torch.Tensor]:
    return {name: torch.randn(shape) for name, shape in shapes(config).items()}


@pytest.mark.parametrize(
    ("config", "dialect"), [(PRE, HF_GPT2), (POST, HF_GPT1), (PRE, OPENAI), (POST, OPENAI), (PRE, GGUF)]
)
def test_there_and_back_is_exact_to_the_bit(config: GPTConfig, dialect: Dialect) -> None:
    weights = weights_of(config)
    back = to_ours(to_theirs(weights, config, dialect), config, dialect, source="x")
    assert list(back) == [ours for ours, _ in dialect.pairs(config)]
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize(("config", "dialect"), [(PRE, HF_GPT2), (POST, HF_GPT1), (PRE, OPENAI), (PRE, GGUF)])
def test_every_weight_of_a_model_has_a_name_of_its_own(config: GPTConfig, dialect: Dialect) -> None:
    ours, theirs = zip(*dialect.pairs(config), strict=True)
    assert set(ours) == set(GPT(config).state_dict())
    assert len(set(theirs)) == len(theirs)
    assert not any(name.endswith(("/", ".")) or "#" in name for name in theirs)


def test_projections_lie_the_other_way_round_where_they_should() -> None:
    weights = weights_of(PRE)
    name = "h.1.mlp.c_fc.weight"
    assert torch.equal(to_theirs(weights, PRE, HF_GPT2)[f"transformer.{name}"], weights[name].mT)
    assert to_theirs(weights, PRE, OPENAI)["model/h1/mlp/c_fc/w"].shape == (1, 8, 32)
    assert torch.equal(to_theirs(weights, PRE, GGUF)["blk.1.ffn_up.weight"], weights[name])


@given(st.sampled_from([name for _, name in HF_GPT2.pairs(PRE)]))
def test_a_missing_tensor_is_named(name: str) -> None:
    theirs = to_theirs(weights_of(PRE), PRE, HF_GPT2)
    del theirs[name]
    with pytest.raises(FormatError, match=f"here lacks the tensor {name}"):
        to_ours(theirs, PRE, HF_GPT2, source="here")


@given(st.sampled_from([name for _, name in HF_GPT2.pairs(PRE)]))
def test_a_tensor_of_another_shape_is_named_with_both_shapes(name: str) -> None:
    theirs = to_theirs(weights_of(PRE), PRE, HF_GPT2)
    right = tuple(theirs[name].shape)
    theirs[name] = torch.zeros(*right[:-1], right[-1] + 1)
    with pytest.raises(FormatError) as caught:
        to_ours(theirs, PRE, HF_GPT2, source="here")
    assert str(caught.value).startswith(f"here: {name} has shape {tuple(theirs[name].shape)}")
    assert str(right) in str(caught.value)


def test_tensors_left_over_are_named_and_counted() -> None:
    theirs = to_theirs(weights_of(PRE), PRE, HF_GPT2) | {"adapter.b": torch.ones(1), "adapter.a": torch.ones(1)}
    with pytest.raises(FormatError, match=r"has the tensor adapter\.a and 1 more, which no model"):
        to_ours(theirs, PRE, HF_GPT2, source="here")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrower_numbers_are_widened_without_loss(dtype: torch.dtype) -> None:
    theirs = {name: tensor.to(dtype) for name, tensor in to_theirs(weights_of(PRE), PRE, HF_GPT2).items()}
    ours = to_ours(theirs, PRE, HF_GPT2, source="here")
    assert {tensor.dtype for tensor in ours.values()} == {torch.float32}
    assert torch.equal(ours["wte.weight"].to(dtype), theirs["transformer.wte.weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.int8])
def test_numbers_that_would_be_changed_are_refused(dtype: torch.dtype) -> None:
    theirs = to_theirs(weights_of(PRE), PRE, HF_GPT2)
    theirs["transformer.wpe.weight"] = theirs["transformer.wpe.weight"].to(dtype)
    with pytest.raises(FormatError, match=r"transformer\.wpe\.weight holds torch\."):
        to_ours(theirs, PRE, HF_GPT2, source="here")
