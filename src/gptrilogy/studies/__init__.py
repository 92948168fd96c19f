"""Claims of the papers, tried again at a size that one machine can train: each a study that says whether they show."""
