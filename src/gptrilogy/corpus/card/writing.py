"""A card's files, written whole beside the corpus they describe."""

from pathlib import Path

from gptrilogy.corpus.card.blocks import Picture
from gptrilogy.corpus.card.contents import contents, title_of
from gptrilogy.corpus.card.forms import read_facts
from gptrilogy.corpus.card.markdown import render_markdown
from gptrilogy.corpus.card.page import render_page
from gptrilogy.corpus.card.pictures import BRIGHT, DARK, save_picture
from gptrilogy.files import replacing_folder, write_atomic

PICTURES = "card"  # the folder of the pictures


def write_card(folder: Path) -> list[Path]:
    """Tell of a finished corpus in `card.html`, `card.md` and `card/*.png`, from the numbers beside them.

    Read are `corpus.json`, `ledger.json`, `statistics.json` and `samples.jsonl`. The page holds its pictures itself,
    so that it can be sent alone; the Markdown links to them.
    Returns: the files written.
    Raises: DataError for numbers that are missing or damaged, MissingExtraError without matplotlib.
    """
    facts = read_facts(folder)
    title, sections = title_of(facts), contents(facts)
    pictures = [block for section in sections for block in section.blocks if isinstance(block, Picture)]
    with replacing_folder(folder / PICTURES) as temporary:
        for picture in pictures:
            save_picture(picture, temporary / f"{picture.name}.png", BRIGHT)
            save_picture(picture, temporary / f"{picture.name}-dark.png", DARK)
    page = render_page(title, sections, folder / PICTURES)
    write_atomic(folder / "card.html", page.encode("utf-8"))
    write_atomic(folder / "card.md", render_markdown(title, sections, facts, PICTURES).encode("utf-8"))
    return [folder / "card.html", folder / "card.md", *sorted((folder / PICTURES).iterdir())]
