"""Windows of tokens: for training in an order that is a function of two integers, for validation each target once."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from gptrilogy.data.permutation import U64, draw, permute
from gptrilogy.data.tokens import Tokens
from gptrilogy.errors import ConfigError, DataError

ORDER, OFFSET = 0, 1  # what a number drawn for an epoch is used for


class Loader:
    """Training windows; sample s depends on the seed and s alone, so the place in the data is one integer.

    An epoch is len(tokens) // n_ctx windows side by side, which predicts every token once but for the remainder, in
    pseudo-random order without replacement. The tokens are a ring, and each epoch begins at another pseudo-random
    place of it, so that windows are cut anew; the papers do not say how theirs were cut.

    Source: GPT3 App. B, sampling without replacement until an epoch boundary.
    Raises: DataError if the text is shorter than one window.
    """

    def __init__(self, tokens: Tokens, *, n_ctx: int, seed: int) -> None:
        if len(tokens) < n_ctx + 1:
            raise DataError(
                f"the training text has {len(tokens)} tokens, and one window needs n_ctx + 1 = {n_ctx + 1}: "
                f"give more text, or a smaller --model.n-ctx"
            )
        self.tokens = tokens
        self.n_ctx = n_ctx
        self.seed = seed
        self.epoch_samples = len(tokens) // n_ctx

    def batch(self, first_sample: int, batch_size: int) -> Tensor:
        """Samples first_sample, first_sample + 1, and so on.

        Shapes: -> (B, n_ctx + 1), int64.
        """
        starts = self.starts(first_sample, batch_size).tolist()
        return torch.from_numpy(np.stack([self.tokens.window(start, self.n_ctx + 1) for start in starts]))

    def starts(self, first_sample: int, batch_size: int) -> U64:
        """Where in the ring each sample's window begins.

        Shapes: -> (B,), uint64.
        """
        samples = np.arange(first_sample, first_sample + batch_size, dtype=np.uint64)
        epoch, index = np.divmod(samples, np.uint64(self.epoch_samples))
        offset = draw(self.seed, OFFSET, epoch) % np.uint64(len(self.tokens))
        place = permute(index, self.epoch_samples, draw(self.seed, ORDER, epoch))
        return (offset + place * np.uint64(self.n_ctx)) % np.uint64(len(self.tokens))

    def epoch_of(self, sample: int) -> float:
        """How many times the text has been gone through before this sample."""
        return sample / self.epoch_samples


def valid_windows(
    tokens: Tokens, n_ctx: int, *, max_windows: int | None = None, stride: int | None = None
) -> Iterator[tuple[Tensor, int]]:
    """Windows over held-out text in its order, as (ids, n_skip): the first n_skip targets are context, not scored.

    Every token is a scored target exactly once, the first one given <|endoftext|>; where the tokenizer has no such
    token, the first one is context only. Windows lie `stride` targets apart, by default n_ctx; with a smaller one, all
    but the first repeat n_ctx - stride targets as context. The last window may be shorter. With `max_windows`, an
    evenly spaced part of the windows, always the same.

    Shapes: ids (T + 1,) with T <= n_ctx, int64.
    Raises: DataError if there is no text; ConfigError if a number is out of range.

    >>> text = Tokens([np.array([5, 6, 7, 8, 9])], eot_id=0)
    >>> [(ids.tolist(), n_skip) for ids, n_skip in valid_windows(text, 3, stride=2)]
    [([0, 5, 6, 7], 0), ([6, 7, 8, 9], 1)]
    """
    stride = n_ctx if stride is None else stride
    if not 1 <= stride <= n_ctx:
        raise ConfigError(f"the stride of validation windows must lie in 1..n_ctx = {n_ctx}, got {stride}")
    if max_windows is not None and max_windows < 1:
        raise ConfigError(f"max_windows must be at least 1, got {max_windows}")
    first = int(tokens.eot_id is None)
    if len(tokens) <= first:
        raise DataError("there is no validation text: give more text, or a file of its own with --valid")
    count = 1 + math.ceil(max(0, len(tokens) - first - n_ctx) / stride)
    taken = min(count, max_windows or count)
    chosen = (position * count // taken for position in range(taken))
    return (
        (_valid_window(tokens, n_ctx, first + number * stride), n_ctx - stride if number else 0) for number in chosen
    )


def _valid_window(tokens: Tokens, n_ctx: int, begin: int) -> Tensor:
    """The window whose targets begin at token `begin`, with the token before them in front."""
    targets = tokens.window(begin, min(n_ctx, len(tokens) - begin))
    before = tokens.window(begin - 1, 1) if begin else np.array([tokens.eot_id])
    return torch.from_numpy(np.concatenate([before, targets]))
