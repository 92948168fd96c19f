"""Complete configs under a name: the papers' models as published, and `auto`, which fits a model to a budget."""

from gptrilogy.recipes.papers import RECIPES, recipe

__all__ = ["RECIPES", "recipe"]
