"""Wikitext as the plain text that a reader of the article sees."""

import html
import re
from collections import Counter
from importlib import import_module
from typing import Any

from gptrilogy.corpus.readers.limits import UnreadableError
from gptrilogy.extras import needs

EMBEDDED = frozenset({"file", "image", "category"})
MAX_WORK = 10**8  # ours: characters times marks left open, from each of which the parser reads on: about 10 s
DROPPED_TAGS = frozenset({"table", "gallery", "ref", "references", "math", "timeline", "score", "imagemap"})
VOID_TAGS = frozenset({"<br", "<hr", "<wbr"})

MARK = re.compile(r"\[\[|\]\]|\{\||\|\}|\{\{|\}\}|\[(?=\w+:|//)|\]|</?[a-zA-Z]+|/>")
CLOSED_BY = {"]]": "[[", "|}": "{|", "}}": "{{", "]": "["}
SWITCH = re.compile(r"__[A-Z]{3,}__")  # __NOTOC__ and its kin
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*:")  # [[de:Titel]], the same article elsewhere
SPACES = re.compile(r"[ \t]{2,}")
EDGES = re.compile(r"[ \t]*\n[ \t]*")
BLANK_LINES = re.compile(r"\n{3,}")


def plain_text(wikitext: str, embedded: frozenset[str] = EMBEDDED) -> str:
    """The words of an article: no templates, tables, references, pictures, categories nor marks of layout.

    `embedded` are the namespaces, in lower case, whose links are dropped with their captions.

    Raises: UnreadableError for wikitext so broken that parsing it would take minutes.
    """
    with needs("corpus", purpose="a wiki dump"):
        library: Any = import_module("mwparserfromhell")  # it has no types
    if (opened := left_open(wikitext)) * len(wikitext) > MAX_WORK:
        raise UnreadableError("broken wikitext", f"{opened:,} marks left open in {len(wikitext):,} characters")
    text = SWITCH.sub("", _words(library.parse(wikitext), embedded))
    return BLANK_LINES.sub("\n\n", EDGES.sub("\n", SPACES.sub(" ", text))).strip()


def left_open(wikitext: str) -> int:
    """How many links, templates, tables and tags begin and do not end.

    >>> left_open("a [[link]], <b>bold</b>, <ref name=a />, {{open and <i>open")
    2
    """
    opened, tag = Counter[str](), ""
    for match in MARK.finditer(wikitext):
        mark = match[0].lower()
        begun = tag if mark == "/>" else CLOSED_BY.get(mark, mark.replace("/", "") if mark.startswith("</") else "")
        if begun:
            opened[begun] = max(0, opened[begun] - 1)
        elif mark != "/>" and mark not in VOID_TAGS:
            opened[mark] += 1
            tag = mark if mark.startswith("<") else tag
    return opened.total()


def _words(code: Any, embedded: frozenset[str]) -> str:
    return "" if code is None else "".join(_words_of(node, embedded) for node in code.nodes)


def _words_of(node: Any, embedded: frozenset[str]) -> str:
    match type(node).__name__:
        case "Text" | "HTMLEntity":
            return html.unescape(str(node))
        case "Wikilink":
            title = str(node.title).strip()
            space = title.partition(":")[0].strip().lower()
            hidden = (":" in title and space in embedded) or LANGUAGE.match(title)
            shown = title.removeprefix(":") if node.text is None else _words(node.text, embedded)
            return "" if hidden else shown
        case "ExternalLink" | "Heading":
            return _words(node.title, embedded)
        case "Tag":
            name = str(node.tag).strip().lower()
            return "\n" if name == "br" else "" if name in DROPPED_TAGS else _words(node.contents, embedded)
        case _:  # templates, their arguments, comments
            return ""
