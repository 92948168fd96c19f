"""Optional dependencies: what is missing is named, with the command that brings it."""

from collections.abc import Generator
from contextlib import contextmanager

from gptrilogy.errors import MissingExtraError


@contextmanager
def needs(extra: str, *, purpose: str) -> Generator[None]:
    """Import what an extra brings inside this block.

    Raises: MissingExtraError where a package is not installed.

    >>> with needs("gpt1", purpose="GPT-1's tokenizer"):
    ...     import a_package_nobody_has
    Traceback (most recent call last):
    ...
    gptrilogy.errors.MissingExtraError: GPT-1's tokenizer needs a_package_nobody_has, ...
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs {error.name}, which is not installed: pip install 'gptrilogy[{extra}]'"
        ) from None
