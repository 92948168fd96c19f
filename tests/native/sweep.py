"""Kernels at random shapes beside their twins: `python sweep.py CASES [SEED]`, for a process whose kernels are watched.

Tensors end where their memory does, so that a sanitizer sees every byte too far.
"""

import math
import random
import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gptrilogy.errors import CheckpointError
from gptrilogy.generation import native_decoding
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.native_model import FORMATS, native_model
from gptrilogy.generation.rows import PaddedRows, Rows
from gptrilogy.generation.sampling import choose, choose_reference
from gptrilogy.models import GPT, GPTConfig, KVCache, kernels
from gptrilogy.models.attention import attend_reference
from gptrilogy.models.loss import mean_loss_nats, mean_loss_reference
from gptrilogy.tokenizers.native_bpe import count_pieces, learn_merges, library
from gptrilogy.tokenizers.piece_counts import Counted
from gptrilogy.tokenizers.reference import learn_merges as learn_reference
from gptrilogy.tokenizers.reference import split
from gptrilogy.tokenizers.symbols import to_symbols

BF16 = torch.bfloat16
SIZES = (1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 70, 96, 100, 127, 129, 200)
ODD = "asrevl1'! \n\t\u00a0\u3000\x85\x00\x1c猫é½ǅ👩\u200d\U0010ffff"


def near(found: Tensor, exact: Tensor, tolerance: float, what: str) -> None:
    scale = max(1e-3, float(exact.abs().max())) if exact.numel() else 1.0
    torch.testing.assert_close(
        found.double(), exact.double(), rtol=0, atol=tolerance * scale, msg=lambda text: f"{what}: {text}"
    )


def placed(x: Tensor, draw: random.Random) -> Tensor:
    """The same numbers in memory of their own, begun wherever a number may begin."""
    room = torch.empty(x.numel() + draw.randrange(40), dtype=x.dtype)
    return room[len(room) - x.numel() :].view(x.shape).copy_(x)


def matrix(rows: int, columns: int, dtype: torch.dtype, draw: random.Random) -> Tensor:
    """Some of the columns of a wider matrix, whose last row ends where its memory does."""
    apart = columns + draw.choice((0, 0, 1, 7, 32))
    room = placed(torch.randn((rows - 1) * apart + columns).to(dtype), draw)
    return room.as_strided((rows, columns), (apart, 1))


def products(draw: random.Random) -> None:
    M, N, K = (draw.choice(SIZES) for _ in range(3))
    if draw.random() < 0.1:
        K = draw.choice((2047, 2048, 2049, 2500))
    turn_a, turn_b, add, biased = (draw.random() < 0.5 for _ in range(4))
    b_dtype, out_dtype = (
        draw.choice((BF16, torch.float32)),
        torch.float32 if add else draw.choice((BF16, torch.float32)),
    )
    a = matrix(*((K, M) if turn_a else (M, K)), BF16, draw)
    b = matrix(*((N, K) if turn_b else (K, N)), b_dtype, draw)
    out, bias = matrix(M, N, out_dtype, draw), placed(torch.randn(N), draw) if biased else None
    exact = (a.t() if turn_a else a).double() @ (b.t() if turn_b else b).to(BF16).double()
    exact = exact + (0 if bias is None else bias) + (out.double() if add else 0)
    kernels.product(a, b, out, turn_a=turn_a, turn_b=turn_b, add=add, bias=bias)
    near(out, exact, 1e-5 if out_dtype == torch.float32 else 8e-3, f"product {M, N, K, turn_a, turn_b, add, biased}")


def gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in inputs]
    y = function(*leaves)
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(9))
    return [y.detach(), *torch.autograd.grad(y, leaves, upstream.to(y.dtype))]


def all_near(found: list[Tensor], exact: list[Tensor], tolerance: float) -> None:
    for number, (one, other) in enumerate(zip(found, exact, strict=True)):
        near(one, other, tolerance, f"output or gradient {number}, {tuple(other.shape)}")


def attention(draw: random.Random) -> None:
    B, T, H, D = draw.randint(1, 3), draw.choice(SIZES), draw.randint(1, 4), draw.choice((32, 64, 96, 128))
    qkv = placed(torch.randn(B, T, 3 * H * D).to(BF16), draw)

    def formula(qkv: Tensor) -> Tensor:
        q, k, v = qkv.view(B, T, 3, H, D).permute(2, 0, 3, 1, 4)
        return attend_reference(q, k, v).transpose(1, 2).reshape(B, T, -1)

    def ours(qkv: Tensor) -> Tensor:
        return kernels.attention(qkv, H)

    for found, exact in zip(gradients(ours, qkv), gradients(formula, qkv.float()), strict=True):
        near(found, exact, 3e-2, f"attention {B, T, H, D}")


def layers(draw: random.Random) -> None:
    rows, C, V = draw.choice(SIZES), draw.choice(SIZES[2:]), draw.choice(SIZES)  # a variance of less is mostly 0
    x, gain, bias = (placed(torch.randn(size), draw) for size in ((rows, C), (C,), (C,)))
    wte, targets, weights = torch.randn(V, C), torch.randint(V, (rows,)), torch.rand(rows) + 0.1

    def norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return kernels.layer_norm(x, gain, bias, 1e-5, torch.float32)

    def norm_formula(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x, (C,), gain, bias)

    def gelu_formula(x: Tensor) -> Tensor:
        return F.gelu(x, approximate="tanh")

    def loss(hidden: Tensor, wte: Tensor) -> Tensor:
        with torch.autocast("cpu", BF16):
            return mean_loss_nats(hidden, wte, targets, weights)

    def loss_formula(hidden: Tensor, wte: Tensor) -> Tensor:
        return mean_loss_reference(hidden, wte, targets, weights)

    all_near(gradients(norm, x, gain, bias), gradients(norm_formula, x.double(), gain.double(), bias.double()), 1e-3)
    all_near(gradients(loss, x, wte), gradients(loss_formula, x, wte), 4e-2)
    dtype, tolerance = draw.choice(((BF16, 2e-2), (torch.float32, 1e-5)))
    x = x.to(dtype)
    all_near(gradients(kernels.gelu, x), gradients(gelu_formula, x.double()), tolerance)


@torch.inference_mode()
def decoded(rows: Rows, model: GPT, texts: Sequence[Sequence[int]], prompts: Sequence[int]) -> list[list[Tensor]]:
    """Logits of texts that begin with prompts of unlike lengths, each in a cache that they fill."""
    for text, prompt in zip(texts, prompts, strict=True):
        empty = KVCache(model.config, 1, like=model.wte.weight, capacity=1)
        rows.append(rows.read(text[:prompt])[0] if prompt else empty, len(text))
    found: list[list[Tensor]] = [[] for _ in texts]
    live = list(range(len(texts)))
    step = 0
    while live:
        for row in reversed(range(len(live))):
            if prompts[live[row]] + step == len(texts[live[row]]):
                rows.remove(row)
                last = live.pop()
                if row < len(live):
                    live[row] = last
        scores = rows.next([texts[text][prompts[text] + step] for text in live])
        for text, one in zip(live, scores, strict=True):
            found[text].append(one.float().clone())
        step += 1
    return found


def a_config(draw: random.Random) -> GPTConfig:
    n_head = draw.randint(1, 5)
    attention = draw.choice(("dense", "dense,banded", "banded", "strided", "fixed", "fixed,banded,strided"))
    n_ctx = draw.choice((1, 2, 3, 8, 17, 37))
    stride = draw.randint(1, min(8, n_ctx))
    post = {"norm": "post", "final_norm": draw.random() < 0.5} if draw.random() < 0.3 else {}
    summary = draw.randint(1, stride)
    return GPTConfig(
        n_vocab=draw.choice(SIZES[1:]), n_ctx=n_ctx, n_layer=draw.randint(1, 3), n_head=n_head,
        n_embd=n_head * draw.choice((1, 2, 3, 8, 15, 16, 17, 20, 32, 33, 64, 80)), init_std=0.15,
    ).replace(
        attention=attention, band_width=draw.randint(1, n_ctx), stride=stride, summary_width=summary,
        sub_blocks=draw.randint(1, min(n_head, stride // summary)), **post,
    )  # fmt: skip


def decoding(draw: random.Random) -> None:
    config, weights = a_config(draw), draw.choice(list(FORMATS))
    model = GPT(config, torch.Generator().manual_seed(draw.randrange(99))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    if weights != "fp32":
        model = model.to(BF16)
    native = native_model(model, int8=weights == "int8")
    assert native is not None
    rows = draw.choice((1, 2, 3, 4, 5, 6, 15, 16, 17, 31, 33, 70))
    texts = [[draw.randrange(config.n_vocab) for _ in range(draw.randint(1, config.n_ctx))] for _ in range(rows)]
    prompts = [draw.randrange(len(text)) for text in texts]
    found = decoded(native_decoding.NativeRows(native), model, texts, prompts)
    model = model.float()
    expected = decoded(PaddedRows(model), model, texts, prompts)
    tolerance = {"fp32": 1e-4, "bf16": 6e-2, "int8": 2e-1}[weights]
    for ours, theirs in zip(found, expected, strict=True):
        near(torch.stack(ours), torch.stack(theirs), tolerance, f"decoding {config} {weights} {rows}")


def choosing(draw: random.Random) -> None:
    n = draw.choice((*SIZES, 257, 5003))
    logits = torch.randn(n) * draw.choice((0, 1e-3, 1, 5, 100, 1e30))
    if draw.random() < 0.5:
        logits = logits.round()
    if draw.random() < 0.3:
        logits[torch.rand(n) < draw.random()] = -math.inf
    if draw.random() < 0.1:
        logits[draw.randrange(n)] = draw.choice((math.nan, math.inf))
    sampling = Sampling(
        temperature=draw.choice((0, 1e-300, 1e-5, 0.3, 1, 100)),
        top_k=draw.choice((None, 1, 2, 7, n, n + 1, 2**31, 2**32 + 1, 10**30)),
        top_p=draw.choice((1e-12, 0.1, 0.9, 1 - 1e-12, 1)),
    )
    uniform = draw.choice((0.0, draw.random(), 1 - 2**-53))
    logits = placed(logits, draw)
    try:
        found = choose(logits, sampling, uniform)
    except CheckpointError:
        assert not logits.max().isfinite(), (n, sampling, uniform)
        return
    expected = choose_reference(logits, sampling, uniform)
    ties = sampling.temperature == 0 and logits[found] == logits[expected]
    assert found == expected or ties, (n, sampling, uniform, found, expected)


def pieces(draw: random.Random) -> None:
    native = library()
    assert native is not None
    sizes = (0, 1, 2, 3, 40, 3000) if draw.random() < 0.2 else (0, 1, 2, 3, 40)
    texts = [
        "".join(draw.choices(ODD, [9] * 9 + [1] * (len(ODD) - 9), k=draw.choice(sizes)))
        for _ in range(draw.randint(0, 4))
    ]
    if draw.random() < 0.1:
        texts.append(draw.choice(("a", " ", "\n", "猫", "'")) * draw.choice((1023, 1024, 1025, 5000)))
    n_bytes, found = count_pieces(native, texts)
    words = [word.encode() for text in texts for word in split(text)]
    assert n_bytes == sum(map(len, words))
    assert n_bytes == sum(len(piece) * times for piece, times in zip(found.pieces, found.counts.tolist(), strict=True))
    if all(len(word) <= 1024 for word in words):
        assert set(found.pieces) == set(words)
    some = [piece for piece in found.pieces if len(piece) < 60][:40]
    found = Counted(some, np.array([draw.choice((1, 1, 2, 10**12)) for _ in some], np.int64))
    every = {(symbol,): 0 for symbol in to_symbols(bytes(range(256)))}
    expected = {tuple(to_symbols(piece)): int(n) for piece, n in zip(found.pieces, found.counts, strict=True)}
    n_merges = draw.choice((0, 1, 7, 60))
    assert learn_merges(native, found, n_merges) == learn_reference(every | expected, n_merges, oldest_first=True)


def sweep(cases: int, seed: int) -> None:
    kinds = [layers, decoding, choosing, pieces]
    if kernels.has_products():
        kinds += [products, attention]
    for case in range(cases):
        draw = random.Random(f"{seed} {case}")
        torch.manual_seed(draw.randrange(2**31))
        kind = kinds[case % len(kinds)]
        try:
            kind(draw)
        except Exception:
            sys.stderr.write(f"case {case} of seed {seed}: {kind.__name__}\n")
            raise


if __name__ == "__main__":
    native_decoding.THREAD_BYTES = 1  # the smallest of models on several threads
    sweep(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write("every case agrees with its twin\n")
