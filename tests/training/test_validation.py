"""Loss on held-out text, against the plainest way to compute it."""

import math

import numpy as np
import pytest
import torch

from gptrilogy.data.tokens import Tokens
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.training import validation
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.validation import Validation, validate

N_CTX, EOT = 6, 19


@pytest.fixture
def model() -> GPT:
    config = GPTConfig(n_vocab=20, n_ctx=N_CTX, n_embd=8, n_head=2, n_layer=2, dropout=0.5, init_std=0.5)
    return GPT(config, torch.Generator().manual_seed(0))


def held_out(n: int) -> Tokens:
    ids = np.random.default_rng(0).integers(0, 19, n).astype("<u2")
    return Tokens([ids[:3], ids[3:]] if n > 3 else [ids], eot_id=EOT, documents=1, text_bytes=3 * n + 1)


def loss_reference(model: GPT, tokens: Tokens) -> float:
    """The mean of -log p, one token at a time, each after what its window shows: half a context or more."""
    ids, stride = tokens.window(0, len(tokens)).tolist(), N_CTX // 2
    total = 0.0
    for place, target in enumerate(ids):
        begin = 0 if place < N_CTX else ((place - N_CTX) // stride + 1) * stride
        context = [ids[begin - 1] if begin else EOT, *ids[begin:place]]
        with torch.no_grad():
            total -= model(torch.tensor([context]))[0, -1].double().log_softmax(-1)[target].item()
    return total / len(ids)


def scored(model: GPT, tokens: Tokens, *, max_windows: int | None = None) -> Validation:
    found = validate(model, tokens, max_windows=max_windows)
    assert found is not None
    return found


def test_a_request_to_stop_ends_a_validation(model: GPT) -> None:
    stop = StopRequest()
    stop.number = 15
    assert validate(model, held_out(50), stop) is None


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 9, 10, 50])
def test_the_loss_is_the_mean_over_every_token_once(n: int, model: GPT) -> None:
    found = scored(model, held_out(n))
    assert found.loss_nats == pytest.approx(loss_reference(model.eval(), held_out(n)), rel=1e-5)


def test_bits_per_byte_are_all_the_bits_over_the_bytes_of_the_text(model: GPT) -> None:
    found = scored(model, held_out(50))
    assert found.bits_per_byte == pytest.approx(50 * found.loss_nats / math.log(2) / 151, rel=1e-12)


def test_a_part_of_the_windows_is_cheaper_and_keeps_the_ratio_of_bits_to_nats(model: GPT) -> None:
    whole, part = scored(model, held_out(50)), scored(model, held_out(50), max_windows=3)
    assert part.loss_nats != whole.loss_nats
    assert part.bits_per_byte / part.loss_nats == pytest.approx(whole.bits_per_byte / whole.loss_nats, rel=1e-12)
    assert scored(model, held_out(50), max_windows=1000) == whole


def test_the_batch_size_does_not_matter(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scored(model, held_out(50))
    monkeypatch.setattr(validation, "BATCH_TOKENS", 1)
    assert scored(model, held_out(50)).loss_nats == pytest.approx(whole.loss_nats, rel=1e-6)


def test_validation_leaves_no_trace(model: GPT) -> None:
    generator = torch.get_rng_state()
    for training in (True, False):
        model.train(training)
        scored(model, held_out(9))
        assert model.training == training
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.grad is None for parameter in model.parameters())
