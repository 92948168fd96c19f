"""The ways to train a GPT that are raced against each other, each as a function that makes one optimizer step.

All begin from the same weights and the same first batch, without dropout, with one AdamW and one clipping: the
defaults of `TrainConfig`. Ours makes its steps as `pretrain` does, loader and finiteness checks included; the batch of
the others lies ready.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench.cases import OURS, OURS_FP32, PLAIN, TRANSFORMERS, TRANSFORMERS_FUSED, Case
from bench.plain import PlainGPT, plain_step
from gptrilogy.data.loader import Loader
from gptrilogy.data.tokens import Tokens
from gptrilogy.models import GPT
from gptrilogy.training.config import RunConfig, TrainConfig
from gptrilogy.training.loop import update
from gptrilogy.training.pretrain import accumulate_gradients
from gptrilogy.training.resolve import micro_batch_size
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import fresh_state

SEED = 0
BATCHES_AN_EPOCH = 64
TRAIN = TrainConfig()
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Contender:
    """A model, and a function that trains it by one step and returns the loss in nats a token."""

    model: nn.Module
    step: Callable[[], float]


def _ours(case: Case, *, precision: Literal["fp32", "bf16"]) -> Contender:
    train = TRAIN.replace(batch_size=case.batch_size, precision=precision)
    config = RunConfig(seed=SEED, model=case.model, train=train)
    train = train.replace(micro_batch_size=micro_batch_size(config))
    state = fresh_state(config, CPU)
    loader, no_stop = _loader(case), StopRequest()

    def step() -> float:
        loss_nats = accumulate_gradients(state, loader, train, no_stop)
        assert loss_nats is not None
        update(state, train.learning_rate, loss_nats, train.grad_clip)
        state.samples += train.batch_size
        return loss_nats

    return Contender(state.model, step)


def _plain(case: Case) -> Contender:
    sizes = case.model
    model = PlainGPT(sizes.n_vocab, sizes.n_ctx, sizes.n_embd, sizes.n_head, sizes.n_layer)
    model.load_state_dict(_weights(case))
    optimizer, ids = _adamw(model), _batch(case)
    return Contender(model, partial(plain_step, model, optimizer, ids, TRAIN.grad_clip))


def _transformers(case: Case, *, bf16_and_fused: bool) -> Contender:
    """GPT-2 as Hugging Face ships it, with its default attention, which calls PyTorch's own kernel."""
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = case.model
    config = GPT2Config(
        vocab_size=sizes.n_vocab,
        n_positions=sizes.n_ctx,
        n_embd=sizes.n_embd,
        n_head=sizes.n_head,
        n_layer=sizes.n_layer,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,  # the default lies outside a small vocabulary
        eos_token_id=0,
    )
    model: Any = GPT2LMHeadModel(config)
    model.loss_type = "ForCausalLM"  # its default, named so that it does not warn
    model.load_state_dict(_transformers_names(_weights(case)))
    model.train()
    optimizer, ids = _adamw(model, fused=bf16_and_fused), _batch(case)
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_and_fused):
            loss = model(inputs, labels=targets, shift_labels=targets).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), TRAIN.grad_clip)
        optimizer.step()
        return loss.item()

    return Contender(model, step)


def _transformers_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Its linear layers store their matrices transposed; the output layer is the token embedding once more."""
    linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    renamed = {f"transformer.{name}": w.t() if name.endswith(linear) else w for name, w in weights.items()}
    return renamed | {"lm_head.weight": weights["wte.weight"]}


def _adamw(model: nn.Module, *, fused: bool | None = None) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        model.parameters(),
        lr=TRAIN.learning_rate,
        betas=(TRAIN.beta1, TRAIN.beta2),
        eps=TRAIN.epsilon,
        weight_decay=TRAIN.weight_decay,
        fused=fused,
    )


def _weights(case: Case) -> dict[str, Tensor]:
    """What `fresh_state` draws from the same seed."""
    return GPT(case.model, torch.Generator().manual_seed(SEED)).state_dict()


def _loader(case: Case) -> Loader:
    """Random ids for an epoch of many batches, as a real run has."""
    n_tokens = BATCHES_AN_EPOCH * case.step_tokens + 1
    ids = np.random.default_rng(SEED).integers(case.model.n_vocab, size=n_tokens, dtype=np.uint16)
    return Loader(Tokens([ids], eot_id=0), n_ctx=case.model.n_ctx, seed=SEED)


def _batch(case: Case) -> Tensor:
    """The first batch of ours. Shapes: -> (B, T + 1)."""
    return _loader(case).batch(0, case.batch_size)


BUILDERS: dict[str, Callable[[Case], Contender]] = {
    OURS: partial(_ours, precision="bf16"),
    OURS_FP32: partial(_ours, precision="fp32"),
    PLAIN: _plain,
    TRANSFORMERS: partial(_transformers, bf16_and_fused=False),
    TRANSFORMERS_FUSED: partial(_transformers, bf16_and_fused=True),
}
