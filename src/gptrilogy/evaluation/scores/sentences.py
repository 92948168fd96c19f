"""Where sentences end, for the tasks that keep the first one or three of what a model wrote. Needs no torch."""

import re

ENDING = re.compile(r"""[.!?]+["'\u201d\u2019\u00bb)\]]*\s+|\s*\n\s*""")
TITLES = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "gen", "sen", "rep", "gov", "vs", "mme", "mlle", "no", "jr"})


def first_sentences(text: str, n: int) -> list[str]:
    """The first n sentences, or what there is of them.

    One ends at a full stop, exclamation or question mark before white space, or at the end of a line, but neither
    after a title or a single letter nor before a lower-case letter.

    >>> first_sentences("Dr. J. Smith of the U.S. Navy spoke at 3 p.m. on deck. Nobody heard. It blew! Then calm.", 3)
    ['Dr. J. Smith of the U.S. Navy spoke at 3 p.m. on deck.', 'Nobody heard.', 'It blew!']
    """
    sentences: list[str] = []
    text = text.strip()
    start = 0
    for ending in ENDING.finditer(text):
        if "\n" not in ending[0] and not _ends(text[start : ending.start()], ending[0], text[ending.end() :]):
            continue
        sentences.append(text[start : ending.end()].strip())
        start = ending.end()
    return [*sentences, text[start:]][:n] if start < len(text) else sentences[:n]


def _ends(before: str, mark: str, after: str) -> bool:
    if after[:1].islower():
        return False
    word = re.split(r"[\s.(]", before)[-1]
    return not mark.startswith(".") or (word.lower() not in TITLES and not (len(word) == 1 and word.isalpha()))
