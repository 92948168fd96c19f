"""Documents and a tokenizer to batches of token windows. Only `loader` needs torch."""
