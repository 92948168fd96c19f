"""Windows of tokens: for training in an order that is a function of two integers, for validation each target once."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from gptrilogy.data.interleaving import Interleaving
from gptrilogy.data.permutation import U64, draw, permute
from gptrilogy.data.shards import PackedData, PackedSet
from gptrilogy.data.split import text_key
from gptrilogy.data.tokens import Ids, Tokens
from gptrilogy.errors import ConfigError, DataError

ORDER, OFFSET = 0, 1  # what a number drawn for an epoch is used for


class Windows(Protocol):
    """Training windows in an order of their own, found by their number."""

    def batch(self, first_sample: int, batch_size: int) -> Tensor:
        """Samples first_sample, first_sample + 1, and so on.

        Shapes: -> (B, n_ctx + 1), int64.
        """
        ...

    def seen(self, samples: int) -> dict[str, Any]:
        """How much of the text the first samples are, for the log: `epochs`, and of a mixture `..._by_set`."""
        ...


def training_windows(data: PackedData, *, n_ctx: int, seed: int) -> Windows:
    """The windows to train on: of the one text, or of the sets of a mixture by their weights.

    Raises: DataError if the text, or that of a set, is shorter than one window.
    """
    if data.sets:
        return MixedLoader(data.sets, n_ctx=n_ctx, seed=seed)
    return Loader(data.train, n_ctx=n_ctx, seed=seed)


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
        return torch.from_numpy(self.windows(_numbers(first_sample, batch_size)))

    def windows(self, samples: U64) -> Ids:
        """The samples of these numbers.

        Shapes: (B,) -> (B, n_ctx + 1), int64.
        """
        return np.stack([self.tokens.window(start, self.n_ctx + 1) for start in self.starts(samples).tolist()])

    def starts(self, samples: U64) -> U64:
        """Where in the ring the windows of samples begin.

        Shapes: (B,) -> (B,), uint64.
        """
        epoch, index = np.divmod(samples, np.uint64(self.epoch_samples))
        offset = draw(self.seed, OFFSET, epoch) % np.uint64(len(self.tokens))
        place = permute(index, self.epoch_samples, draw(self.seed, ORDER, epoch))
        return (offset + place * np.uint64(self.n_ctx)) % np.uint64(len(self.tokens))

    def epoch_of(self, sample: int) -> float:
        """How many times the text has been gone through before this sample."""
        return sample / self.epoch_samples

    def seen(self, samples: int) -> dict[str, Any]:
        """As of `Windows`."""
        return {"epochs": round(self.epoch_of(samples), 4)}


class MixedLoader:
    """Training windows of several sets, each in its share of every stretch of samples; no window holds two sets.

    Sample s depends on the seed and s alone, so the place in all sets is one integer. Each set goes through its own
    epochs, in an order that follows from its name and the seed: a small one begins anew while a large one goes on.

    Source: GPT3 §2.2 and Table 2.2, sampling by weight; App. B, without replacement until an epoch boundary.
    Raises: DataError naming a set whose text is shorter than one window.
    """

    def __init__(self, sets: Sequence[PackedSet], *, n_ctx: int, seed: int) -> None:
        self._names = [one.name for one in sets]
        self._loaders = [_loader_of(one, n_ctx, seed) for one in sets]
        self._interleaving = Interleaving([one.weight for one in sets], seed=seed)
        self.n_ctx = n_ctx

    def batch(self, first_sample: int, batch_size: int) -> Tensor:
        """As of `Loader`."""
        sets, numbers = self._interleaving.places(first_sample, batch_size)
        windows = np.empty((batch_size, self.n_ctx + 1), np.int64)
        for which in np.unique(sets).tolist():
            rows = sets == which
            windows[rows] = self._loaders[which].windows(numbers[rows])
        return torch.from_numpy(windows)

    def seen(self, samples: int) -> dict[str, Any]:
        """As of `Windows`."""
        counts = list(zip(self._names, self._loaders, self._interleaving.counts(samples), strict=True))
        return {
            "tokens_by_set": {name: count * self.n_ctx for name, _, count in counts},
            "epochs_by_set": {name: round(loader.epoch_of(count), 4) for name, loader, count in counts},
        }


def _numbers(first: int, count: int) -> U64:
    return np.arange(first, first + count, dtype=np.uint64)


def _loader_of(one: PackedSet, n_ctx: int, seed: int) -> Loader:
    try:
        return Loader(one.train, n_ctx=n_ctx, seed=text_key(one.name.encode(), seed))
    except DataError as error:
        raise DataError(f"of the set {one.name}, {error}") from None


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
