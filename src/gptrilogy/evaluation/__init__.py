"""How good a trained model is: the scores of the papers' tables. `metrics` needs no torch."""
