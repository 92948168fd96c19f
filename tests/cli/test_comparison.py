"""Our scores beside the papers', as `gpt papers check` shows them."""

from gptrilogy.cli.comparison import comparison, comparison_lines
from gptrilogy.papers.comparing import Comparison, Score, compare

SMALL = 84_934_656
SCORES: list[Score] = [
    {"task": "lambada", "shots": 0, "metric": "acc", "value": 0.3256, "stderr": 0.0065, "n": 5153},
    {"task": "wikitext-2", "shots": 0, "metric": "ppl", "value": 37.37, "stderr": 0.5, "n": 62},
]


def rows() -> list[Comparison]:
    return compare(SCORES, {"lambada": "gpt2-lambada", "wikitext-2": "gpt2-wikitext-2"}, "gpt2-3", SMALL)


def test_paper_ours_and_the_difference_stand_side_by_side() -> None:
    lines = list(comparison_lines(rows(), SMALL))
    assert lines[:5] == [
        "beside the paper",
        "  result                    metric  shots     n  paper          ours  difference",
        "  gpt2-lambada-zeroshot        acc      0  5153  45.99  32.56 ± 0.65      -13.43",
        "  gpt2-wikitext-2-zeroshot     ppl      0    62  29.41  37.37 ± 0.50       +7.96",
        "",
    ]


def test_the_size_and_every_reason_are_said_in_words() -> None:
    lines = list(comparison_lines(rows(), SMALL))
    assert lines[5:] == [
        "compared with gpt2-small, which has as many non-embedding parameters",
        "unpublished: the list of stop words (gpt2-lambada-zeroshot)",
        "unpublished: whether a word of several tokens had to be predicted whole (gpt2-lambada-zeroshot)",
        "unpublished: the de-tokenizers (gpt2-wikitext-2-zeroshot)",
        "unpublished: how far the windows overlap that the text is read in (gpt2-wikitext-2-zeroshot)",
        "misprint: GPT2 Table 3 says 29.41 on WikiText2 and 37.50 on WikiText103 (gpt2-wikitext-2-zeroshot)",
    ]


def test_a_reason_for_all_of_them_is_said_once() -> None:
    alike = [row._replace(reasons=("the same",)) for row in rows()]
    assert list(comparison_lines(alike, SMALL))[6:] == ["the same (all)"]


def test_the_document_has_the_numbers_of_all_sizes() -> None:
    document = comparison(rows(), SMALL)
    first = document["rows"][0]
    assert document["n_non_embedding"] == SMALL
    assert (first["result"], first["size"], first["paper"], first["ours"]) == (
        "gpt2-lambada-zeroshot",
        "gpt2-small",
        45.99,
        32.56,
    )
    assert first["sizes"] == {"gpt2-small": 45.99, "gpt2-medium": 55.48, "gpt2-large": 60.12, "gpt2-xl": 63.24}
    assert first["others"] == {"state of the art": 59.23}
