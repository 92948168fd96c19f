"""Tokenised corpora as the running text they were, and back again. Needs no torch.

GPT-2's own de-tokenizers were never released, and those in circulation lose words: they write a number over `N`, or
part `U.S.` at its stops on the way back. Here a `Detokenizer` is a style of writing, and no word can be lost by it:
`words(text(line)) == line.split()` for every line. Words are written together only where reading them gives the same
words; a single word that would be read as several is written after one space more, which says to leave it whole.

Source: GPT2 §3.1, which asks that they be invertible; the rules are ours. `<unk>` and the Penn Treebank's `N` stay.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

MAX_TOGETHER = 12  # words looked at together at most, so that no text takes more than linear time


@dataclass(frozen=True, slots=True)
class Detokenizer:
    """How the words of a corpus are written.

    `left`, `right`: words that lean on the one before, on the one after; words like `'s` lean left in every corpus.
    `pairs`: quotation marks that open and close with the same word. `write`: how a word is spelled in a text. `pieces`,
    `read`: what a text without spaces falls into, and the word that each piece is.

    >>> WIKITEXT.text("Teddy 's two @-@ part story ( in 1 @,@ 000 pages ) , H. Smith said .")
    "Teddy's two-part story (in 1,000 pages), H. Smith said."
    >>> " ".join(WIKITEXT.words(_))
    "Teddy 's two @-@ part story ( in 1 @,@ 000 pages ) , H. Smith said ."
    """

    left: frozenset[str]
    right: frozenset[str]
    pieces: re.Pattern[str]
    pairs: frozenset[str] = frozenset()
    write: Callable[[str], str] = str
    read: Callable[[re.Match[str]], str] = lambda piece: piece[0]

    def text(self, line: str) -> str:
        """A line of words parted by white space, as running text."""
        return " ".join(chunk for group in self._leaning(line.split()) for chunk in self._chunks(group))

    def words(self, text: str) -> list[str]:
        """The words a text was made of. Inverse of `text`."""
        words: list[str] = []
        fields = iter(text.split(" "))
        for chunk in fields:
            words += self._read(chunk) if chunk else islice(fields, 1)
        return words

    def _read(self, chunk: str) -> list[str]:
        return [self.read(piece) for piece in self.pieces.finditer(chunk)]

    def _leaning(self, words: Sequence[str]) -> Iterator[list[str]]:
        """Runs of words that one would like to write together."""
        group: list[str] = []
        opened: set[str] = set()
        previous, right = "", False  # the last word, and whether it leans on the next
        for word in words:
            closes = word in self.pairs and (word in opened or (word == "'" and previous.endswith("s")))
            left = word in self.left or closes or _contracted(word) or word == previous == "="
            if group and (len(group) == MAX_TOGETHER or not (left or right)):
                yield group
                group = []
            group.append(word)
            previous, right = word, word in self.right or (word in self.pairs and not closes)
            if word in self.pairs:
                (opened.discard if closes else opened.add)(word)
        if group:
            yield group

    def _chunks(self, group: list[str]) -> Iterator[str]:
        """A group in parts that are read as the words they were made of."""
        while group:
            part = group
            while (read := self._read(chunk := "".join(map(self.write, part)))) != part and len(part) > 1:
                part = part[: max(1, _agreeing(read, part[:-1]))]
            yield chunk if read == part else f" {part[0]}"
            group = group[len(part) :]


def _agreeing(words: Sequence[str], others: Sequence[str]) -> int:
    """How many words two sequences have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, others, strict=False)))


def _contracted(word: str) -> bool:
    return word == "n't" or (len(word) > 1 and word[0] == "'" and word[1].isalpha())


def _write_joint(word: str) -> str:
    """WikiText's marks of what stands inside a word: @-@, @,@ and @.@."""
    return word[1] if word in JOINTS else word


def _read_joint(piece: re.Match[str]) -> str:
    return f"@{piece[0]}@" if piece.lastgroup == "joint" else piece[0]


def _write_slash(word: str) -> str:
    return word.replace("\\/", "/")


def _read_slash(piece: re.Match[str]) -> str:
    return piece[0].replace("/", "\\/")


def _write_marks(word: str) -> str:
    """The Penn Treebank's words for quotation marks and brackets."""
    return QUOTES.get(word) or BRACKETS.get(word, word)


def _read_marks(piece: re.Match[str]) -> str:
    return (OPENING if piece.lastgroup else CLOSING).get(piece[0], piece[0])


JOINTS = frozenset(["@-@", "@,@", "@.@"])
QUOTES = {"``": '"', "''": '"', "`": "'"}
BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
OPENING = {'"': "``", "'": "`"}
CLOSING = {'"': "''"} | {mark: word for word, mark in BRACKETS.items()}

PUNCTUATION = frozenset([",", ".", ";", ":", "!", "?", "%", "..."])
# A stop belongs to letters parted by stops (U.S.), to one capital alone (H.) and to these; elsewhere it is a word.
TITLES = "mr|mrs|ms|dr|st|jr|sr|lt|col|gen|capt|sgt|maj|adm|rev|prof|gov|sen|rep|vs|bros|inc|co|corp|ltd"
ABBREVIATED = rf"(?<![^\W_])(?:(?:[^\W\d_]\.){{2,}}|[A-Z]\.|(?i:{TITLES})\.)"
ENDINGS = r"n't|'(?:s|re|ve|ll|d|m)"
TAIL = r"(?<=[\w>])'[^\W\d_]+"  # what an apostrophe parts from the word before: 's, 't, the Brien of O'Brien

WIKITEXT = Detokenizer(
    left=PUNCTUATION | JOINTS | {")", "]", "}"},
    right=JOINTS | {"(", "[", "{", "$", "£", "€"},
    pairs=frozenset(['"', "'"]),
    pieces=re.compile(
        rf"<\w+>|{ABBREVIATED}|Nos?\.|[^\W\d_]\d+\.\d+|{TAIL}"
        r"|(?P<joint>(?<=\d)[.,](?=\d)|-)|\.\.\.|\w+|[^\w\s]"
    ),
    write=_write_joint,
    read=_read_joint,
)
PENN_TREEBANK = Detokenizer(
    left=frozenset(["'", "%"]),
    right=frozenset(["$", "#"]),
    pieces=re.compile(rf"(?:{ENDINGS}|'|%)$|^[$#](?=.)|.+?(?=(?:{ENDINGS}|'|%)$|$)"),
    write=_write_slash,
    read=_read_slash,
)
NOVELS = Detokenizer(  # of the Children's Book Test and of LAMBADA's development set
    left=PUNCTUATION | {"''", "'", "-RRB-", "-RSB-", "-RCB-"},
    right=frozenset(["``", "`", "-LRB-", "-LSB-", "-LCB-", "$", "£"]),
    pieces=re.compile(
        rf"{ABBREVIATED}|^'(?:em|t)\b|(?:{ENDINGS})\b|(?P<opening>(?<![^(\[{{'\"])[\"'](?=[\w('\"]))"
        r"|\.\.\.|--|[?!]{2,}|\w+?(?=n't\b)|\w+(?:-\w+)*|[^\w\s]"
    ),
    write=_write_marks,
    read=_read_marks,
)
BILLION_WORDS = Detokenizer(
    left=PUNCTUATION | {")", "]"},
    right=frozenset(["(", "[", "$", "£", "€", "#"]),
    pairs=frozenset(['"', "'"]),
    pieces=re.compile(rf"{ABBREVIATED}|{TAIL}|\.\.\.|--|\d+(?:[.,:]\d+)*(?:-\w+)*|\w+(?:[-.&@/]\w+)*|[^\w\s]"),
)

# What lm-evaluation-harness does to a page, in its order. It cannot be undone: "(a )" and "( a )" become the same.
HARNESS = (
    *(("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")),
    *((rf" {re.escape(mark)} ", f"{mark} ") for mark in ":;.!?,"),
    *(
        (rf"\{left}\s*([^\{right}]*?)\s*\{right}", rf"{left}\1{right}")
        for left, right in ("()", "[]", "{}", '""', "''")
    ),
    *(("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" ° ", "°")),
    *((" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")),
)


def harness_text(page: str) -> str:
    """A page of WikiText as the task `wikitext` of lm-evaluation-harness scores it.

    >>> harness_text("\\n = Teddy = \\n \\n He 's ( 1 @.@ 5 m ) . \\n ")
    "\\n= Teddy =\\n\\nHe's (1.5 m).\\n"
    """
    for pattern, replacement in HARNESS:
        page = re.sub(pattern, replacement, page)
    return page
