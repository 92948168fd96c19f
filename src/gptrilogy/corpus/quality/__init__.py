"""GPT-3's quality filter: how much a text resembles chosen good ones, and the draw that keeps it or not."""
