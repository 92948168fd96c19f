import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.evaluation.scores.sentences import first_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("  \n ", []),
        ("no end", ["no end"]),
        ("One. Two. Three.", ["One.", "Two.", "Three."]),
        ("One\nTwo", ["One", "Two"]),
        ("One.\n\n Two", ["One.", "Two"]),
        ('"Stop!" he said. Why?  Because.', ['"Stop!" he said.', "Why?", "Because."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        (
            "It cost 3.5 m. to Mr. Bold of St. Ives... and more.",
            ["It cost 3.5 m. to Mr. Bold of St. Ives... and more."],
        ),
        ("M. Dupont est parti. Il pleut.", ["M. Dupont est parti.", "Il pleut."]),
        ("What is it?! \u00c9tienne knew.", ["What is it?!", "\u00c9tienne knew."]),
    ],
)
def test_where_sentences_end(text: str, sentences: list[str]) -> None:
    assert first_sentences(text, 10) == sentences


@given(st.text(st.sampled_from('aB. !?\n"Mr'), max_size=40), st.integers(0, 4))
def test_the_first_sentences_are_the_beginning_of_all_and_lose_no_letter(text: str, n: int) -> None:
    everything = first_sentences(text, len(text) + 1)
    assert first_sentences(text, n) == everything[:n]
    assert "".join("".join(everything).split()) == "".join(text.split())
