"""GPT-1's released fine-tuning rules beside the paper's, each difference a switch: a slow twin on plain tensors.

Source: openai/finetune-transformer-lm, opt.py and train.py, for its facts.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.finetuning.batches import Batch, Item, in_groups
from gptrilogy.finetuning.config import TuneConfig
from gptrilogy.finetuning.model import FineTuned, task_loss
from gptrilogy.models.dropout import dropout as drop
from gptrilogy.models.gpt import GPT


@dataclass(frozen=True, slots=True)
class Deviations:
    """What the released code does otherwise; with none of them, everything here equals the package."""

    raw_epsilon: bool = False  # epsilon joins sqrt(v) before its bias is corrected
    scaled_decay: bool = False  # the bias corrections scale the decay as well
    late_schedule: bool = False  # the schedule is asked before the count goes up, so the first rate is zero
    shared_mask: bool = False  # one dropout mask for all answers of an example
    position_logits: bool = False  # rows for positions compete with tokens in the softmax
    dropped_matrix: bool = False  # dropout on the embedding matrix, once a step, which also gives the logits
    head_bias: bool = False
    half_segments: bool = False  # each text keeps n_ctx // 2 - 2 tokens, whatever the other needs

    @classmethod
    def all(cls) -> "Deviations":
        return cls(*(True for _ in fields(cls)))

    @property
    def in_optimizer(self) -> bool:
        return self.raw_epsilon or self.scaled_decay

    @property
    def in_loss(self) -> bool:
        return self.shared_mask or self.position_logits or self.dropped_matrix


NONE = Deviations()


def warmup_linear(x: float, warmup: float) -> float:
    """The share of the peak rate after a share x of the training; `warmup` is above zero.

    >>> [warmup_linear(x, 0.5) for x in (0, 0.25, 0.5, 0.75, 1)]
    [0.0, 0.375, 0.5, 0.25, 0]
    """
    return (x / warmup if x <= warmup else 1) * (1 - x)


def warmup_cosine(x: float, warmup: float) -> float:
    """The same along a cosine, which falls as if it had begun at zero: at the end of the warm-up it jumps.

    >>> [round(warmup_cosine(x, 0.5), 3) for x in (0, 0.25, 0.5, 0.5000001, 1)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return x / warmup if x <= warmup else 0.5 * (1 + math.cos(math.pi * x))


def released_rate(peak: float, *, step: int, max_steps: int, warmup_fraction: float) -> float:
    """The rate of the update that follows `step` finished ones; of the very first it is zero."""
    return peak * warmup_linear(step / max_steps, warmup_fraction)


def clip_gradients(weights: Iterable[nn.Parameter], largest: float) -> float:
    """Scale all gradients so that their common norm is at most `largest`; -> the norm before."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = math.sqrt(sum(gradient.double().square().sum().item() for gradient in gradients))
    for gradient in gradients:
        gradient.mul_(largest / max(norm, largest))
    return norm


class ReleasedAdam:
    """Adam with a decay of each tensor that has more than one axis, in the released form or, switch by switch, AdamW.

    Released: p -= rate sqrt(1 - b2^t) / (1 - b1^t) (m / (sqrt(v) + epsilon) + decay p).
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        decay: float = 0.01,
        deviations: Deviations | None = None,
    ) -> None:
        self.weights = list(weights)
        self.means = [torch.zeros_like(weight) for weight in self.weights]
        self.squares = [torch.zeros_like(weight) for weight in self.weights]
        self.beta1, self.beta2, self.epsilon, self.decay = beta1, beta2, epsilon, decay
        self.deviations = Deviations.all() if deviations is None else deviations
        self.t = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        self.t += 1
        unbias = math.sqrt(1 - self.beta2**self.t)
        correction = unbias / (1 - self.beta1**self.t)
        epsilon = self.epsilon if self.deviations.raw_epsilon else self.epsilon * unbias
        decay = self.decay * (correction if self.deviations.scaled_decay else 1)
        for weight, mean, square in zip(self.weights, self.means, self.squares, strict=True):
            assert weight.grad is not None
            mean.mul_(self.beta1).add_(weight.grad, alpha=1 - self.beta1)
            square.mul_(self.beta2).add_(weight.grad.square(), alpha=1 - self.beta2)
            change = correction * mean / (square.sqrt() + epsilon)
            if weight.dim() > 1:
                change += decay * weight
            weight.sub_(rate * change)


def embedding_matrix(gpt: GPT, n_positions: int) -> Tensor:
    """Tokens, special tokens and positions as rows of one matrix.

    Shapes: -> (V + n_positions, C).
    """
    return torch.cat([gpt.wte.weight, gpt.wpe.weight[:n_positions]])


def hidden_states(gpt: GPT, matrix: Tensor, ids: Tensor, dropout: float) -> Tensor:
    """`GPT.hidden` over a given matrix, with `dropout` on the sum of token and position.

    Shapes: ids (R, T) -> (R, T, C).
    """
    x = matrix[ids] + matrix[gpt.config.n_vocab :][: ids.shape[1]]
    x = drop(x, dropout, gpt.training)
    for block in gpt.h:
        x = block(x)
    return gpt.ln_f(x)


def language_loss(hidden: Tensor, rows: Tensor, batch: Batch) -> Tensor:
    """-log p of each next token among `rows`: a mean over each sequence, then over sequences.

    Shapes: hidden (R, T, C), rows (n, C) -> ().
    """
    logits = hidden[:, :-1] @ rows.t()  # (R, T - 1, n)
    nats = F.cross_entropy(logits.transpose(1, 2), batch.ids[:, 1:], reduction="none")  # (R, T - 1)
    is_input = torch.arange(nats.shape[1]) < batch.ends[:, None]
    return ((nats * is_input).sum(1) / batch.ends).mean()


def head_dropout(extract: Tensor, counts: Sequence[int], p: float, *, shared: bool, training: bool) -> Tensor:
    """Dropout before the head; shared, what is dropped of one answer is dropped of all of its example.

    Shapes: extract (R, C), R = sum(counts) -> (R, C).
    """
    if not shared:
        return drop(extract, p, training)
    mask = drop(extract.new_ones(len(counts), extract.shape[1]), p, training)  # (E, C)
    return extract * mask.repeat_interleave(torch.tensor(counts), dim=0)


def outputs_of(model: FineTuned, hidden: Tensor, batch: Batch, *, shared_mask: bool) -> Tensor:
    """The head's outputs, as `FineTuned` gives them.

    Shapes: hidden (R, T, C) -> (E, n).
    """
    is_choice = model.task.kind == "choice"
    extract = hidden[torch.arange(len(hidden)), batch.ends]  # (R, C)
    if not is_choice:
        extract = extract.unflatten(0, (len(batch.counts), -1)).sum(1)  # (E, C)
    counts = batch.counts if is_choice else (1,) * len(batch.counts)
    dropped = head_dropout(extract, counts, model.head_dropout, shared=shared_mask, training=model.training)
    outputs = model.head(dropped)
    if not is_choice:
        return outputs
    rows = list(outputs[:, 0].split(counts))
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-math.inf)


def released_gradients(
    model: FineTuned, items: Sequence[Item], train: TuneConfig, deviations: Deviations, n_positions: int
) -> tuple[float, float]:
    """Add the gradient of L2 + lambda L1 over the examples of a step, of `n_positions` tokens at most; -> L2 and L1.

    Without deviations these are the numbers of `finetune.l3_gradients`, dropout included.
    """
    gpt, p = model.gpt, model.gpt.config.dropout
    mask = None
    if deviations.dropped_matrix:  # drawn before the groups, as they are one step
        mask = drop(torch.ones(gpt.config.n_vocab + n_positions, gpt.config.n_embd), p, model.training)
    n_sequences = sum(len(item.sequences) for item in items)
    totals = torch.zeros(2)
    for group in in_groups(items, bucket=train.bucket):
        batch = Batch.of(group, torch.device("cpu"))
        matrix = embedding_matrix(gpt, n_positions)
        matrix = matrix if mask is None else matrix * mask
        hidden = hidden_states(gpt, matrix, batch.ids, p if mask is None else 0.0)
        outputs = outputs_of(model, hidden, batch, shared_mask=deviations.shared_mask)
        rows = matrix if deviations.position_logits else matrix[: gpt.config.n_vocab]
        L2 = task_loss(model.task, outputs, batch.targets) * (len(group) / len(items))
        L1 = language_loss(hidden, rows, batch) * (len(batch.ids) / n_sequences)
        (L2 + train.lm_weight * L1).backward()
        totals += torch.stack([L2.detach(), L1.detach()])
    task_nats, lm_nats = totals.tolist()
    return task_nats, lm_nats


def with_bias(head: nn.Linear) -> nn.Linear:
    """The same map with a bias, which begins at zero."""
    biased = nn.Linear(head.in_features, head.out_features)
    with torch.no_grad():
        biased.weight.copy_(head.weight)
        biased.bias.zero_()
    return biased


def cut_segments(sequence: Sequence[int], delimiter: int, n_ctx: int) -> tuple[int, ...]:
    """A sequence, start and extract token around it, whose texts keep their first n_ctx // 2 - 2 tokens.

    >>> cut_segments((90, 1, 2, 3, 91, 4, 92), delimiter=91, n_ctx=8)
    (90, 1, 2, 91, 4, 92)
    """
    start, *inner, extract = sequence
    kept, length = [start], 0
    for token in inner:
        length = 0 if token == delimiter else length + 1
        if length <= n_ctx // 2 - 2:
            kept.append(token)
    return (*kept, extract)
