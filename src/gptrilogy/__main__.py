"""`python -m gptrilogy` is the command `gpt`."""

from gptrilogy.cli import main

if __name__ == "__main__":
    main()
