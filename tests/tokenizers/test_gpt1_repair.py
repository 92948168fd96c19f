import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import TokenizerError
from gptrilogy.tokenizers.gpt1_repair import MAX_MARKS, repaired

MEGABYTE = 10**6
SNIPPETS = [
    "the cat", " ", "\n", "\r\n", "\r", "<", "<b>", "&amp;", "&lt;", "&eacute;", "&#233;", "&", ";", "amp;", "â€™",
    "Ã©", "Ã ", "Â", "é", "“", "’", "ﬁ", "ｆ", "，", "\u3000", "\x00", "\x1b[31m", "\x7f", "\x85", "\x9c", "\ufeff",
    "e\u0301", "猫",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(SNIPPETS), max_size=20).map("".join))


@given(text=TEXTS)
def test_repairs_are_those_of_ftfy(text: str):
    try:
        result = repaired(text)
    except TokenizerError:
        assert "&" in text or "Ã" in text or "Â" in text  # nested, which a list of snippets sometimes is
        return
    assert result == ftfy.fix_text(text)


@given(text=st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_lines_are_left_alone_as_ftfy_does(text: str):
    assert repaired(text) == ftfy.fix_text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“It’s” ﬁne", '"It\'s" fine'),
        ("schÃ¶n â€œquotedâ€\x9d", 'schön "quoted"'),
        ("a &amp;amp;lt; b", "a < b"),
        ("a &amp; b\n<i> &amp; c\nd &amp; e", "a & b\n<i> &amp; c\nd &amp; e"),
        ("a &lt; b\nc &ap; d", "a < b\nc ≈ d"),
        ("ÃƒÂ©tÃƒÂ©", "été"),
        ("\x1b[31mred\x1b[0m\x00", "red"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("", ""),
    ],
)
def test_what_is_repaired(text: str, expected: str):
    assert repaired(text) == expected == ftfy.fix_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "&" + "amp;" * 250_000,
        "&" + "#65286;" * 50_000,
        "＆" + "ａｍｐ；" * 50_000,
        "ï¼†" + "amp;" * 50_000,
        "&amp;" + "&#97;mp;" * 50_000,
        "Ã" + "ƒ" * 100_000,
        "Ã\x00" + "ƒ\x00" * 50_000,
        "Â" * 50_000 + "©",
    ],
    ids=lambda text: ascii(text[:8]),
)
def test_repairs_that_make_way_for_repairs_are_refused(text: str):
    with pytest.raises(TokenizerError, match="still needs repair after 4 rounds") as caught:
        repaired(f"Once upon a time.\n{text}\nThe end.")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    ["a" + "\u0301\u0316" * 500_000, "\u0301" * (MAX_MARKS + 1), "&#769;" * 20_000, "Ì\x81" * 20_000],
    ids=lambda text: ascii(text[:8]),
)
def test_a_tower_of_combining_marks_is_refused(text: str):
    with pytest.raises(TokenizerError, match=r"has more than 256 combining marks in a row; remove them"):
        repaired(text)


def test_marks_in_a_row_are_taken_up_to_the_limit():
    assert repaired("a" + "\u0316" * MAX_MARKS) == "a" + "\u0316" * MAX_MARKS


@pytest.mark.parametrize("unit", ["\n", "&amp;", "â€™ ", "猫", "\r"], ids=ascii)
def test_a_megabyte_of_damage_is_repaired(unit: str):
    n_units = MEGABYTE // len(unit.encode())
    assert repaired(unit * n_units) == {"&amp;": "&", "â€™ ": "' ", "\r": "\n"}.get(unit, unit) * n_units
