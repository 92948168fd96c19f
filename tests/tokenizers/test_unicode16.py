import numpy as np
import pytest

from gptrilogy.tokenizers.engines import SteadyEngine
from gptrilogy.tokenizers.symbols import Pair, to_symbols, vocabulary
from gptrilogy.tokenizers.unicode16 import LETTER, NUMBER, OTHER, SPACE, kinds


@pytest.fixture(scope="module")
def engine() -> SteadyEngine:
    """An id above 255 shows that a letter, a digit or a point goes on with the next character."""
    merges: list[Pair] = [
        (last, first) for last in "a1." for first in to_symbols(bytes([*range(128), *range(0xC2, 0xF5)]))
    ]
    return SteadyEngine(vocabulary(merges), merges)


def test_characters_have_the_kind_that_the_engine_gives_them(engine: SteadyEngine):
    table = kinds()
    changes = np.flatnonzero(np.diff(table))  # the last of each range, and one after it the first of the next
    codes = sorted({*changes.tolist(), *(changes + 1).tolist(), *range(0, len(table), 211)} - {*range(0xD800, 0xE000)})
    joined = {
        kind: [ids[0] >= 256 for ids in engine.encode([before + chr(code) for code in codes])]
        for kind, before in ((LETTER, "a"), (NUMBER, "1"), (OTHER, "."))
    }
    found = [next((kind for kind in joined if joined[kind][i]), SPACE) for i in range(len(codes))]
    assert len(codes) > 5000
    assert found == table[codes].tolist()


def test_the_table_has_every_character_and_stays_as_it_is():
    assert kinds().shape == (0x10FFFF + 1,)
    with pytest.raises(ValueError, match="read-only"):
        kinds()[0] = LETTER
