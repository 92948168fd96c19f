"""From scores of the next token to a choice: greedy, temperature, top-k, nucleus."""

import ctypes
import random
from ctypes import c_double, c_int32, c_int64, c_void_p

import torch
from torch import Tensor

from gptrilogy.generation.config import Sampling
from gptrilogy.generation.finite import check_finite
from gptrilogy.native.building import compiled


def choose(logits: Tensor, sampling: Sampling, uniform: float) -> int:
    """One token by the inverse of the cumulative distribution; `uniform` in [0, 1) decides.

    Shapes: logits (V,). Raises: CheckpointError where one is NaN or infinity.

    >>> scores = torch.tensor([1.0, 3.0, 2.0])
    >>> choose(scores, Sampling(temperature=0), uniform=0.99)
    1
    >>> [choose(scores, Sampling(top_k=2), uniform) for uniform in (0.0, 0.7, 0.8)]
    [1, 1, 2]
    """
    library = compiled("decoding") if logits.device.type == "cpu" and logits.dtype != torch.float64 else None
    token = -1 if library is None else chosen(library, logits, sampling, uniform)
    return choose_reference(logits, sampling, uniform) if token < 0 else token


def chosen(library: ctypes.CDLL, logits: Tensor, sampling: Sampling, uniform: float) -> int:
    """`choose` without sorting; -1 where a border between tokens is too near to tell on which side the draw falls."""
    scores = logits.float().contiguous()
    top_k = min(sampling.top_k or 0, len(scores))  # more would not fit into the kernel's whole numbers
    choose_token = library.choose_token
    choose_token.argtypes = [c_void_p, c_int32, c_double, c_int32, c_double, c_double]
    choose_token.restype = c_int64
    return choose_token(scores.data_ptr(), len(scores), sampling.temperature, top_k, sampling.top_p, uniform)


def choose_reference(logits: Tensor, sampling: Sampling, uniform: float) -> int:
    """`choose`, written as its definition."""
    check_finite(logits.max())
    if sampling.temperature == 0:
        return int(logits.argmax())
    kept, tokens = filtered(logits, sampling)
    cumulative = kept.cumsum(0)
    place = torch.searchsorted(cumulative, uniform * cumulative[-1], right=True)
    return int(tokens[min(int(place), len(tokens) - 1)])


def filtered(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Probabilities that survive the filters, largest first and not renormalised, and their tokens.

    The nucleus is the smallest set of likeliest tokens whose probability reaches top_p, so it includes the token that
    crosses it. GPT-2's released sampler leaves that token out (its index is one lower), but always keeps one.

    Shapes: logits (V,) -> 2 x (K,), K <= V.
    Source: GPT2 released `sample.py` for top-k with ties kept; Holtzman et al. 2019 for the nucleus.
    """
    below_best = logits.double() - logits.max()  # so that the smallest temperature overflows to -inf, never to NaN
    scores, tokens = (below_best / sampling.temperature).sort(descending=True, stable=True)
    if sampling.top_k is not None and sampling.top_k < len(scores):
        keep = int((scores >= scores[sampling.top_k - 1]).sum())
        scores, tokens = scores[:keep], tokens[:keep]
    probabilities = scores.softmax(0)
    if sampling.top_p < 1:
        before = probabilities.cumsum(0) - probabilities
        keep = max(1, int((before < sampling.top_p).sum()))
        probabilities, tokens = probabilities[:keep], tokens[:keep]
    return probabilities, tokens


def uniforms(seed: int, sample: int) -> random.Random:
    """The stream of numbers behind one completion: a function of the seed and the sample's number, nothing else."""
    return random.Random(f"gptrilogy {seed} {sample}")  # noqa: S311 - sampling text is not cryptography
