"""The card as Markdown, for GitHub and for the page of a data set."""

import json
import re
from collections.abc import Sequence

from gptrilogy.corpus.card.blocks import Block, Code, Picture, Samples, Section, Table, Text, Tiles, shown
from gptrilogy.corpus.card.forms import Facts, Sample
from gptrilogy.corpus.card.printable import fenced, for_html, for_markdown

LEAST_LANGUAGE_SHARE = 0.01  # of a corpus's documents, to be named in its front matter; ours
SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def render_markdown(title: str, sections: Sequence[Section], facts: Facts, folder: str) -> str:
    """The whole file; the pictures are linked to as `FOLDER/NAME.png`."""
    parts = [_front_matter(title, facts), f"# {for_markdown(title)}\n"]
    for section in sections:
        parts.append(f"## {section.title}\n")
        parts += [_block(block, folder) for block in section.blocks]
    return "\n".join(parts)


def size_category(documents: int) -> str:
    """The size of a data set as the Hugging Face hub names it.

    >>> size_category(999), size_category(1_000), size_category(8_013_769), size_category(10**13)
    ('n<1K', '1K<n<10K', '1M<n<10M', 'n>1T')
    """
    place = sum(documents >= 10 ** (3 + power) for power in range(len(SIZES)))
    if place == 0:
        return f"n<{SIZES[0]}"
    return f"n>{SIZES[-1]}" if place == len(SIZES) else f"{SIZES[place - 1]}<n<{SIZES[place]}"


def _front_matter(title: str, facts: Facts) -> str:
    """What a hub can read; only what is known, so no licence."""
    documents = sum(one.documents for one in facts.corpus.sets)
    lines = ["---", f"pretty_name: {json.dumps(title)}", "task_categories:", "- text-generation"]
    if languages := _languages(facts):
        lines += ["language:", *(f'- "{code}"' for code in languages)]  # quoted: no is Norwegian, not false
    lines += ["size_categories:", f"- {size_category(documents)}", "---", ""]
    return "\n".join(lines)


def _languages(facts: Facts) -> list[str]:
    totals: dict[str, int] = {}
    for statistics in facts.statistics.sets.values():
        for code, count in statistics.languages.items():
            totals[code] = totals.get(code, 0) + count
    least = LEAST_LANGUAGE_SHARE * sum(totals.values())
    return sorted(code for code, count in totals.items() if count >= least and _is_code(code) and count)


def _is_code(code: str) -> bool:
    """Two or three letters that name a language.

    >>> _is_code("en"), _is_code("und"), _is_code("unknown")
    (True, False, False)
    """
    return re.fullmatch("[a-z]{2,3}", code) is not None and code not in {"und", "mul", "zxx"}


def _block(block: Block, folder: str) -> str:
    match block:
        case Tiles(tiles):
            return " · ".join(f"**{for_markdown(one.value)}** {for_markdown(one.name)}" for one in tiles) + "\n"
        case Text(text, tone):
            marks = {"plain": "", "good": "**Checked:** ", "bad": "**WRONG:** "}
            return f"{marks[tone]}{for_markdown(text)}\n"
        case Code(text):
            return fenced(text)
        case Table():
            return _table(block)
        case Picture():
            return _picture(block, folder)
        case Samples(samples):
            return "\n".join(map(_sample, samples))


def _table(table: Table) -> str:
    rules = ["---:" if table.is_number(column) else "---" for column in range(len(table.head))]
    rows = [[for_markdown(shown(cell)) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in [[for_markdown(name) for name in table.head], rules, *rows]]
    return f"**{for_markdown(table.title)}**\n\n" + "\n".join(lines) + "\n"


def _picture(picture: Picture, folder: str) -> str:
    """Both pictures, of which a page takes the one that fits its background."""
    return (
        f"**{for_markdown(picture.title)}**\n\n"
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{folder}/{picture.name}-dark.png">'
        f'<img src="{folder}/{picture.name}.png" width="460" alt="{for_html(picture.alt)}"></picture>\n'
    )


def _sample(sample: Sample) -> str:
    why = " · ".join(filter(None, (sample.set, sample.step, sample.reason, sample.detail)))
    where = " · ".join(filter(None, (sample.id, sample.url, f"{sample.characters:,} characters")))
    return f"### {for_markdown(why)}\n\n{for_markdown(where)}\n\n{fenced(sample.text)}"
