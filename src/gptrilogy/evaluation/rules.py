"""How the likelihoods of answers become a choice. Needs no torch.

Units: nats. Source: GPT3 §2.4 for `token` and `unconditional`; GPT2 §3 for `sum`; lm-evaluation-harness calls `sum` acc
and `character` acc_norm.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

RuleName: TypeAlias = Literal["sum", "token", "character", "byte", "unconditional"]
RULE_NAMES: tuple[RuleName, ...] = get_args(RuleName)


class Scored(NamedTuple):
    """What a rule may know of an option.

    `nats`: log P(completion | context). `alone_nats`: log P(completion | answer context), nan where nobody asked.
    `completion`: without the white space it begins with.
    """

    nats: float
    n_tokens: int
    completion: str
    alone_nats: float


RULES: Mapping[RuleName, Callable[[Scored], float]] = {
    "sum": lambda option: option.nats,
    "token": lambda option: option.nats / option.n_tokens,
    "character": lambda option: option.nats / len(option.completion),
    "byte": lambda option: option.nats / len(option.completion.encode()),
    "unconditional": lambda option: option.nats - option.alone_nats,
}


def choose(rule: RuleName, options: Sequence[Scored]) -> int:
    """The option a rule prefers; the first of equals.

    >>> options = [Scored(-3.0, 1, "no", -1.0), Scored(-4.0, 2, "not at all", -6.0)]
    >>> [choose(rule, options) for rule in RULE_NAMES]
    [0, 1, 1, 1, 1]
    """
    return int(np.argmax([RULES[rule](option) for option in options]))
