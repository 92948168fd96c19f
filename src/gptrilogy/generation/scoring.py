"""Log-probabilities of given continuations, many at a time.

A score does not depend on what else is scored. The shape a text runs in follows from its own length alone: it is padded
on the right, where causal attention cannot see it, to a multiple of `ALIGN` tokens, and its batch to a fixed number of
rows; the scored positions are projected by themselves. So on one machine with one thread count a score has the same
bits alone, in company, and in any order. Another `batch_size` is another shape: in fp32 that moves a token's
log-probability by less than 1e-5 nats.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gptrilogy.errors import PromptError
from gptrilogy.generation.finite import check_finite
from gptrilogy.models.gpt import GPT
from gptrilogy.models.loss import CHUNK_ELEMENTS
from gptrilogy.tokenizers.base import Tokenizer

ALIGN = 16  # tokens; products of a multiple of it give all their rows the same bits
TOKENS = 128  # in a batch of short texts: nine tenths of a CPU's full speed; more would cost a lone text

Ids = Sequence[int]


class Score(NamedTuple):
    """What a model thinks of a continuation.

    Units: `nats`, the log-probability, tokens summed: 0 is certain. `greedy`: the likeliest token every time.
    """

    nats: float
    greedy: bool


@torch.inference_mode()
def score_pairs(
    model: GPT,
    pairs: Sequence[tuple[Ids, Ids]],
    *,
    batch_size: int = 1,
    truncate: bool = False,
    on_scored: Callable[[int], object] | None = None,
) -> list[Score]:
    """The score of each (context, continuation); one that holds no token is certain.

    Batches hold at least `batch_size` rows, more of short texts, so that it matters on a GPU only. Equal inputs run
    once, as the answers A to D to one question. With `truncate` a pair that does not fit loses its first tokens.
    `on_scored` hears how many pairs are done, a batch at a time.

    Raises: PromptError where a context is empty, or a pair has more than n_ctx + 1 tokens and may not be truncated, or
    has no context left then; CheckpointError for a model whose scores are no numbers.
    """
    assert not model.training, "dropout would make scores random"
    n_ctx = model.config.n_ctx
    fitted = [fit(context, continuation, n_ctx, truncate=truncate) for context, continuation in pairs]
    scores = [Score(0.0, greedy=True)] * len(pairs)
    sharing: dict[tuple[int, ...], list[int]] = defaultdict(list)  # input -> the pairs it serves
    for index, (context, continuation) in enumerate(fitted):
        if continuation:
            sharing[*context, *continuation[:-1]].append(index)
    for inputs, ids in _batches(sharing, n_ctx, batch_size):
        hidden = model.hidden(ids.to(model.wte.weight.device))  # (rows, T, C)
        for row, tokens in zip(hidden, inputs, strict=False):  # rows past the inputs are padding
            for index in sharing[tokens]:
                targets = torch.tensor(fitted[index][1], device=row.device)
                scores[index] = _score(model, row[len(tokens) - len(targets) : len(tokens)], targets)
        if on_scored is not None:
            on_scored(sum(len(sharing[tokens]) for tokens in inputs))
    return scores


@torch.inference_mode()
def score_reference(model: GPT, context: Ids, continuation: Ids) -> Score:
    """`score_pairs` of one pair, written as its definition over whole logits."""
    ids = torch.tensor([[*context, *continuation]], device=model.wte.weight.device)
    log_p = model(ids[:, :-1])[0].double().log_softmax(-1)[len(context) - 1 :]  # (N, V)
    targets = ids[0, len(context) :]  # (N,)
    greedy = bool((log_p.argmax(-1) == targets).all())
    return Score(log_p.gather(1, targets[:, None]).sum().item(), greedy)


def encode_pairs(tokenizer: Tokenizer, requests: Sequence[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
    r"""The ids of each (context, continuation): both encoded as one text, cut after as many ids as the context has.

    White space that ends a context goes to the continuation, with whose first word byte-level BPE joins it. A context
    without a token is the beginning of a document.

    Raises: PromptError where that needs an end of text the tokenizer lacks, or where a continuation has no id of its
    own because its characters became part of the context's last token.
    Source: lm-evaluation-harness, `TemplateLM._encode_pair`.

    >>> from gptrilogy.tokenizers import ByteLevelBPE
    >>> tokenizer = ByteLevelBPE([("h", "e"), ("he", "n"), ("Ġ", "hen")])
    >>> encode_pairs(tokenizer, [("hen ", "hen"), ("", "hen")])
    [([257], [258]), ([259], [257])]
    """
    contexts = [context.rstrip() for context, _ in requests]
    different = list(dict.fromkeys(contexts))  # the answers to one question share theirs
    ids_of = dict(zip(different, tokenizer.encode_batch(different), strict=True))
    together = tokenizer.encode_batch([context + continuation for context, continuation in requests])
    pairs: list[tuple[list[int], list[int]]] = []
    for (context, continuation), bare, ids in zip(requests, contexts, together, strict=True):
        head = ids_of[bare]
        if len(ids) <= len(head) and continuation.strip():
            raise PromptError(
                f"{continuation[:40]!r} has no token of its own after {context[-20:]!r}; begin it with a space, or end "
                "the context before a word"
            )
        pairs.append((list(head) or [first_id(tokenizer)], ids[len(head) :]))
    return pairs


def rolling_windows(ids: Ids, first: int, n_ctx: int, stride: int | None = None) -> Iterator[tuple[Ids, Ids]]:
    """(context, continuation) pairs of n_ctx + 1 tokens that score each token of a text once, the first after `first`.

    Each window scores the `stride` tokens after the last one's, with as much before them as the model can see; by
    default n_ctx of them, so that only the last window reaches back.

    Raises: PromptError where `stride` is not in 1..n_ctx.
    Source: lm-evaluation-harness, `get_rolling_token_windows` with a context_len of 1, for the default.

    >>> list(rolling_windows([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], first=99, n_ctx=4))
    [([99], [0, 1, 2, 3]), ([3], [4, 5, 6, 7]), ([5, 6, 7], [8, 9])]
    >>> list(rolling_windows([0, 1, 2, 3, 4, 5, 6], first=99, n_ctx=4, stride=2))
    [([99], [0, 1, 2, 3]), ([1, 2, 3], [4, 5]), ([2, 3, 4, 5], [6])]
    """
    step = n_ctx if stride is None else stride
    if not 1 <= step <= n_ctx:
        raise PromptError(f"stride must lie in 1..{n_ctx}, the model's context, got {step}")
    if ids:
        yield [first], ids[:n_ctx]
    for start in range(n_ctx, len(ids), step):
        end = min(start + step, len(ids))
        yield ids[end - n_ctx - 1 : start], ids[start:end]


def first_id(tokenizer: Tokenizer) -> int:
    """The token that stands before a document's first, <|endoftext|>.

    Raises: PromptError where the tokenizer has none.
    """
    if tokenizer.eot_id is None:
        raise PromptError(
            f"{tokenizer.name} has no token that begins a document, so nothing can be said of a first word; give a "
            "prompt with words"
        )
    return tokenizer.eot_id


def fit(context: Ids, continuation: Ids, n_ctx: int, *, truncate: bool) -> tuple[Ids, Ids]:
    """A pair of at most n_ctx + 1 tokens, of which the last is never an input."""
    excess = len(context) + len(continuation) - (n_ctx + 1)
    if not context:
        raise PromptError("a context must have at least 1 token, got none; begin it with the end of text")
    if excess > 0 and not truncate:
        raise PromptError(
            f"prompt and answer have {len(context) + len(continuation)} tokens, the model can score {n_ctx + 1}; "
            "shorten the prompt"
        )
    if excess >= len(context):
        raise PromptError(f"an answer has {len(continuation)} tokens, the model can score {n_ctx}; shorten it")
    return context[max(excess, 0) :], continuation


def _batches(
    inputs: Collection[tuple[int, ...]], n_ctx: int, batch_size: int
) -> Iterator[tuple[list[tuple[int, ...]], Tensor]]:
    """Inputs of one padded length together, longest first so that a lack of memory shows at once; ids (rows, T)."""
    by_length: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for tokens in sorted(inputs, key=len, reverse=True):
        by_length[min(-(-len(tokens) // ALIGN) * ALIGN, n_ctx)].append(tokens)
    for T, alike in by_length.items():
        rows = max(batch_size, TOKENS // T) if T % ALIGN == 0 else 1
        for start in range(0, len(alike), rows):
            batch = alike[start : start + rows]
            ids = torch.zeros(rows, T, dtype=torch.long)
            for row, tokens in zip(ids, batch, strict=False):
                row[: len(tokens)] = torch.tensor(tokens)
            yield batch, ids


def _score(model: GPT, hidden: Tensor, targets: Tensor) -> Score:
    """Project the scored positions of one pair, as many at a time as logits may be in memory.

    Shapes: hidden (N, C), targets (N,).
    """
    nats: list[Tensor] = []
    greedy = True
    size = max(1, CHUNK_ELEMENTS // model.config.n_vocab)
    for start in range(0, len(targets), size):
        expected = targets[start : start + size]
        logits = model.logits(hidden[start : start + size]).float()  # (size, V)
        nats.append(F.cross_entropy(logits, expected, reduction="none"))
        greedy = greedy and bool((logits.argmax(-1) == expected).all())
    total = -torch.cat(nats).sum(dtype=torch.float64)
    check_finite(total)
    return Score(total.item(), greedy)
