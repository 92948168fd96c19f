"""What training by weight makes of several sets: how much of each is read, and how many times."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class MixtureRow:
    """A set of a mixture: its size, its weight as given, its share of the training tokens, how often it is read."""

    set: str
    tokens: int
    weight: float
    share: float
    epochs: float


def mixture_table(tokens: Mapping[str, int], weights: Mapping[str, float], training_tokens: float) -> list[MixtureRow]:
    """A row for each set, in the order of `weights`; weights that do not add up to 1 are divided by their sum.

    Source: GPT3 Table 2.2, whose weights add up to 101%.

    >>> for row in mixture_table({"web": 900, "books": 100}, {"web": 0.6, "books": 0.2}, training_tokens=1000):
    ...     print(row.set, row.share, round(row.epochs, 2))
    web 0.75 0.83
    books 0.25 2.5
    """
    shares = shares_of(weights)
    return [
        MixtureRow(name, tokens[name], weight, shares[name], shares[name] * training_tokens / tokens[name])
        for name, weight in weights.items()
    ]


def shares_of(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights over their sum.

    >>> shares_of({"web": 3, "books": 1})
    {'web': 0.75, 'books': 0.25}
    """
    total = sum(map(exact, weights.values()))
    return {name: float(exact(weight) / total) for name, weight in weights.items()}


def total_weight(weights: Mapping[str, float]) -> float:
    """What the weights as they are written add up to.

    >>> total_weight({"web": 0.7, "books": 0.2, "wikipedia": 0.1})
    1.0
    """
    return float(sum(map(exact, weights.values())))


def exact(weight: float) -> Fraction:
    """The number that a person wrote, not the nearest one in base two.

    >>> exact(0.6)
    Fraction(3, 5)
    """
    return Fraction(repr(float(weight)))
