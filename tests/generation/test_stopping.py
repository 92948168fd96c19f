from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from gptrilogy.generation.stopping import StopStrings

FEW_LETTERS = st.text(alphabet="abc", max_size=30)
STOPS = st.lists(st.text(alphabet="abc", min_size=1, max_size=5), min_size=1, max_size=4)


@st.composite
def texts_in_pieces(draw: st.DrawFn) -> list[str]:
    text = draw(FEW_LETTERS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=10)))
    return [text[start:stop] for start, stop in pairwise([0, *cuts, len(text)])]


def pushed(stops: list[str], pieces: list[str]) -> list[str]:
    stop = StopStrings(stops)
    return [*map(stop.push, pieces), stop.finish()]


def cut_reference(text: str, stops: list[str]) -> str:
    """Read letter by letter: as soon as a stop string is complete, what stands before it is the text."""
    for end in range(len(text) + 1):
        complete = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: min(complete)]
    return text


@given(pieces=texts_in_pieces(), stops=STOPS)
def test_a_text_ends_before_the_first_complete_stop_wherever_its_pieces_break(
    pieces: list[str], stops: list[str]
) -> None:
    assert "".join(pushed(stops, pieces)) == cut_reference("".join(pieces), stops)


@given(pieces=texts_in_pieces(), stops=STOPS)
def test_of_stops_that_do_not_lie_inside_each_other_the_earliest_counts(pieces: list[str], stops: list[str]) -> None:
    assume(not any(inner in outer[1:-1] for inner in stops for outer in stops))
    text = "".join(pieces)
    places = [text.find(stop) for stop in stops if stop in text]
    assert "".join(pushed(stops, pieces)) == text[: min(places, default=len(text))]


@given(pieces=texts_in_pieces(), stops=STOPS)
def test_no_stop_string_is_ever_shown(pieces: list[str], stops: list[str]) -> None:
    shown = "".join(pushed(stops, pieces))
    assert not any(stop in shown for stop in stops)


@given(pieces=texts_in_pieces(), stops=STOPS)
def test_no_more_is_held_back_than_could_begin_a_stop(pieces: list[str], stops: list[str]) -> None:
    stop, shown, text = StopStrings(stops), "", ""
    for piece in pieces:
        shown, text = shown + stop.push(piece), text + piece
        if not stop.found:
            assert text.startswith(shown)
            held = text[len(shown) :]
            assert not held or any(s.startswith(held) and s != held for s in stops)


@given(pieces=texts_in_pieces())
def test_without_stops_every_piece_passes_at_once(pieces: list[str]) -> None:
    assert pushed([], pieces) == pushed([""], pieces) == [*pieces, ""]


def test_a_stop_inside_a_longer_one_ends_the_text_without_waiting() -> None:
    whole, in_letters = StopStrings(["abc", "b"]), StopStrings(["abc", "b"])
    assert whole.push("abc") == "a"
    assert [in_letters.push(letter) for letter in "abc"] == ["", "a", ""]


def test_after_the_stop_nothing_comes() -> None:
    stop = StopStrings(["."])
    assert [stop.push("one. "), stop.push("two"), stop.finish()] == ["one", "", ""]
    assert stop.found


def test_what_was_held_comes_at_the_end_where_no_stop_did() -> None:
    stop = StopStrings(["END"])
    assert [stop.push("the EN"), stop.finish(), stop.finish()] == ["the ", "EN", ""]
    assert not stop.found


@given(pieces=texts_in_pieces(), stops=STOPS)
def test_a_text_that_is_all_there_ends_where_its_pieces_would(pieces: list[str], stops: list[str]) -> None:
    stop = StopStrings(stops)
    assert stop.whole("".join(pieces)) == "".join(pushed(stops, pieces))
    assert stop.finish() == ""
