"""The alphabet of byte-level BPE: every byte as one printable character, and the ids that merges build on it.

Source: GPT2 §2.2, openai/gpt-2 `encoder.py`.
"""

import reprlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeAlias

from gptrilogy.errors import TokenizerError

Pair: TypeAlias = tuple[str, str]

MAX_TOKEN_BYTES = 1024  # a file of sixty lines, each doubling the last, must not ask for all of memory


@cache
def byte_symbols() -> dict[int, str]:
    r"""Byte -> printable character, in the order of GPT-2's first 256 ids.

    A merges file separates symbols by a space and ends them at a newline, so no symbol may look like either.
    188 bytes print as themselves in Latin-1; the other 68 borrow the characters from U+0100 on.

    >>> table = byte_symbols()
    >>> table[ord("A")], table[ord(" ")], table[ord("\n")], list(table)[0]
    ('A', 'Ġ', 'Ċ', 33)
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    borrowed = {byte: chr(0x100 + i) for i, byte in enumerate(others)}
    return {byte: chr(byte) for byte in printable} | borrowed


@cache
def _symbol_bytes() -> dict[str, int]:
    return {symbol: byte for byte, symbol in byte_symbols().items()}


def to_symbols(data: bytes) -> str:
    """Bytes, one printable character each.

    >>> to_symbols(" né".encode())
    'ĠnÃ©'
    """
    table = byte_symbols()
    return "".join(table[byte] for byte in data)


def to_bytes(symbols: str) -> bytes:
    """The inverse of `to_symbols`."""
    table = _symbol_bytes()
    return bytes(table[symbol] for symbol in symbols)


def vocabulary(merges: Iterable[object]) -> dict[str, int]:
    """Symbol -> id: the 256 bytes, then what each merge makes, unless an earlier one made it already.

    Raises: TokenizerError for a merge that is not a pair of known symbols, comes twice or too late, or grows too long.

    >>> vocabulary([("t", "h"), ("th", "e")])["the"]
    257
    >>> vocabulary([("th", "e")])
    Traceback (most recent call last):
    ...
    gptrilogy.errors.TokenizerError: merge 0 ('th', 'e') uses 'th' before it exists; ...
    """
    return grown({symbol: i for i, symbol in enumerate(byte_symbols().values())}, merges, _check_size)


def grown(ids: dict[str, int], merges: Iterable[object], check: Callable[[int, Pair], None]) -> dict[str, int]:
    """A vocabulary with what each merge makes, unless it is there already; `check` may refuse a merge of two symbols.

    Raises: TokenizerError for a merge that is not a pair of known symbols, or comes twice or too late.
    """
    seen: set[Pair] = set()
    used: set[str] = set()
    for rank, merge in enumerate(merges):
        pair = _known(rank, merge, ids)
        check(rank, pair)
        made = "".join(pair)
        if pair in seen:
            raise TokenizerError(f"merge {rank} {reprlib.repr(pair)} comes twice; remove the second")
        if made in used:  # then one pair at a time and all equal pairs at once, both in use, give different ids
            raise TokenizerError(
                f"merge {rank} makes {reprlib.repr(made)} again, which an earlier merge uses; remove it"
            )
        seen.add(pair)
        used.update(pair)
        ids.setdefault(made, len(ids))
    return ids


def parse_merge(rank: int, line: object) -> Pair:
    """Two symbols with a space between.

    Raises: TokenizerError for anything else.
    """
    if not isinstance(line, str) or line.count(" ") != 1:
        raise TokenizerError(f"merge {rank} must be two symbols with a space between, got {line!r:.60}")
    left, right = line.split(" ")
    return left, right


def _known(rank: int, merge: object, ids: dict[str, int]) -> Pair:
    match merge:
        case (str(left), str(right)):
            pass
        case _:
            raise TokenizerError(f"merge {rank} must be a pair of strings, got {reprlib.repr(merge)}")
    for side in (left, right):
        if side not in ids:
            raise TokenizerError(
                f"merge {rank} {reprlib.repr((left, right))} uses {reprlib.repr(side)} before it exists; "
                "merges go in the order they were learned, in the vocabulary's own symbols"
            )
    return left, right


def _check_size(rank: int, pair: Pair) -> None:
    if (size := sum(map(len, pair))) > MAX_TOKEN_BYTES:
        raise TokenizerError(f"merge {rank} makes a token of {size} bytes; the limit is {MAX_TOKEN_BYTES}")
