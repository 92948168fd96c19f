"""A pretrained GPT with three more tokens and one linear head, as GPT-1 is fine-tuned."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.finetuning.batches import Batch
from gptrilogy.finetuning.config import TaskConfig, TuneConfig
from gptrilogy.finetuning.lora import adapter_weights
from gptrilogy.finetuning.transforms import N_SPECIAL
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.dropout import dropout
from gptrilogy.models.gpt import GPT
from gptrilogy.models.loss import mean_loss_nats
from gptrilogy.models.weights import shapes

HEAD_STD = 0.02


class FineTuned(nn.Module):
    """Hidden states of a GPT at each sequence's extract token, through one linear map without a bias.

    Shapes: `Batch` -> outputs (E, n), hidden (R, T, C); n is classes, score levels, 1, or the most answers there are.
    Source: GPT1 eq. 3 and Figure 1. (The released code gives the head a bias; the paper has none.)
    """

    def __init__(
        self, gpt: GPT, task: TaskConfig, head_dropout: float, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.gpt = gpt
        self.task = task
        self.head_dropout = head_dropout
        self.head = nn.Linear(gpt.config.n_embd, task.n_outputs, bias=False)
        if not self.head.weight.is_meta:
            nn.init.normal_(self.head.weight, std=HEAD_STD, generator=generator)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        hidden = self.gpt.hidden(batch.ids)  # (R, T, C)
        extract = hidden[torch.arange(len(hidden), device=hidden.device), batch.ends]  # (R, C)
        if self.task.kind != "choice":
            extract = extract.view(len(batch.counts), -1, extract.shape[1]).sum(1)  # (E, C): both orders are added
        outputs = self.head(dropout(extract, self.head_dropout, self.training)).float()
        return (_by_example(outputs, batch.counts) if self.task.kind == "choice" else outputs), hidden


def _by_example(scores: Tensor, counts: tuple[int, ...]) -> Tensor:
    """The scores of each example's answers, -inf where it has fewer than another.

    Shapes: (R, 1) -> (E, most answers).
    """
    rows = scores[:, 0].split_with_sizes(counts)
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=float("-inf"))


def task_loss(task: TaskConfig, outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over examples of -log P(label), GPT1 eq. 4; for scores of -sum_k t_k log p_k, or of the squared error.

    Shapes: outputs (E, n), targets (E,) -> ().
    Units: nats; a squared error is in standard deviations of the training scores.
    """
    if task.kind != "regression":
        return F.cross_entropy(outputs, targets.long())
    if task.regression == "mse":
        return F.mse_loss(outputs[:, 0], (targets - task.mean) / task.std)
    return F.cross_entropy(outputs, soft_targets(targets, task.low, task.n_outputs))


def soft_targets(scores: Tensor, low: float, n: int) -> Tensor:
    """A score as shares of the two whole levels around it, the nearer one's the larger; beyond the ends, of the end.

    Shapes: (E,) -> (E, n).
    Source: released code of GPT1, STS-B.

    >>> soft_targets(torch.tensor([3.25, 5.0]), low=0, n=6).tolist()
    [[0.0, 0.0, 0.0, 0.75, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    levels = torch.arange(n, device=scores.device)
    return (1 - ((scores - low).clamp(0, n - 1)[:, None] - levels).abs()).clamp(min=0)


def language_loss(gpt: GPT, hidden: Tensor, batch: Batch) -> Tensor:
    """L1 on the fine-tuning inputs: per sequence the mean over its tokens, special ones too, then over sequences.

    Every sequence counts alike, wrong answers included, as in the released code; the paper writes plain sums.

    Shapes: hidden (R, T, C) -> (). Units: nats a token.
    """
    T = batch.ids.shape[1]
    is_input = torch.arange(T - 1, device=hidden.device) < batch.ends[:, None]  # (R, T - 1)
    weights = (1 / batch.ends)[:, None].expand_as(is_input)[is_input]  # (N,)
    return mean_loss_nats(hidden[:, :-1][is_input], gpt.wte.weight, batch.ids[:, 1:][is_input], weights)


def predictions(task: TaskConfig, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """What the outputs say: the likeliest class or answer, or a score; and the probabilities of all, if there are any.

    A score by classes is the mean of their distribution, which is ours: the paper's decoding is not published.

    Shapes: (E, n) -> (E,), (E, n).
    """
    if task.kind == "regression" and task.regression == "mse":
        return outputs[:, 0] * task.std + task.mean, outputs.new_empty(len(outputs), 0)
    probabilities = outputs.softmax(-1)
    if task.kind == "regression":
        levels = task.low + torch.arange(outputs.shape[1], device=outputs.device)
        return probabilities @ levels.float(), probabilities
    return outputs.argmax(-1), probabilities


def extended(config: GPTConfig, train: TuneConfig) -> GPTConfig:
    """The config of a pretrained model with the special tokens, and the dropout of fine-tuning."""
    return config.replace(n_vocab=config.n_vocab + N_SPECIAL, dropout=train.dropout)


def initial_model(
    config: GPTConfig, pretrained: Mapping[str, Tensor], task: TaskConfig, train: TuneConfig, seed: int
) -> FineTuned:
    """New weights from the seed, and over them the pretrained ones that are taken over; `config` is extended."""
    generator = torch.Generator().manual_seed(seed)
    gpt = GPT(config, generator)
    wanted = taken_over(config, train.transfer_layers)
    with torch.no_grad():
        for name, parameter in gpt.named_parameters():
            if name in wanted:
                weight = pretrained[name]
                parameter[: len(weight)] = weight
    return FineTuned(gpt, task, train.head_dropout, generator)


def taken_over(config: GPTConfig, layers: int | None) -> set[str]:
    """The names of a GPT's weights that come pretrained: both embeddings, and blocks from the first on.

    The final norm belongs to the last block, and comes with it.

    >>> sorted(taken_over(GPTConfig(), 0))
    ['wpe.weight', 'wte.weight']
    """
    n = config.n_layer if layers is None else layers
    if n < 0:
        return set()
    whole = ["ln_f."] if n >= config.n_layer else []
    parts = ("wte.", "wpe.", *(f"h.{layer}." for layer in range(n)), *whole)
    return {name for name in shapes(config) if name.startswith(parts)}


def freeze(model: FineTuned, train: TuneConfig) -> list[str]:
    """Let everything learn but what the config keeps as it is; -> the names of weights that must not decay.

    Where pretrained embeddings stay, the rows of the special tokens still learn: the gradient of the others is zero,
    and so is the decay of the whole matrix.
    """
    model.requires_grad_(True)
    if not (train.freeze_blocks or train.lora_rank):
        return []
    frozen = [model.gpt.wpe, *model.gpt.h[: train.freeze_blocks]]
    if train.lora_rank:
        frozen = [model.gpt.wpe, *model.gpt.h, model.gpt.ln_f]
    for module in frozen:
        module.requires_grad_(False)
    for weight in adapter_weights(model.gpt):
        weight.requires_grad_(True)
    n_pretrained = model.gpt.config.n_vocab - N_SPECIAL
    wte = model.gpt.wte.weight

    def spare_pretrained(gradient: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(gradient[:n_pretrained]), gradient[n_pretrained:]])

    wte.register_hook(spare_pretrained)
    return ["gpt.wte.weight"]
