"""Lists of merges as no text would teach them, for all that must cope with any."""

from hypothesis import strategies as st

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.symbols import Pair, vocabulary


@st.composite
def merge_lists(draw: st.DrawFn) -> list[Pair]:
    """Merges nobody would learn, on two letters: symbols made twice, in every order that is not refused."""
    merges: list[Pair] = []
    for _ in range(draw(st.integers(0, 12))):
        made = ["a", "b", *("".join(pair) for pair in merges)]
        candidate = [*merges, (draw(st.sampled_from(made)), draw(st.sampled_from(made)))]
        try:
            vocabulary(candidate)
        except TokenizerError:
            continue
        merges = candidate
    return merges
