"""The peer that stands for a GPT written from memory on one screenful: eager fp32, whole logits, nothing tuned.

Weights bear the released names, so that those of `gptrilogy.models.GPT` load into it as they are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainGPT(nn.Module):
    """Shapes: ids (B, T) -> logits (B, T, V)."""

    def __init__(self, n_vocab: int, n_ctx: int, n_embd: int, n_head: int, n_layer: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(n_vocab, n_embd)
        self.wpe = nn.Embedding(n_ctx, n_embd)
        self.h = nn.Sequential(*(PlainBlock(n_embd, n_head) for _ in range(n_layer)))
        self.ln_f = nn.LayerNorm(n_embd)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))  # (B, T, C)
        return F.linear(self.ln_f(self.h(x)), self.wte.weight)


class PlainBlock(nn.Module):
    def __init__(self, n_embd: int, n_head: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = PlainAttention(n_embd, n_head)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp = PlainMLP(n_embd)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class PlainAttention(nn.Module):
    def __init__(self, n_embd: int, n_head: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x: Tensor) -> Tensor:
        heads = (part.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(*heads, is_causal=True)  # (B, H, T, D)
        return self.c_proj(y.transpose(1, 2).flatten(2))


class PlainMLP(nn.Module):
    def __init__(self, n_embd: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(n_embd, 4 * n_embd)
        self.c_proj = nn.Linear(4 * n_embd, n_embd)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


def plain_step(model: PlainGPT, optimizer: torch.optim.Optimizer, ids: Tensor, grad_clip: float) -> float:
    """One step of the loop, and its loss in nats a token.

    Shapes: ids (B, T + 1).
    """
    optimizer.zero_grad()
    logits = model(ids[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    return loss.item()
