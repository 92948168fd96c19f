"""A corpus told to a person: one page, its Markdown twin and their pictures, made from the numbers of its build."""

from gptrilogy.corpus.card.writing import write_card

__all__ = ["write_card"]
