"""Items put to a model: what it makes of each, as numbers that any rule can be applied to afterwards."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from gptrilogy.evaluation.items import Choice, Cloze, Free, Item, Outcome, Passage
from gptrilogy.evaluation.prompts import Prompt
from gptrilogy.evaluation.rules import RuleName, Scored, choose
from gptrilogy.evaluation.task import Answering
from gptrilogy.generation.config import BeamSearch
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.prefixes import PASS_TOKENS, PrefixScore, PrefixScorer
from gptrilogy.generation.scoring import Ids, encode_pairs, first_id, rolling_windows

Pair: TypeAlias = tuple[Ids, Ids]

N_FIRST = 128  # first tokens looked at when some words do not count


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of one item.

    `nats`, `n_tokens`: of each option of a Choice; of the one completion of a Cloze; of a Passage. `alone_nats`: of
    each option after its answer context. `right`: of a Cloze. `text`: of a Free.
    """

    nats: tuple[float, ...] = ()
    n_tokens: tuple[int, ...] = ()
    alone_nats: tuple[float, ...] = ()
    right: bool = False
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in ((), False, "")}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Answer":
        """Raises: AttributeError, TypeError or ValueError for what `to_json` would not have made."""
        return cls(
            tuple(map(float, fields.get("nats", ()))),
            tuple(map(int, fields.get("n_tokens", ()))),
            tuple(map(float, fields.get("alone_nats", ()))),
            bool(fields.get("right", False)),
            str(fields.get("text", "")),
        )


def outcome(item: Item, record: int, answer: Answer, rule: RuleName) -> Outcome:
    """What an answer comes to under a rule, which only a Choice needs."""
    if isinstance(item, Free):
        return Outcome(item, record, text=answer.text)
    if not isinstance(item, Choice):
        return Outcome(item, record, right=answer.right, nats=answer.nats[0])
    alone = answer.alone_nats or (math.nan,) * len(item.options)
    options = [
        Scored(nats, n_tokens, option.completion.strip(), nats_alone)
        for option, nats, n_tokens, nats_alone in zip(item.options, answer.nats, answer.n_tokens, alone, strict=True)
    ]
    return Outcome(item, record, chosen=choose(rule, options))


class Asker:
    """A model that answers, with its warm path of keys and values.

    `pass_tokens` bounds the memory; no result depends on it by more than rounding.
    """

    def __init__(
        self, language_model: LanguageModel, *, pass_tokens: int = PASS_TOKENS, stride: int | None = None, seed: int = 0
    ) -> None:
        self.language_model = language_model
        self.stride = stride
        self.seed = seed
        self.count = lru_cache(maxsize=8192)(self._count)
        self._scorer = PrefixScorer(language_model.model, pass_tokens=pass_tokens)

    @property
    def n_ctx(self) -> int:
        return self.language_model.model.config.n_ctx

    def room(self, prompt: Prompt, answering: Answering | None) -> int:
        """How many more tokens have room beside a prompt with the longest of its items; below 0, so many too many."""
        longest = max((text for item in prompt.items for text in _texts(item)), key=self.count, default="")
        written = answering.max_tokens if answering and any(isinstance(item, Free) for item in prompt.items) else -1
        return self.n_ctx - written - self._count(prompt.prefix + longest)

    def ask(self, prompts: Sequence[Prompt], answering: Answering | None, *, alone: bool) -> list[list[Answer]]:
        """The answers to the items of each prompt, what they begin with alike computed once.

        `alone`: score the options of a Choice after its answer context too. What is longer than the context loses its
        beginning, with a warning.

        Raises: PromptError where a completion alone exceeds the context; CheckpointError for a model whose
        log-probabilities are not numbers.
        """
        asked = [(prompt.prefix, item) for prompt in prompts for item in prompt.items]
        requests = [self._requests(prefix, item, alone=alone) for prefix, item in asked]
        scores = iter(self._score([pair for of_item in requests for pair in of_item], [item for _, item in asked]))
        free = [prefix + item.context for prefix, item in asked if isinstance(item, Free)]
        written = iter(self._write(free, answering) if free else [])
        found = iter(
            [
                Answer(text=next(written))
                if isinstance(item, Free)
                else self._answer(item, of_item, list(islice(scores, len(of_item))))
                for (_, item), of_item in zip(asked, requests, strict=True)
            ]
        )
        return [[next(found) for _ in prompt.items] for prompt in prompts]

    def _score(self, pairs: Sequence[Pair], items: Sequence[Item]) -> list[PrefixScore]:
        n_first = N_FIRST if any(isinstance(item, Cloze) and item.banned for item in items) else 0
        if any(len(before) + len(after) > self.n_ctx + 1 for before, after in pairs):
            warnings.warn(
                f"some questions are longer than the model's context of {self.n_ctx} tokens and lose their beginning",
                stacklevel=4,
            )
        return self._scorer.score(pairs, truncate=True, n_first=n_first)

    def _requests(self, prefix: str, item: Item, *, alone: bool) -> list[Pair]:
        """(context, continuation) ids of all that is to be scored for an item."""
        tokenizer = self.language_model.tokenizer
        match item:
            case Choice(options, _, answer_context):
                texts = [(prefix + context, completion) for context, completion in options]
                by_itself = [(answer_context, completion) for _, completion in options] if alone else []
                return list(encode_pairs(tokenizer, [*texts, *by_itself]))
            case Cloze(context, completion, last_token=True):
                ids = tokenizer.encode(prefix + context + completion)
                return [(ids[:-1] or [first_id(tokenizer)], ids[-1:])]
            case Cloze(context, completion):
                return list(encode_pairs(tokenizer, [(prefix + context, completion)]))
            case Passage(text):
                ids = tokenizer.encode(prefix + text)
                return list(rolling_windows(ids, first_id(tokenizer), self.n_ctx, self.stride))
            case Free():
                return []

    def _answer(self, item: Item, pairs: Sequence[Pair], scores: Sequence[PrefixScore]) -> Answer:
        match item:
            case Choice(options):
                n = len(options)
                return Answer(
                    tuple(score.nats for score in scores[:n]),
                    tuple(score.n_tokens for score in scores[:n]),
                    tuple(score.nats for score in scores[n:]),
                )
            case Cloze(banned=banned) if banned:
                (score,), ((_, completion),) = scores, pairs
                right = self._first_allowed(score.first, banned) == completion[0] and all(score.likeliest[1:])
                return Answer((score.nats,), (score.n_tokens,), right=right)
            case _:
                nats = math.fsum(score.nats for score in scores)
                right = isinstance(item, Cloze) and all(map(all, (score.likeliest for score in scores)))
                return Answer((nats,), (sum(score.n_tokens for score in scores),), right=right)

    def _first_allowed(self, ids: Sequence[int], banned: frozenset[str]) -> int | None:
        """The likeliest token that is not, by itself, one of these words."""
        decode = self.language_model.tokenizer.decode
        return next((token for token in ids if decode([token]).strip().lower() not in banned), None)

    def _write(self, prompts: Sequence[str], answering: Answering | None) -> list[str]:
        """The model's own continuation of each prompt, up to a stop text; of equal prompts the same."""
        assert answering is not None, "a task of free answers says how they are written"
        different = list(dict.fromkeys(prompts))
        beam = BeamSearch(width=answering.beams, length_penalty=answering.length_penalty)
        texts = self.language_model.generate_until(
            different, answering.sampling or beam, max_tokens=answering.max_tokens, seed=self.seed, stop=answering.stop
        )
        text_of = dict(zip(different, texts, strict=True))
        return [text_of[prompt] for prompt in prompts]

    def _count(self, text: str) -> int:
        return len(self.language_model.tokenizer.encode(text))


def _texts(item: Item) -> list[str]:
    """All that a model reads of an item, one text an option."""
    match item:
        case Choice(options):
            return [context + completion for context, completion in options]
        case Cloze(context, completion):
            return [context + completion]
        case Free(context):
            return [context]
        case Passage(text):
            return [text]
