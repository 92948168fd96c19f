r"""The vocabulary of GPT-1: characters, characters that end a word, and what the merges build of them.

Source: openai/finetune-transformer-lm `text_utils.py`, `model/encoder_bpe_40000.json`.
"""

import reprlib
from collections.abc import Iterable, Mapping

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES, Pair, grown

UNKNOWN = "<unk>"
WORD_END = "</w>"  # glued to the last character of a word, so that merges tell the end of a word from its middle
NEWLINE_SYMBOL = f"\n{WORD_END}"


def gpt1_vocabulary(characters: Iterable[object], merges: Iterable[object]) -> dict[str, int]:
    r"""Symbol -> id: `<unk>`, the characters, the same at a word's end, what each merge makes, the line break.

    Raises: TokenizerError for what is no character, or comes twice; for a merge that is not a pair of known symbols,
        goes on after a word's end, comes twice or too late, or grows too long.

    >>> list(gpt1_vocabulary("ab", [("a", "b</w>")]))
    ['<unk>', 'a', 'b', 'a</w>', 'b</w>', 'ab</w>', '\n</w>']
    >>> gpt1_vocabulary("ab", [("a", "c")])
    Traceback (most recent call last):
    ...
    gptrilogy.errors.TokenizerError: merge 0 ('a', 'c') uses 'c' before it exists; ...
    """
    alphabet = _checked_characters(characters)
    symbols = [UNKNOWN, *alphabet, *(character + WORD_END for character in alphabet)]
    ids = {symbol: i for i, symbol in enumerate(symbols)}
    ids = grown(ids, merges, _check_merge)
    return ids | {NEWLINE_SYMBOL: len(ids)}


def check_encoder(encoder: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Raises: TokenizerError naming the first token whose id is not the expected one."""
    for token, token_id in expected.items():
        found = encoder.get(token)
        if found != token_id or type(found) is not int:  # True == 1
            has = "is missing" if token not in encoder else f"has the id {found!r:.20}"
            raise TokenizerError(
                f"{token!r:.60} {has}, its characters and merges make it {token_id}; take both files of one model"
            )
    if extra := next((token for token in encoder if token not in expected), None):
        raise TokenizerError(
            f"no merge makes {extra!r:.60}, whose id is {encoder[extra]!r:.20}; take both files of one model"
        )


def characters_of(encoder: Mapping[str, int], merges: Iterable[Pair]) -> list[str]:
    """The characters at the beginning of an encoder.

    Raises: TokenizerError where the number of tokens does not fit the number of merges.
    """
    n_made = len({f"{left}{right}" for left, right in merges})
    n_characters, odd = divmod(len(encoder) - n_made - 2, 2)
    if odd or n_characters < 0:
        raise TokenizerError(
            f"{len(encoder):,} tokens do not fit {n_made:,} merges: GPT-1 has {UNKNOWN}, a line break, two tokens a "
            "character and one a merge; take both files of one model"
        )
    tokens = {token_id: token for token, token_id in encoder.items()}
    return [tokens.get(token_id, "") for token_id in range(1, n_characters + 1)]


def symbol_bytes(symbol: str) -> bytes:
    """What a symbol stands for, a space after it where a word ends.

    >>> symbol_bytes("the</w>"), symbol_bytes("th")
    (b'the ', b'th')
    """
    return (symbol.removesuffix(WORD_END) + " " if symbol.endswith(WORD_END) else symbol).encode()


def _checked_characters(characters: Iterable[object]) -> list[str]:
    alphabet: list[str] = []
    known: set[str] = set()
    for i, character in enumerate(characters):
        if not isinstance(character, str) or len(character) != 1 or character.isspace() or _is_surrogate(character):
            raise TokenizerError(f"character {i} must be one character that is no white space, got {character!r:.60}")
        if character in known:
            raise TokenizerError(f"character {i} {character!r} comes twice; remove the second")
        known.add(character)
        alphabet.append(character)
    return alphabet


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _check_merge(rank: int, pair: Pair) -> None:
    left, right = pair
    made = left + right
    ends_early = left.endswith(WORD_END) or made.endswith(WORD_END) != right.endswith(WORD_END)
    if UNKNOWN in pair:
        raise TokenizerError(f"merge {rank} {reprlib.repr(pair)} uses {UNKNOWN}, which is no part of a word; remove it")
    if ends_early or made == UNKNOWN:
        raise TokenizerError(
            f"merge {rank} {reprlib.repr(pair)} makes {made!r:.60}, in which a word ends too early; remove it"
        )
    if (size := len(made.encode())) > MAX_TOKEN_BYTES:
        raise TokenizerError(f"merge {rank} makes a token of {size} bytes; the limit is {MAX_TOKEN_BYTES}")
