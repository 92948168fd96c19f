"""Raw bytes to clean documents. Nothing here knows a tokenizer."""
