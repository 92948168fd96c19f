import subprocess
import sys

import pytest

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.base import bytes_of, utf8


def test_a_lone_surrogate_is_refused_with_its_place():
    with pytest.raises(TokenizerError, match=r"position 6 \(after 'before'\) holds U\+D800") as caught:
        utf8("before\ud800after")
    assert "\n" not in str(caught.value)
    str(caught.value).encode()  # the message itself can be printed


def test_both_halves_of_a_pair_of_surrogates_are_not_a_character_in_python():
    with pytest.raises(TokenizerError, match="position 0"):
        utf8("\ud83d\ude00")
    assert utf8("\U0001f600") == b"\xf0\x9f\x98\x80"


@pytest.mark.parametrize("token_id", [-1, 2, 10**30])
def test_an_id_outside_the_table_is_refused_with_the_limit(token_id: int):
    with pytest.raises(TokenizerError, match=rf"token id {token_id} is outside 0\.\.1"):
        bytes_of(token_id, [b"a", b"b"])


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, gptrilogy.tokenizers; print({'torch', 'numpy', 'pydantic', 'transformers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
