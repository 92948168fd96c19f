"""Beam search: the likeliest continuations of a prompt are kept side by side, and the best that ended is the answer.

A prompt's answer does not depend on its neighbours, for the reasons that `engine` gives: it is prefilled alone, each
row attends alone, and products that rows share always run with `ROWS` rows.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from gptrilogy.errors import PromptError
from gptrilogy.generation.finite import check_finite
from gptrilogy.generation.rows import ROWS
from gptrilogy.generation.scoring import Ids
from gptrilogy.models.cache import KVCache
from gptrilogy.models.gpt import GPT

Ends: TypeAlias = Callable[[Ids, Ids], bool]


@dataclass(frozen=True, slots=True)
class Beam:
    """A finished continuation; `ids` include the token that ended it.

    Units: `nats`, the log-probability, tokens summed; `score`, the same divided by the length's factor.
    """

    ids: tuple[int, ...]
    nats: float
    score: float
    finish_reason: Literal["stop", "length"]


def length_factor(n_tokens: int, length_penalty: float) -> float:
    """What a log-probability is divided by, so that long continuations need not lose to short ones.

    Source: Wu et al. 2016 (GNMT). GPT3 §2.4 prints the penalty 0.6 and no formula; that it is this one is our reading.

    >>> [round(length_factor(n_tokens, 0.6), 3) for n_tokens in (1, 7, 19)]
    [1.0, 1.516, 2.297]
    """
    return ((5 + n_tokens) / 6) ** length_penalty


@torch.inference_mode()
def beam_search(
    model: GPT,
    prompts: Sequence[Ids],
    *,
    width: int,
    length_penalty: float,
    max_tokens: int,
    eot_id: int | None,
    ends: Ends | None = None,
    on_done: Callable[[int], object] | None = None,
) -> list[Beam]:
    """The best continuation of each prompt that a beam of `width` finds.

    At each step every live continuation is followed by every token. Of all these the likeliest `width` are looked at:
    one that ends, by `eot_id` or because `ends(prompt, ids)`, is finished. The likeliest that do not end live on,
    `width` at most, found among the likeliest 2 `width`. At `max_tokens`, or where the context is full, all are
    finished, by length. A log-probability can only fall, so no live one can reach a better score than its own nats
    over the factor of the longest length: a search stops as soon as that is no better than the best finished one. Of
    equals the first counts: the one that finished earlier, descends from a likelier one, has the lower token.

    `ends` is asked about a prompt and a continuation, which does not hold it. `on_done` hears how many more prompts are
    done.

    Raises: PromptError where a prompt is empty or longer than the context, or `width` or `length_penalty` is none;
        CheckpointError for a model whose scores are no numbers.

    >>> from gptrilogy.models import GPTConfig
    >>> tiny = GPT(GPTConfig(n_vocab=5, n_ctx=8, n_embd=4, n_head=1, n_layer=1)).eval()
    >>> [beam] = beam_search(tiny, [[1, 2]], width=2, length_penalty=0.6, max_tokens=3, eot_id=None)
    >>> len(beam.ids), beam.finish_reason
    (3, 'length')
    """
    assert not model.training, "dropout would make scores random"
    _check(model, prompts, width, length_penalty)
    rows = _Rows(model, max(1, ROWS // width) * width)
    free = [list(range(first, first + width)) for first in range(0, rows.n_rows, width)]
    terms = [_Terms(prompt, width, length_penalty, max_tokens, eot_id, ends) for prompt in prompts]
    waiting, live = deque(enumerate(terms)), list[_Search]()
    beams: dict[int, Beam] = {}
    while waiting or live:
        while waiting and free:
            live.append(_Search(*waiting.popleft(), free.pop(), rows))
        scores = rows.next({each.row: each.ids[-1] for search in live for each in search.alive})
        for search in live:
            if search.alive:
                search.extend(torch.stack([scores[each.row] for each in search.alive]))
        for search in [search for search in live if not search.alive]:
            live.remove(search)
            free.append(search.rows)
            beams[search.number] = search.answer
            if on_done is not None:
                on_done(1)
    return [beams[number] for number in range(len(prompts))]


class _Terms(NamedTuple):
    """What is searched for after a prompt."""

    prompt: Ids
    width: int
    length_penalty: float
    max_tokens: int
    eot_id: int | None
    ends: Ends | None

    def limit(self, n_ctx: int) -> int:
        """How long a continuation may get. The last token is never read, so it needs no room in the context."""
        return max(0, min(self.max_tokens, n_ctx + 1 - len(self.prompt)))

    def stopped(self, ids: Ids) -> bool:
        return ids[-1] == self.eot_id or (self.ends is not None and self.ends(self.prompt, ids))

    def beam(self, ids: tuple[int, ...], nats: float) -> Beam:
        score = nats / length_factor(len(ids), self.length_penalty)
        return Beam(ids, nats, score, "stop" if ids and self.stopped(ids) else "length")


class _Alive(NamedTuple):
    """A continuation that has not ended, and the row that holds all of it but its last token."""

    ids: tuple[int, ...]
    nats: float
    row: int


class _Search:
    """One prompt's beam, likeliest first, in rows of its own."""

    def __init__(self, number: int, terms: _Terms, own: list[int], rows: "_Rows") -> None:
        self.number = number
        self.rows = own
        self.all_rows = rows
        self.terms = terms
        self.limit = terms.limit(rows.model.config.n_ctx)
        self.alive: list[_Alive] = []
        self.best: Beam | None = None
        if self.limit:
            self.alive = [_Alive((), 0.0, own[0])]
            self.extend(rows.prefill(own[0], terms.prompt)[None])
        else:
            self.best = terms.beam((), 0.0)

    @property
    def answer(self) -> Beam:
        assert self.best is not None, "of finite scores one is the best"
        return self.best

    def extend(self, logits: Tensor) -> None:
        """One token more. Shapes: logits (alive, V)."""
        check_finite(logits.amax(-1))
        so_far = torch.tensor([each.nats for each in self.alive], dtype=torch.float64, device=logits.device)
        totals = logits.double().log_softmax(-1) + so_far[:, None]  # (alive, V)
        grown: list[_Alive] = []
        for rank, (place, nats) in enumerate(_largest(totals.flatten(), 2 * self.terms.width)):
            parent, token = divmod(place, totals.shape[1])
            ids = (*self.alive[parent].ids, token)
            if len(ids) < self.limit and not self.terms.stopped(ids):
                grown.append(_Alive(ids, nats, self.alive[parent].row))
            elif rank < self.terms.width:
                self.best = max(filter(None, (self.best, self.terms.beam(ids, nats))), key=lambda beam: beam.score)
        self.alive = self._in_rows(grown[: self.terms.width]) if self._may_improve(grown) else []

    def _may_improve(self, alive: Sequence[_Alive]) -> bool:
        if not alive or self.best is None:
            return bool(alive)
        return alive[0].nats / length_factor(self.limit, self.terms.length_penalty) > self.best.score

    def _in_rows(self, alive: Sequence[_Alive]) -> list[_Alive]:
        """A row for each. A parent's first child takes over its row, the others get copies in rows that no child needs.

        So nothing is overwritten that has still to be copied.
        """
        needed = {each.row for each in alive}
        idle = [row for row in self.rows if row not in needed]
        placed: list[_Alive] = []
        taken: set[int] = set()
        for each in alive:
            row = each.row
            if row in taken:
                row = idle.pop()
                self.all_rows.copy(each.row, row)
            taken.add(row)
            placed.append(each._replace(row=row))
        return placed


class _Rows:
    """Caches of `ROWS` rows each, numbered through."""

    def __init__(self, model: GPT, n_rows: int) -> None:
        self.model = model
        self.n_rows = n_rows
        self.like = model.wte.weight
        self.caches = [KVCache(model.config, ROWS, like=self.like) for _ in range(-(-n_rows // ROWS))]

    def prefill(self, row: int, prompt: Ids) -> Tensor:
        """Let a row hold a prompt; -> the scores of its next token, (V,)."""
        own = KVCache(self.model.config, 1, like=self.like, capacity=len(prompt))
        hidden = self.model.hidden(torch.tensor([list(prompt)], device=self.like.device), own)
        self.caches[row // ROWS].put(row % ROWS, own)
        return self.model.logits(hidden[0, -1:])[0]

    def copy(self, source: int, target: int) -> None:
        self.caches[target // ROWS].put(target % ROWS, self.caches[source // ROWS], source % ROWS)

    def next(self, tokens: Mapping[int, int]) -> dict[int, Tensor]:
        """Append a token to each of some rows; -> the scores of the next, (V,) a row. The other rows are emptied."""
        scores: dict[int, Tensor] = {}
        for index, cache in enumerate(self.caches):
            used = [row for row in range(ROWS) if index * ROWS + row in tokens]
            if not used:
                continue
            ids = torch.zeros(ROWS, 1, dtype=torch.long)
            for row in range(ROWS):
                if row in used:
                    ids[row, 0] = tokens[index * ROWS + row]
                else:
                    cache.lengths[row] = 0
            hidden = self.model.hidden(ids.to(self.like.device), cache)[:, 0]  # (ROWS, C)
            logits = self.model.logits(hidden)
            scores.update({index * ROWS + row: logits[row] for row in used})
        return scores


def _largest(values: Tensor, count: int) -> list[tuple[int, float]]:
    """Places and values of the largest, in falling order, the first of equals first. Shapes: values (N,)."""
    count = min(count, len(values))
    candidates = (values >= values.topk(count).values[-1]).nonzero()[:, 0]  # more than count where there are equals
    order = values[candidates].sort(descending=True, stable=True).indices[:count]
    return [(int(place), float(values[place])) for place in candidates[order]]


def _check(model: GPT, prompts: Sequence[Ids], width: int, length_penalty: float) -> None:
    if width < 1:
        raise PromptError(f"a beam's width must be at least 1, got {width}")
    if not 0 <= length_penalty <= 10:  # of more, the factor of a long text is no number any more
        raise PromptError(f"length_penalty must lie in 0..10, got {length_penalty}")
    n_ctx = model.config.n_ctx
    for prompt in prompts:
        if not 1 <= len(prompt) <= n_ctx:
            raise PromptError(
                f"a prompt must have 1 to {n_ctx} tokens, which is the model's context; got {len(prompt)}; shorten it"
            )


@torch.inference_mode()
def beam_reference(
    model: GPT,
    prompts: Sequence[Ids],
    *,
    width: int,
    length_penalty: float,
    max_tokens: int,
    eot_id: int | None,
    ends: Ends | None = None,
) -> list[Beam]:
    """`beam_search` as its definition: whole texts computed again at each step, all the way to the longest length."""
    return [_reference(model, _Terms(prompt, width, length_penalty, max_tokens, eot_id, ends)) for prompt in prompts]


def _reference(model: GPT, terms: _Terms) -> Beam:
    limit = terms.limit(model.config.n_ctx)
    finished: list[tuple[tuple[int, ...], float]] = [] if limit else [((), 0.0)]
    alive: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for n_tokens in range(1, limit + 1):
        grown: list[tuple[tuple[int, ...], float]] = []
        for ids, nats in alive:
            text = torch.tensor([[*terms.prompt, *ids]], device=model.wte.weight.device)
            log_p = model(text)[0, -1].double().log_softmax(-1).tolist()
            grown += [((*ids, token), nats + log_p[token]) for token in range(len(log_p))]
        grown = sorted(grown, key=lambda each: each[1], reverse=True)[: 2 * terms.width]
        finished += [each for each in grown[: terms.width] if n_tokens == limit or terms.stopped(each[0])]
        alive = [each for each in grown if not terms.stopped(each[0])][: terms.width]
    return max((terms.beam(*each) for each in finished), key=lambda beam: beam.score)
