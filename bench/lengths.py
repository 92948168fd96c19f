"""Contexts on the command line: numbers with commas between. Needs no torch."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter, Token


def numbers(_kind: Any, tokens: Sequence[Token]) -> tuple[int, ...]:
    """The numbers of all tokens, each once, in order.

    Raises: ValueError for what is no whole number above 0.
    """
    words = {word.strip() for token in tokens for word in token.value.split(",")}
    odd = next((word for word in sorted(words) if not word.isdecimal() or int(word) < 1), None)
    if odd is not None:
        raise ValueError(f"give whole numbers above 0 with commas between, as 512,1024; got {odd!r}")
    return tuple(sorted(map(int, words)))


Lengths: TypeAlias = Annotated[tuple[int, ...], Parameter(converter=numbers, n_tokens=1, negative="")]
