"""The decoder-only transformer of GPT-1, GPT-2 and GPT-3: one class, told apart by `GPTConfig`.

Shape legend: B batch, T query positions, S key positions, C n_embd, H heads, D d_head, V n_vocab, L layers.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.errors import PromptError
from gptrilogy.models.attention import CausalSelfAttention, Past
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.dropout import dropout
from gptrilogy.models.initialization import initialize
from gptrilogy.models.layers import LayerNorm, Linear, gelu
from gptrilogy.models.loss import mean_loss_nats, token_nats
from gptrilogy.models.patterns import Pattern


class Memory(Protocol):
    """What a model has read before the tokens it is given: `KVCache`, or the branches of a tree of texts."""

    def positions(self, T: int, /) -> Tensor:
        """Where the T newest tokens of each row stand. Shapes: -> (B, T)."""
        ...

    def length_with(self, T: int, /) -> int:
        """The length of the longest text, those T among it."""
        ...

    def layer(self, index: int, /) -> Past: ...

    def advance(self, T: int, /) -> None:
        """Count T tokens a row, once every layer has taken them in."""
        ...


class GPT(nn.Module):
    """Token ids to hidden states, logits and loss.

    Shapes: ids (B, T) -> hidden (B, T, C) -> logits (B, T, V).
    Source: GPT1 eq. 2, GPT2 §2.3, GPT3 §2.1.
    """

    def __init__(self, config: GPTConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.n_vocab, config.n_embd)
        self.wpe = nn.Embedding(config.n_ctx, config.n_embd)
        self.h = nn.ModuleList(Block(config, pattern) for pattern in config.patterns())
        self.ln_f = LayerNorm(config.n_embd) if config.final_norm else nn.Identity()
        initialize(self, config, generator)

    def forward(self, ids: Tensor) -> Tensor:
        """Shapes: ids (B, T) -> logits (B, T, V)."""
        return self.logits(self.hidden(ids))

    def hidden(self, ids: Tensor, memory: Memory | None = None) -> Tensor:
        """The last block's output; with a memory, of the T newest tokens of each row, which it then holds too.

        Shapes: ids (B, T) -> (B, T, C).
        Raises: PromptError where T, with what the memory holds, is more than n_ctx.
        """
        T = ids.shape[1]
        length = T if memory is None else memory.length_with(T)
        if length > self.config.n_ctx:
            raise PromptError(
                f"{length} tokens are more than the model's context of {self.config.n_ctx}; shorten the text"
            )
        positions = torch.arange(T, device=ids.device) if memory is None else memory.positions(T)  # (T,) or (B, T)
        x = self.wte(ids) + self.wpe(positions)  # (B, T, C)
        x = dropout(x, self.config.dropout, self.training)
        for index, block in enumerate(self.h):
            x = block(x, None if memory is None else memory.layer(index))
        if memory is not None:
            memory.advance(T)
        return self.ln_f(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token through the tied embedding, without a bias.

        Shapes: (..., C) -> (..., V).
        """
        return F.linear(hidden, self.wte.weight)

    def loss(self, ids: Tensor, weights: Tensor | None = None) -> Tensor:
        """Weighted mean loss of predicting ids[:, 1:], in chunks: whole logits are never in memory.

        Shapes: ids (B, T + 1), weights (B, T) or None for all ones -> ().
        Units: nats a token.
        """
        hidden = self.hidden(ids[:, :-1]).flatten(0, 1)  # (BT, C)
        targets = ids[:, 1:].flatten()  # (BT,)
        return mean_loss_nats(hidden, self.wte.weight, targets, None if weights is None else weights.flatten())

    @torch.no_grad()
    def token_nats(self, ids: Tensor) -> Tensor:
        """-log p of each of ids[:, 1:] given what stands before it.

        Shapes: ids (B, T + 1) -> (B, T), fp32.
        """
        hidden = self.hidden(ids[:, :-1])
        return token_nats(hidden.flatten(0, 1), self.wte.weight, ids[:, 1:].flatten()).view(hidden.shape[:2])


class Block(nn.Module):
    """Attention, then a two-layer network, each added to the residual stream.

    Pre-norm (GPT-2, 3): x + f(ln(x)). Post-norm (GPT-1): ln(x + f(x)).

    Shapes: x (B, T, C) -> (B, T, C).
    """

    def __init__(self, config: GPTConfig, pattern: Pattern) -> None:
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.dropout = config.dropout
        self.ln_1 = LayerNorm(config.n_embd, feeds_product=self.pre_norm)
        self.attn = CausalSelfAttention(config.n_embd, config.n_head, config.dropout, pattern)
        self.ln_2 = LayerNorm(config.n_embd, feeds_product=self.pre_norm)
        self.mlp = MLP(config.n_embd)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self._drop(self.attn(self.ln_1(x), past))
            return x + self._drop(self.mlp(self.ln_2(x)))
        x = self.ln_1(x + self._drop(self.attn(x, past)))
        return self.ln_2(x + self._drop(self.mlp(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class MLP(nn.Module):
    """Two linear layers, four times the width between them, around the tanh form of GELU.

    Shapes: x (B, T, C) -> (B, T, C).
    """

    def __init__(self, n_embd: int) -> None:
        super().__init__()
        self.c_fc = Linear(n_embd, 4 * n_embd)
        self.c_proj = Linear(4 * n_embd, n_embd)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(gelu(self.c_fc(x)))
