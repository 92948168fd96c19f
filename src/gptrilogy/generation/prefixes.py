"""Log-probabilities of given continuations, where what several texts begin with is computed once.

Sorted, texts stand in the order of a depth-first walk through the tree of their beginnings, so each has in common with
the one before it the longest beginning it shares with any earlier one. What follows is new: a stream of tokens that
runs in passes of a bounded number, each token attending to the path that leads to it (`models.branches`). In memory are
the keys and values of one path, and of one pass. The path stays from call to call.

`scoring.score_pairs` computes every text by itself; the two agree within 1e-5 nats a token in fp32, and so do the
results here alone, in company, in any order and for any size of a pass.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gptrilogy.generation.finite import check_finite
from gptrilogy.generation.scoring import Ids, fit
from gptrilogy.models.branches import Branches, Path
from gptrilogy.models.gpt import GPT
from gptrilogy.models.loss import CHUNK_ELEMENTS

PASS_TOKENS = 1024

Ints: TypeAlias = NDArray[np.int64]
Text: TypeAlias = tuple[int, ...]


class PrefixScore(NamedTuple):
    """What a model thinks of a continuation.

    Units: `nats`, the log-probability, tokens summed. `likeliest`: of each token, whether no other was likelier.
    `first`: the tokens likeliest to come first, as many as were asked for.
    """

    nats: float
    likeliest: tuple[bool, ...]
    first: tuple[int, ...] = ()

    @property
    def n_tokens(self) -> int:
        return len(self.likeliest)


class PrefixScorer:
    """A model, and the path it has last read.

    >>> from gptrilogy.models import GPTConfig
    >>> scorer = PrefixScorer(GPT(GPTConfig(n_vocab=5, n_ctx=8, n_embd=4, n_head=1, n_layer=1)).eval())
    >>> [score.n_tokens for score in scorer.score([([1, 2, 3], [4]), ([1, 2, 3], [0, 4])])], scorer.computed_tokens
    ([1, 2], 4)
    """

    def __init__(self, model: GPT, *, pass_tokens: int = PASS_TOKENS) -> None:
        assert not model.training, "dropout would make scores random"
        self.model = model
        self.pass_tokens = pass_tokens
        self.computed_tokens = 0
        self._path = Path(model.config, like=model.wte.weight)
        self._read: Text = ()  # the tokens of the path

    @torch.inference_mode()
    def score(
        self,
        pairs: Sequence[tuple[Ids, Ids]],
        *,
        truncate: bool = False,
        n_first: int = 0,
        on_computed: Callable[[int], object] | None = None,
    ) -> list[PrefixScore]:
        """The score of each (context, continuation); one that holds no token is certain.

        `n_first`: how many of the likeliest first tokens to name. With `truncate` a pair that does not fit loses its
        first tokens. `on_computed` hears of tokens, a pass at a time.

        Raises: PromptError as `score_pairs`; CheckpointError where a log-probability is not a number.
        """
        n_ctx = self.model.config.n_ctx
        fitted = [fit(context, continuation, n_ctx, truncate=truncate) for context, continuation in pairs]
        texts: dict[Text, int] = {}
        for context, continuation in fitted:
            if continuation:
                text = _input(context, continuation)
                texts[text] = min(len(context) - 1, texts.get(text, len(context)))
        walk = _walk(texts, self._read)
        targets = _Targets(fitted, walk, n_first)
        for part in walk.passes(self.pass_tokens):
            self._pass(walk, part, targets)
            if on_computed is not None:
                on_computed(part.stop - part.start)
        return targets.scores()

    def _pass(self, walk: "_Walk", part: slice, targets: "_Targets") -> None:
        """Compute a part of the walk, and project those of its tokens that have to predict."""
        parents = np.maximum(walk.parents[part] - part.start, -1)  # what an earlier pass computed is on the path
        branches = Branches(self._path, walk.positions[part], parents)
        ids = torch.from_numpy(walk.ids[part])[None].to(self.model.wte.weight.device)
        self._read = ()  # should the pass fail
        hidden = self.model.hidden(ids, branches)[0]  # (N, C)
        self._read = walk.text_until(part.stop)
        self.computed_tokens += part.stop - part.start
        asked = targets.of(part)
        rows, place = np.unique(targets.rows[asked], return_inverse=True)
        size = max(1, CHUNK_ELEMENTS // self.model.config.n_vocab)
        for start in range(0, len(rows), size):
            chunk = torch.from_numpy(rows[start : start + size] - part.start).to(hidden.device)
            here = (place >= start) & (place < start + size)
            targets.settle(asked[here], self.model.logits(hidden[chunk]).float(), place[here] - start)


@dataclass(frozen=True, slots=True)
class _Walk:
    """The tokens to compute: texts one after the other, each without what it shares with the one before.

    `parents`: the token each follows, -1 where that is on the path already. `tokens`: of each text, the token at each
    position. Text i of `texts` ends before token `ends[i]`.
    """

    ids: Ints
    positions: Ints
    parents: Ints
    texts: list[Text]
    ends: list[int]
    tokens: dict[Text, Ints]

    def passes(self, most: int) -> Iterator[slice]:
        """Parts of at most so many tokens, which end where a text does unless one alone is longer."""
        start = 0
        while start < len(self.ids):
            whole = self.ends[max(0, bisect_right(self.ends, start + most) - 1)]
            stop = whole if start < whole <= start + most else min(start + most, len(self.ids))
            yield slice(start, stop)
            start = stop

    def text_until(self, stop: int) -> Text:
        """What leads to the token before `stop`, itself included."""
        text = self.texts[bisect_right(self.ends, stop - 1)]
        return text[: int(self.positions[stop - 1]) + 1]


def _walk(texts: Mapping[Text, int], read: Ids) -> _Walk:
    """Through the tree of texts, first along what has been read, as far as no token there has to predict.

    `texts`: each with the position of the first token that has to.
    """
    arrays = {text: _ints(text) for text in texts}
    way = _ints(read)
    on_path = {text: _common(array, way) for text, array in arrays.items()}
    order = sorted(texts, key=lambda text: (-on_path[text], text))
    known = min(
        [on_path[text] for text in order[:1]] + [first for text, first in texts.items() if first < on_path[text]],
        default=0,
    )
    path = np.full(max(map(len, order), default=0), -1)  # the token at each position of the current text
    ids, positions, parents = [_ints(())], [_ints(())], [_ints(())]
    tokens: dict[Text, Ints] = {}
    ends: list[int] = []
    for number, text in enumerate(order):
        new = _common(arrays[text], arrays[order[number - 1]]) if number else known
        end = ends[-1] if ends else 0
        fresh = np.arange(end, end + len(text) - new)
        parents.append(np.append(path[new - 1 : new] if new else -1, fresh)[: len(fresh)])
        path[new : len(text)] = fresh
        ids.append(arrays[text][new:])
        positions.append(np.arange(new, len(text)))
        tokens[text] = path[: len(text)].copy()
        ends.append(end + len(fresh))
    return _Walk(np.concatenate(ids), np.concatenate(positions), np.concatenate(parents), order, ends, tokens)


class _Targets:
    """The tokens that are asked for, pair after pair: which token of the walk predicts each, and what came out.

    Shapes: expected, rows, nats, likeliest (M,).
    """

    def __init__(self, pairs: Sequence[tuple[Ids, Ids]], walk: _Walk, n_first: int) -> None:
        ends = np.cumsum([0, *(len(continuation) for _, continuation in pairs)])
        self.spans = [slice(start, end) for start, end in pairwise(ends.tolist())]
        self.expected = _ints([token for _, continuation in pairs for token in continuation])
        rows = [walk.tokens[_input(*pair)][len(pair[0]) - 1 :] for pair in pairs if pair[1]]
        self.rows = np.concatenate([_ints(()), *rows])
        self._by_row = np.argsort(self.rows, kind="stable")
        self._sorted_rows = self.rows[self._by_row]
        self.nats = np.zeros(len(self.rows))
        self.likeliest = np.zeros(len(self.rows), dtype=np.bool_)
        self.firsts: dict[int, tuple[int, ...]] = {}  # of the targets that begin a pair
        self._begins = {span.start for span in self.spans}
        self._n_first = n_first

    def of(self, part: slice) -> Ints:
        """The targets that tokens of a pass predict."""
        low, high = np.searchsorted(self._sorted_rows, [part.start, part.stop])
        return self._by_row[low:high]

    def settle(self, which: Ints, logits: Tensor, place: Ints) -> None:
        """Enter what logits (U, V) say of some targets, each predicted by its row `place` of them."""
        expected = torch.from_numpy(self.expected[which]).to(logits.device)
        at = torch.from_numpy(place).to(logits.device)
        nats = logits[at, expected] - logits.logsumexp(-1)[at]
        check_finite(nats)
        self.nats[which] = nats.double().cpu().numpy()
        self.likeliest[which] = (logits.argmax(-1)[at] == expected).cpu().numpy()
        if self._n_first:
            likeliest = logits.topk(min(self._n_first, logits.shape[-1])).indices[at].cpu().numpy()
            self.firsts |= {
                target: tuple(map(int, ids))
                for target, ids in zip(which.tolist(), likeliest, strict=True)
                if target in self._begins
            }

    def scores(self) -> list[PrefixScore]:
        return [
            PrefixScore(
                float(self.nats[span].sum()),
                tuple(self.likeliest[span].tolist()),
                self.firsts.get(span.start, ()),
            )
            for span in self.spans
        ]


def _input(context: Ids, continuation: Ids) -> Text:
    """What a model reads of a pair: all but its last token, which is only predicted."""
    return (*context, *continuation[:-1])


def _common(one: Ints, other: Ints) -> int:
    """How many tokens two texts begin with alike."""
    n = min(len(one), len(other))
    differing = np.flatnonzero(one[:n] != other[:n])
    return int(differing[0]) if len(differing) else n


def _ints(ids: Ids) -> Ints:
    return np.array(ids, dtype=np.int64)
