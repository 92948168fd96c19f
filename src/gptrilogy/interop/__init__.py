"""Models of other programs, in and out: OpenAI's files, Hugging Face folders, GGUF. Importing it imports no torch."""
