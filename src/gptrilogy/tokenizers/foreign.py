"""The tokenizer files that others publish for GPT-1, GPT-2 and GPT-3, each read exactly or refused.

encoder.json + vocab.bpe                       GPT-2 and GPT-3, as OpenAI names them
vocab.json + merges.txt                        the same for either family, as Hugging Face names them
encoder_bpe_40000.json + vocab_40000.bpe       GPT-1
NAME.tiktoken                                  GPT-2 and GPT-3, tokens with their ranks
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import regex

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.base import END_OF_TEXT, Tokenizer
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.bytes import BytesTokenizer
from gptrilogy.tokenizers.gpt1 import GPT1BPE
from gptrilogy.tokenizers.gpt1_symbols import UNKNOWN
from gptrilogy.tokenizers.reference import SPLIT_PATTERN, split
from gptrilogy.tokenizers.symbols import MAX_TOKEN_BYTES, Pair, byte_symbols, parse_merge, to_bytes, to_symbols
from gptrilogy.tokenizers.untrusted import MAX_VALUES, naming, read_lines, read_object

FILE_NAME = "tokenizer.json"  # ours and Hugging Face's alike; `saved` tells them apart
PAIRS = (
    ("encoder.json", "vocab.bpe"),
    ("vocab.json", "merges.txt"),
    ("encoder_bpe_40000.json", "vocab_40000.bpe"),
)
RANKS_SUFFIX = ".tiktoken"


def holds_tokenizer(folder: Path) -> bool:
    """Whether a folder has a file by which a tokenizer goes, its own or that of others."""
    names = [FILE_NAME, *chain.from_iterable(PAIRS)]
    return any((folder / name).is_file() for name in names) or bool(_rank_files(folder))


def read_foreign(path: Path) -> Tokenizer | None:
    """The tokenizer of a published file, or of a folder with one; None where no such name is there.

    Of several kinds in a folder the first in the list above is read. One file of a pair brings the other.

    Raises: TokenizerError naming the file that is missing, damaged, or of a kind that would give other ids here.
    """
    if path.is_file():
        if path.suffix == RANKS_SUFFIX:
            return read_ranks(path)
        return next((read_pair(path.parent, pair) for pair in PAIRS if path.name in pair), None)
    for pair in PAIRS:
        if any((path / name).is_file() for name in pair):
            return read_pair(path, pair)
    found = _rank_files(path)
    if len(found) > 1:
        raise TokenizerError(f"{path} holds {found[0].name} and {found[1].name}; name the file that is meant")
    return read_ranks(found[0]) if found else None


def read_pair(folder: Path, names: tuple[str, str]) -> Tokenizer:
    """The tokenizer of an encoder (token -> id, as JSON) and its merges (two symbols a line, in the order of learning).

    Raises: TokenizerError for files that do not belong together, or that GPT-2 or GPT-1 would not read so.
    """
    encoder_path, merges_path = (folder / name for name in names)
    for path, other in ((encoder_path, merges_path), (merges_path, encoder_path)):
        if not path.is_file():
            raise TokenizerError(f"{other} needs {path.name} beside it, which is missing; put it there")
    with naming(encoder_path):
        encoder = ids_of(read_object(encoder_path))
    is_gpt1 = encoder.get(UNKNOWN) == 0  # where every byte is a token, nothing is unknown
    lines = read_lines(merges_path)
    with naming(merges_path):
        merges = pairs_of(lines[1:] if lines[0].startswith("#version") else lines)
        if not is_gpt1:
            check_pieces("".join(pair) for pair in merges)
    with naming(encoder_path):
        return GPT1BPE.from_pair(encoder, merges) if is_gpt1 else byte_level(encoder, merges)


def read_ranks(path: Path) -> ByteLevelBPE:
    """The tokenizer of a .tiktoken file: a token in base64, a space and its rank a line, without `<|endoftext|>`.

    The file holds no merges. They follow from the ranks: the tokens of smaller rank, applied to a token's
    bytes, leave the two parts that were merged to make it.

    Raises: TokenizerError for a damaged file, or one made for another split pattern (cl100k_base, o200k_base).
    """
    lines = read_lines(path)
    with naming(path):
        tokens = [_ranked(rank, line) for rank, line in enumerate(lines)]
        for rank, byte in enumerate(byte_symbols()):
            if tokens[rank : rank + 1] != [bytes([byte])]:
                raise TokenizerError(
                    f"rank {rank} must be the byte {byte:#04x}: GPT-2's ranks begin with the 256 bytes in its own order"
                )
        check_pieces(map(to_symbols, tokens[256:]))
        return ByteLevelBPE(_merges_of(tokens))


def ids_of(encoder: Mapping[str, Any]) -> dict[str, int]:
    """Raises: TokenizerError where an id is no whole number from 0."""
    for token, number in encoder.items():
        if type(number) is not int or not 0 <= number < MAX_VALUES:  # bool is an int too, and true is no id
            raise TokenizerError(
                f"the id of {token!r:.60} must be a whole number from 0 to {MAX_VALUES}, got {number!r:.60}"
            )
    return dict(encoder)


def pairs_of(merges: Iterable[object]) -> list[Pair]:
    """Merges written as "Ġ t" or as ["Ġ", "t"].

    Raises: TokenizerError for anything else.
    """
    return [_pair(rank, merge) for rank, merge in enumerate(merges)]


def byte_level(encoder: Mapping[str, int], merges: Sequence[Pair]) -> Tokenizer:
    """The tokenizer of a byte-level vocabulary: GPT-2's scheme, or plain bytes where every id is its byte.

    Raises: TokenizerError naming the first token whose id is not the one that the merges give it.
    """
    if not merges and encoder == _plain_bytes():
        return BytesTokenizer()
    tokenizer = ByteLevelBPE(merges)
    built = [to_symbols(tokenizer.token_bytes(token_id)) for token_id in range(tokenizer.n_vocab)]
    for token_id, token in enumerate(built):
        if encoder.get(token) != token_id:
            found = f"the id {encoder[token]}" if token in encoder else "no id"
            raise TokenizerError(
                f"{token!r:.60} has {found} among {len(encoder):,} tokens, {len(merges):,} merges make it {token_id}; "
                f"take the vocabulary and the merges of one model, with {END_OF_TEXT} as its last token"
            )
    if extra := sorted(set(encoder) - set(built), key=lambda token: encoder[token]):
        raise TokenizerError(f"no merge makes {extra[0]!r:.60}, whose id is {encoder[extra[0]]}; remove the token")
    return tokenizer


def check_pieces(tokens: Iterable[str]) -> None:
    """Tokens, in byte symbols, must stay in one piece under GPT-2's split pattern, or they were learned under another.

    A token that ends inside a character says nothing either way.

    Raises: TokenizerError naming the first that is cut.

    >>> check_pieces(["Ġhello", "ĠĠĠ", "'ll"])
    >>> check_pieces([");Ċ"])
    Traceback (most recent call last):
    ...
    gptrilogy.errors.TokenizerError: the token ');\\n' would be cut into [');', '\\n'] by GPT-2's split pattern: ...
    """
    first_piece = regex.compile(SPLIT_PATTERN).match
    known = set(byte_symbols().values())
    for token in tokens:
        if not known.issuperset(token):
            continue  # which `vocabulary` refuses, and knows why
        try:
            text = to_bytes(token).decode("utf-8")
        except UnicodeDecodeError:
            continue
        piece = first_piece(text)
        if piece and piece.end() < len(text):
            raise TokenizerError(
                f"the token {text!r:.60} would be cut into {split(text)!r:.80} by GPT-2's split pattern: this "
                "vocabulary was made for another one and would give other ids here; use one made for GPT-2"
            )


def _rank_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{RANKS_SUFFIX}"))


def _pair(rank: int, merge: object) -> Pair:
    match merge:
        case [str(left), str(right)]:
            return left, right
        case _:
            return parse_merge(rank, merge)


def _plain_bytes() -> dict[str, int]:
    return {symbol: byte for byte, symbol in byte_symbols().items()} | {END_OF_TEXT: BytesTokenizer.eot_id}


def _ranked(rank: int, line: str) -> bytes:
    """The token of a line, whose rank must be the number of the line."""
    token, _, number = line.partition(" ")
    if number != str(rank):
        raise TokenizerError(
            f"line {rank + 1} must be a token in base64, a space, and the rank {rank}, got {line!r:.60}; "
            "ranks count the lines from 0"
        )
    try:
        content = base64.b64decode(token, validate=True)
    except ValueError as error:  # also for what is not ASCII
        raise TokenizerError(f"line {rank + 1} is not base64 ({error}): {token!r:.60}") from None
    if not 0 < len(content) <= MAX_TOKEN_BYTES:
        raise TokenizerError(f"line {rank + 1} has a token of {len(content):,} bytes; 1 to {MAX_TOKEN_BYTES} are read")
    return content


def _merges_of(tokens: Sequence[bytes]) -> Iterator[Pair]:
    ranks: dict[bytes, int] = {}
    for rank, token in enumerate(tokens):
        if token in ranks:
            raise TokenizerError(f"rank {rank} is the token {token!r:.60} again, which has rank {ranks[token]}")
        if rank >= 256:
            parts = _parts(token, ranks)
            if len(parts) != 2:
                raise TokenizerError(
                    f"rank {rank}, the token {token!r:.60}, is not two tokens of smaller rank merged; "
                    f"they leave {len(parts)} parts of it"
                )
            yield to_symbols(parts[0]), to_symbols(parts[1])
        ranks[token] = rank


def _parts(token: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """What byte-pair encoding leaves of a token: always merge the leftmost pair whose join has the smallest rank."""
    never = len(ranks)
    parts = [token[i : i + 1] for i in range(len(token))]
    costs = [ranks.get(token[i : i + 2], never) for i in range(len(token) - 1)]  # of joining part i to the next
    while costs and (cost := min(costs)) < never:
        i = costs.index(cost)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
        del costs[i]
        for j in (i - 1, i):
            if 0 <= j < len(costs):
                costs[j] = ranks.get(parts[j] + parts[j + 1], never)
    return parts
