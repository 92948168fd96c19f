"""Loss on held-out text, per token and per byte."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gptrilogy.data.loader import valid_windows
from gptrilogy.data.mixture import shares_of
from gptrilogy.data.shards import PackedSet, Tokens
from gptrilogy.models.gpt import GPT
from gptrilogy.training.signals import StopRequest

BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Validation:
    """Mean loss in nats a token, and the same in bits a byte of the text, which no tokenizer can flatter."""

    loss_nats: float
    bits_per_byte: float
    loss_by_set: Mapping[str, float] = field(default_factory=dict[str, float])  # nats a token, of a mixture


@torch.no_grad()
def validate(
    model: GPT, tokens: Tokens, stop: StopRequest | None = None, *, max_windows: int | None = None
) -> Validation | None:
    """Score held-out text in windows that overlap by half a context, every token once.

    The end-of-text tokens are scored too, and counted against the bytes of the text alone. None where a request to
    stop came in between.
    """
    n_ctx = model.config.n_ctx
    windows = valid_windows(tokens, n_ctx, stride=max(1, n_ctx // 2), max_windows=max_windows)
    training = model.training
    model.eval()
    total, count = 0.0, 0
    for ids, n_skip in _batches(windows, max(1, BATCH_TOKENS // n_ctx)):
        if stop:
            break
        nats = model.token_nats(ids.to(model.wte.weight.device))  # (B, T)
        for row, skip in zip(nats, n_skip, strict=True):
            total += row[skip:].sum(dtype=torch.float64).item()
            count += len(row) - skip
    model.train(training)
    if stop:
        return None
    loss_nats = total / count
    return Validation(loss_nats, loss_nats / math.log(2) * len(tokens) / tokens.text_bytes)


def validate_sets(
    model: GPT, sets: Sequence[PackedSet], stop: StopRequest | None = None, *, max_windows: int | None = None
) -> Validation | None:
    """Score the held-out text of every set of a mixture, as `validate` does one text.

    The loss of the mixture is the mean of theirs by their shares of the training tokens, which is what training makes
    smaller; its bits are held against the bytes that so mixed tokens have. `max_windows` are divided by the same
    shares, one at least for each set.
    """
    shares = shares_of({one.name: one.weight for one in sets})
    losses: dict[str, float] = {}
    for one in sets:
        windows = None if max_windows is None else max(1, round(shares[one.name] * max_windows))
        judged = validate(model, one.valid, stop, max_windows=windows)
        if judged is None:
            return None
        losses[one.name] = judged.loss_nats
    loss_nats = sum(shares[name] * loss for name, loss in losses.items())
    bytes_per_token = sum(shares[one.name] * one.valid.text_bytes / len(one.valid) for one in sets)
    return Validation(loss_nats, loss_nats / math.log(2) / bytes_per_token, losses)


def _batches(windows: Iterable[tuple[Tensor, int]], size: int) -> Iterator[tuple[Tensor, list[int]]]:
    """Stack windows of one length, at most `size` at a time."""
    held: list[tuple[Tensor, int]] = []
    for window in windows:
        if held and (len(held) == size or len(held[0][0]) != len(window[0])):
            yield _stack(held)
            held = []
        held.append(window)
    if held:
        yield _stack(held)


def _stack(windows: list[tuple[Tensor, int]]) -> tuple[Tensor, list[int]]:
    return torch.stack([ids for ids, _ in windows]), [skip for _, skip in windows]
