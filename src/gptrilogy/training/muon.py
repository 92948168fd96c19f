"""Muon: momentum whose update of a matrix is made orthogonal, so that it goes as far in every direction.

Not the papers', which used Adam. It is for matrices alone, beside AdamW for everything else.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)  # of Jordan et al.: so steep at 0 that few iterations do
ITERATIONS = 5
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """The orthogonalized momentum of each matrix, times the rate, and times sqrt(out / in) where that is above 1.

    A layer three times as tall as wide holds queries, keys and values, and counts as three matrices. Equals
    `torch.optim.Muon` on each of them; here all of one shape go through their products together.

    Source: Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks.
    """

    def __init__(
        self,
        weights: Iterable[tuple[str, nn.Parameter]],
        *,
        rate: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        """`dtype` is that of the products; weights and momentum keep theirs."""
        super().__init__(weights, {"lr": rate, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            rate = group["lr"]
            alike: defaultdict[torch.Size, list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                weight.mul_(1 - rate * group["weight_decay"])
                update = self._nesterov(weight, group["momentum"]).to(self._dtype)
                for part, its_update in zip(_matrices(weight), _matrices(update), strict=True):
                    n_out, n_in = part.shape
                    lying = (part, its_update) if n_out <= n_in else (part.T, its_update.T)
                    alike[lying[0].shape].append((*lying, math.sqrt(max(1, n_out / n_in))))
            for rows in alike.values():
                directions = orthogonalized(torch.stack([update for _, update, _ in rows]))
                for (part, _, scale), direction in zip(rows, directions, strict=True):
                    part.add_(direction, alpha=-rate * scale)

    def _nesterov(self, weight: nn.Parameter, momentum: float) -> Tensor:
        """Take the gradient into the momentum; -> what the momentum would be if the same gradient came once more."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        mean = state["momentum"].lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(mean, momentum)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Nearly U V^T of each matrix U S V^T: singular values from a hundredth of the largest up become 0.67 to 1.21.

    Five Newton-Schulz iterations of a polynomial of fifth degree, which takes products alone.

    Shapes: (N, m, n) with m <= n -> the same.
    """
    a, b, c = QUINTIC
    norms = matrices.square().sum((1, 2), keepdim=True).sqrt()
    x = matrices / norms.clamp(min=TINY)  # no singular value is above 1
    for _ in range(ITERATIONS):
        gram = x @ x.mT  # (N, m, m)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Together(torch.optim.Optimizer):
    """Optimizers of different weights as one: its groups are theirs, and all of their state is in one place."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._parts = parts
        for part in parts:
            part.state = self.state

    def step(self, closure: None = None) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        for part in self._parts:
            part.step()


def _matrices(weight: Tensor) -> Sequence[Tensor]:
    """The weight as views of the matrices it consists of."""
    n_out, n_in = weight.shape
    return weight.chunk(3) if n_out == 3 * n_in else (weight,)
