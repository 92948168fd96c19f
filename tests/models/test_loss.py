from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gptrilogy.models import GPT, GPTConfig
from gptrilogy.models.loss import mean_loss_nats, mean_loss_reference, token_nats

N, C, V = 11, 6, 10


@pytest.fixture(params=[1, V, 3 * V, 11 * V, 1 << 24], ids=lambda size: f"chunks of {size}")
def chunk_elements(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks smaller than one row, of one row, of some, of exactly all, and of more than all."""
    monkeypatch.setattr("gptrilogy.models.loss.CHUNK_ELEMENTS", request.param)


@pytest.fixture
def hidden(chunk_elements: None) -> Tensor:
    return torch.randn(N, C, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.fixture
def wte() -> Tensor:
    return torch.randn(V, C, generator=torch.Generator().manual_seed(1)).requires_grad_()


@pytest.fixture
def targets() -> Tensor:
    return torch.randint(V, (N,), generator=torch.Generator().manual_seed(2))


WEIGHTS = {
    "all alike": None,
    "some": torch.linspace(0.1, 2.0, N),
    "with zeros": torch.tensor([0.0, 1, 0, 0, 3, 0.5, 0, 0, 0, 1, 0]),
    "yes or no": torch.arange(N) % 3 == 0,
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS.keys())
@pytest.mark.parametrize("upstream", [1.0, -0.37])
def test_chunks_equal_the_formula(
    hidden: Tensor, wte: Tensor, targets: Tensor, weights: Tensor | None, upstream: float
) -> None:
    loss = mean_loss_nats(hidden, wte, targets, weights)
    expected = mean_loss_reference(hidden, wte, targets, weights)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    found = torch.autograd.grad(loss * upstream, [hidden, wte])
    torch.testing.assert_close(found, torch.autograd.grad(expected * upstream, [hidden, wte]), rtol=1e-5, atol=1e-6)


def test_gradients_of_several_portions_add_up(hidden: Tensor, wte: Tensor, targets: Tensor) -> None:
    mean_loss_reference(hidden, wte, targets).backward()
    whole = hidden.grad, wte.grad
    hidden.grad = wte.grad = None
    for part in (slice(0, 4), slice(4, 5), slice(5, N)):
        share = len(targets[part]) / N
        (mean_loss_nats(hidden[part], wte, targets[part]) * share).backward()
    torch.testing.assert_close((hidden.grad, wte.grad), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS["with zeros"]], ids=["all alike", "with zeros"])
def test_the_gradient_is_the_derivative(hidden: Tensor, wte: Tensor, targets: Tensor, weights: Tensor | None) -> None:
    doubles = [x.detach().double().requires_grad_() for x in (hidden, wte)]

    def loss(h: Tensor, w: Tensor) -> Tensor:
        return mean_loss_nats(h, w, targets, weights)

    assert torch.autograd.gradcheck(loss, doubles)


@pytest.mark.usefixtures("chunk_elements")
def test_a_tied_embedding_collects_both_of_its_gradients(wte: Tensor, targets: Tensor) -> None:
    looked_up = mean_loss_nats(wte[targets.roll(1)], wte, targets)
    expected = mean_loss_reference(wte[targets.roll(1)], wte, targets)
    torch.testing.assert_close(torch.autograd.grad(looked_up, wte), torch.autograd.grad(expected, wte))


def test_bf16_under_autocast_is_near_the_formula(hidden: Tensor, wte: Tensor, targets: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = mean_loss_nats(hidden, wte, targets)
    expected = mean_loss_reference(hidden, wte, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=2e-2)
    found, exact = (torch.autograd.grad(x, [hidden, wte]) for x in (loss, expected))
    torch.testing.assert_close(found, exact, rtol=2e-2, atol=2e-2)


def test_token_nats_are_the_terms_of_the_mean(hidden: Tensor, wte: Tensor, targets: Tensor) -> None:
    nats = token_nats(hidden, wte, targets)
    assert nats.shape == (N,)
    assert not nats.requires_grad
    torch.testing.assert_close(nats.mean(), mean_loss_reference(hidden, wte, targets))


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any operation has made at once."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else [result]
        self.elements = max([self.elements, *(x.numel() for x in made if isinstance(x, Tensor))])
        return result


def test_whole_logits_are_never_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptrilogy.models.loss.CHUNK_ELEMENTS", 8_000)
    B, T, n_vocab = 2, 64, 1_000
    model = GPT(GPTConfig(n_vocab=n_vocab, n_ctx=T, n_embd=16, n_head=2, n_layer=2))
    ids = torch.randint(n_vocab, (B, T + 1))
    with LargestTensor() as chunked:
        model.loss(ids).backward()
        model.token_nats(ids)
    assert n_vocab * 16 <= chunked.elements < B * T * n_vocab // 4
    with LargestTensor() as whole:
        mean_loss_reference(model.hidden(ids[:, :-1])[0], model.wte.weight, ids[0, 1:])
        model(ids[:, :-1])
    assert whole.elements == B * T * n_vocab


def test_a_target_whose_probability_vanishes_in_fp32_keeps_its_loss(targets: Tensor) -> None:
    hidden, wte = torch.eye(N, C) * 150, torch.eye(V, C)
    loss = mean_loss_nats(hidden, wte, targets)
    torch.testing.assert_close(loss, mean_loss_reference(hidden, wte, targets))
    assert loss > 60
