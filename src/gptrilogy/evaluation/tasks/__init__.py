"""The papers' tasks, one file a family: how each reads its published files and what a model is shown of them."""
