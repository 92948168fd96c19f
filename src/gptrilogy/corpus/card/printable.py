"""Text of strangers made harmless: for HTML, for Markdown, for a picture, and for the eye."""

import html
import re
import unicodedata

JOINERS = "\u200c\u200d"  # invisible too, but letters of Persian and Hindi and faces of emoji need them
DRAWABLE_BELOW = 0x0250  # Latin letters, which matplotlib's own font has

# An underscore within a word and a lone colon do nothing; all else here begins a mark, a link or a mention somewhere.
_ALIVE = re.compile(r"[\\`*\[\]<>#|~$@&]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_BACKTICKS = re.compile("`+")


def visible(text: str) -> str:
    r"""The text with all that acts unseen written out: terminal codes, changes of direction, half characters.

    >>> visible("a\x1b[31m\u202eb\tc\n")
    'a\\u001b[31m\\u202eb\tc\n'
    """
    return "".join(_seen(character) for character in text)


def _seen(character: str) -> str:
    acts = unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
    return f"\\u{ord(character):04x}" if acts and character not in "\n\t" + JOINERS else character


def for_html(text: str) -> str:
    """Text for an element or a quoted attribute.

    >>> for_html('<b title="x">&')
    '&lt;b title=&quot;x&quot;&gt;&amp;'
    """
    return html.escape(visible(text), quote=True)


def for_markdown(text: str) -> str:
    """Text for a paragraph or a table's cell, in which nothing becomes markup, a link or a mention.

    >>> for_markdown("a|b <i> http://x.org _a_b_")
    'a&#124;b &#60;i&#62; http&#58;//x.org &#95;a_b&#95;'
    """
    one_line = " ".join(visible(text).split())
    return _ALIVE.sub(lambda match: f"&#{ord(match[0])};", one_line)


def fenced(text: str, language: str = "text") -> str:
    """A block of Markdown that shows its text as it is; its fence is longer than any in the text.

    >>> fenced("x ``` y").splitlines()
    ['````text', 'x ``` y', '````']
    """
    shown = visible(text)
    longest = max((len(run) for run in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown.rstrip()}\n{fence}\n"


def for_picture(text: str, max_chars: int = 24) -> str:
    """A short label in letters that a picture's font has.

    >>> for_picture("books 本", max_chars=7)
    'books □'
    """
    line = "".join(c if c.isprintable() and ord(c) < DRAWABLE_BELOW else "□" for c in text)
    return line if len(line) <= max_chars else line[: max_chars - 3] + "..."
