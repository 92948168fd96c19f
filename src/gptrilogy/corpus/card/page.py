"""The card as one HTML file: no script, nothing fetched, every text escaped, its pictures inside it."""

import base64
import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from gptrilogy.corpus.card.blocks import (
    Block,
    Cell,
    Code,
    Picture,
    Samples,
    Section,
    Share,
    Table,
    Text,
    Tiles,
    shown,
)
from gptrilogy.corpus.card.forms import Sample
from gptrilogy.corpus.card.printable import for_html
from gptrilogy.corpus.card.style import STYLE


def render_page(title: str, sections: Sequence[Section], pictures: Path) -> str:
    """The whole file; `pictures` is the folder that holds each picture as `NAME.png` and `NAME-dark.png`."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    links = "".join(f'<a href="#{_anchor(one.title)}">{for_html(one.title)}</a>' for one in sections)
    body = "".join(_section(one, pictures) for one in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{for_html(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{for_html(title)}</h1><nav aria-label="Contents">{links}</nav></header>\n'
        f"<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _section(section: Section, pictures: Path) -> str:
    """Blocks of one kind that follow each other stand side by side where there is room."""
    anchor = _anchor(section.title)
    parts: list[str] = []
    for kind, blocks in groupby(section.blocks, key=type):
        rendered = "".join(_block(block, pictures) for block in blocks)
        parts.append(f'<div class="grid">{rendered}</div>\n' if kind in {Picture, Table} else rendered)
    heading = f'<h2 id="{anchor}">{for_html(section.title)}</h2>'
    return f'<section aria-labelledby="{anchor}">\n{heading}\n{"".join(parts)}</section>\n'


def _block(block: Block, pictures: Path) -> str:
    match block:
        case Tiles(tiles):
            cells = (f"<div><dd>{for_html(one.value)}</dd><dt>{for_html(one.name)}</dt></div>" for one in tiles)
            return f'<dl class="tiles">{"".join(cells)}</dl>\n'
        case Text(text, tone):
            return f'<p class="{tone}">{for_html(text)}</p>\n'
        case Code(text):
            return f'<pre class="code" tabindex="0">{for_html(text)}</pre>\n'
        case Table():
            return _table(block)
        case Picture():
            return _picture(block, pictures)
        case Samples(samples):
            return "".join(map(_sample, samples))


def _table(table: Table) -> str:
    numbers = [table.is_number(column) for column in range(len(table.head))]
    head = "".join(
        f'<th scope="col"{_right(number)}>{for_html(name)}</th>'
        for name, number in zip(table.head, numbers, strict=True)
    )
    rows = "".join(
        f"<tr>{''.join(_cell(cell, number) for cell, number in zip(row, numbers, strict=True))}</tr>\n"
        for row in table.rows
    )
    wide = " wide" if len(table.head) > 5 else ""
    title = for_html(table.title)
    return (
        f'<figure class="table{wide}" tabindex="0"><table>\n<caption>{title}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></figure>\n"
    )


def _right(number: bool) -> str:
    return ' class="n"' if number else ""


def _cell(cell: Cell, number: bool) -> str:
    text = for_html(shown(cell))
    if isinstance(cell, Share):
        text = f'{_bar(cell)}<span class="share">{text}</span>'
    return f"<td{_right(number)}>{text}</td>"


def _bar(share: Share) -> str:
    """The share as a length; drawn, since a strict policy allows no style of its own to an element."""
    width = round(100 * min(share.part / share.whole, 1), 1) if share.whole else 0
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="all" width="100" height="4"/><rect class="part" width="{width:g}" height="4"/></svg>'
    )


def _picture(picture: Picture, pictures: Path) -> str:
    bright, dark = (_data(pictures / f"{picture.name}{suffix}.png") for suffix in ("", "-dark"))
    return (
        f'<figure class="picture"><figcaption>{for_html(picture.title)}</figcaption>'
        f'<picture><source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{bright}" alt="{for_html(picture.alt)}"></picture></figure>\n'
    )


def _data(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _sample(sample: Sample) -> str:
    """A document under what became of it; its address is text, for a stranger's page is no place to lead anybody."""
    why = " · ".join(filter(None, (sample.set, sample.step, sample.reason, sample.detail)))
    where = " · ".join(filter(None, (sample.id, sample.url, f"{sample.characters:,} characters")))
    tone = "kept" if sample.kept else "dropped"
    return (
        f'<article class="{tone}"><h3>{for_html(why)}</h3><p class="where">{for_html(where)}</p>'
        f'<pre dir="auto" lang="" tabindex="0">{for_html(sample.text)}</pre></article>\n'
    )


def _anchor(title: str) -> str:
    """A heading as the end of an address.

    >>> _anchor("Kept and dropped")
    'kept-and-dropped'
    """
    return "-".join(title.lower().split())
