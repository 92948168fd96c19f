"""Scores of what a model writes, by the rules each data set and paper is scored with."""
