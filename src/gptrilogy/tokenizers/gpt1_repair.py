"""GPT-1's first step with a text, `ftfy.fix_text`, within the time that ftfy alone does not keep.

ftfy repeats its repairs until nothing changes. In `&amp;amp;amp;...` or `ÂÂÂ...©` each repair makes way for one
more: a megabyte takes days. Unicode's own normalization takes the square of a run of combining marks.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from io import StringIO

import regex

from gptrilogy.errors import TokenizerError
from gptrilogy.extras import needs

MAX_ROUNDS = 4  # text damaged twice over needs three, the last of which finds nothing to do
MAX_MARKS = 256  # on one letter; Unicode's Stream-Safe Text Format allows 30
FEW_REPAIRS = 8  # so few places where a repair may begin can cost no more than so many rounds

# Lines of ASCII without the beginning of an HTML entity and without what ftfy removes: nothing to repair.
_PLAIN = re.compile(r"[\t\n\f\x20-%'-~]*")
_DAMAGED = re.compile(r"[^\t\n\f\x20-:<-~]")
_MARKS = regex.compile(rf"\p{{M}}{{{MAX_MARKS + 1}}}")


def repaired(text: str, *, entities: bool = True) -> str:
    r"""`ftfy.fix_text(text)`: mojibake, HTML entities, ligatures, wide letters, curly quotes, control characters.

    `entities`: whether they are repaired, which ftfy does up to the first line of a text that has a "<".

    Raises: TokenizerError for a text that would be under repair for hours; MissingExtraError without ftfy.

    >>> repaired("It&rsquo;s the â€œofficeâ€\x9d")
    'It\'s the "office"'
    """
    with needs("gpt1", purpose="GPT-1's tokenizer"):
        import_module("ftfy")  # a text without damage must not hide that it is missing
    return text if _PLAIN.fullmatch(text) else "".join(_repaired_lines(text, entities))


def _repaired_lines(text: str, entities: bool) -> Iterator[str]:
    import ftfy

    for line in StringIO(text, newline="\n"):
        has_tag = "<" in line
        if _PLAIN.fullmatch(line):
            yield line
        else:
            _check(line, entities=entities and not has_tag)
            yield ftfy.fix_text(line, unescape_html="auto" if entities else False)
        entities = entities and not has_tag


def _check(line: str, *, entities: bool) -> None:
    """Go through the repairs a round at a time, each round in linear time.

    Raises: TokenizerError where the rounds do not come to an end soon.
    """
    import ftfy
    from ftfy import fixes

    _check_marks(line)
    if len(_DAMAGED.findall(line)) <= FEW_REPAIRS:
        return
    for _ in range(MAX_ROUNDS):
        before = line
        line = fixes.unescape_html(line) if entities else line
        line = ftfy.fix_encoding(line, decode_inconsistent_utf8=False)
        line = fixes.decode_inconsistent_utf8(line)
        _check_marks(line)
        line = ftfy.fix_text_segment(line, fix_encoding=False, unescape_html=False)
        if line == before:
            return
    raise TokenizerError(
        f"the line that begins {line[:40]!r} still needs repair after {MAX_ROUNDS} rounds: its HTML entities or its "
        "mojibake are nested; decode it before it is tokenized, or remove it"
    )


def _check_marks(line: str) -> None:
    if found := _MARKS.search(line):
        raise TokenizerError(
            f"position {found.start()} of the line that begins {line[:40]!r} has more than {MAX_MARKS} combining "
            "marks in a row; remove them"
        )
