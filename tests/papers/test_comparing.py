"""Our scores beside the papers'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.errors import ConfigError
from gptrilogy.papers.comparing import Score, compare, describe_size, nearest_size, published_sizes

PUBLISHED = {
    "lambada": "gpt3-lambada",
    "nq": "gpt3-nq",
    "squadv2": "gpt3-squadv2",
    "wmt14-en-fr": "gpt3-wmt14-en-fr",
    "wikitext-2": "gpt2-wikitext-2",
    "enwik8": "gpt2-enwik8",
    "nq-gpt2": "gpt2-nq",
    "cnn-dailymail-tldr": "gpt2-cnn-dailymail-tldr",
    "mine": "",
}
SMALL = 84_934_656  # gpt2-small's


def score(task: str, value: float, *, shots: int = 0, metric: str = "acc") -> Score:
    return {"task": task, "shots": shots, "metric": metric, "value": value, "stderr": 0.01, "n": 200}


def test_a_fraction_is_held_against_a_percentage() -> None:
    (row,) = compare([score("lambada", 0.4, shots=15)], PUBLISHED, "gpt3-h.1", SMALL)
    assert (row.entry.name, row.size) == ("gpt3-lambada-fewshot", "gpt3-small")
    assert (row.ours, row.stderr, row.theirs) == (40.0, 1.0, 22.0)
    assert row.difference == 18.0
    assert (row.task, row.shots, row.n) == ("lambada", 15, 200)


@pytest.mark.parametrize(
    ("table", "ours", "theirs"),
    [
        ("gpt3-h.1", score("lambada", 20.0, metric="ppl"), 18.6),
        ("gpt2-3", score("wikitext-2", 37.4, metric="ppl"), 29.41),
        ("gpt2-3", score("enwik8", 1.2, metric="bits"), 1.16),
    ],
    ids=["LAMBADA", "WikiText-2", "enwik8"],
)
def test_perplexities_and_bits_are_compared_as_they_are(table: str, ours: Score, theirs: float) -> None:
    (row,) = compare([ours], PUBLISHED, table, SMALL)
    assert (row.ours, row.stderr, row.theirs) == (ours["value"], ours["stderr"], theirs)


@pytest.mark.parametrize(
    ("table", "ours", "name"),
    [
        ("gpt3-h.1", score("nq", 0.01, metric="em"), "gpt3-nq-zeroshot"),
        ("gpt3-h.1", score("squadv2", 0.01, metric="em"), "gpt3-squadv2-zeroshot"),
        ("gpt3-h.1", score("squadv2", 0.01, metric="f1"), "gpt3-squadv2-zeroshot-f1"),
        ("gpt3-h.1", score("wmt14-en-fr", 0.01, metric="bleu_sb"), "gpt3-wmt14-en-fr-zeroshot-bleu-sb"),
        ("gpt2-4", score("cnn-dailymail-tldr", 0.2, metric="rouge"), "gpt2-cnn-dailymail-tldr-zeroshot"),
        ("gpt2-4", score("cnn-dailymail-tldr", 0.2, metric="rouge_l"), "gpt2-cnn-dailymail-tldr-zeroshot-rougeL"),
    ],
)
def test_measures_of_other_names_find_their_counterpart(table: str, ours: Score, name: str) -> None:
    assert [row.entry.name for row in compare([ours], PUBLISHED, table, SMALL)] == [name]


def test_one_demonstration_is_one_shot_and_any_more_are_few() -> None:
    scores = [score("lambada", 0.1, shots=shots) for shots in (0, 1, 4)]
    rows = compare(scores, PUBLISHED, "gpt3-h.1", SMALL)
    assert [row.entry.setting for row in rows] == ["zeroshot", "oneshot", "fewshot"]
    assert [[reason for reason in row.reasons if "demonstrations," in reason] for row in rows] == [
        [],
        [],
        ["4 demonstrations, the paper has 15"],
    ]


def test_any_number_of_demonstrations_fits_where_the_paper_gives_none() -> None:
    (row,) = compare([score("nq-gpt2", 0.01, shots=5, metric="em")], PUBLISHED, "gpt2-section3", SMALL)
    assert (row.theirs, row.reasons) == (4.1, ("unpublished: how many example lines stood in the context",))


def test_reasons_name_misprints() -> None:
    (row,) = compare([score("wikitext-2", 37.4, metric="ppl")], PUBLISHED, "gpt2-3", SMALL)
    assert row.reasons == (
        "unpublished: the de-tokenizers",
        "unpublished: how far the windows overlap that the text is read in",
        "misprint: GPT2 Table 3 says 29.41 on WikiText2 and 37.50 on WikiText103",
    )


def test_rows_are_in_the_tables_order() -> None:
    scores = [score("enwik8", 1.2, metric="bits"), score("wikitext-2", 37.4, metric="ppl")]
    assert [row.task for row in compare(scores, PUBLISHED, "gpt2-3", SMALL)] == ["wikitext-2", "enwik8"]


def test_a_table_without_a_counterpart_says_which_has_one() -> None:
    with pytest.raises(ConfigError) as refused:
        compare([score("lambada", 0.1)], PUBLISHED, "gpt2-3", SMALL)
    assert str(refused.value) == (
        "gpt2-3 has no counterpart of what was evaluated, lambada; these tables have: gpt3-3.2, gpt3-h.1"
    )


@pytest.mark.parametrize(("scores", "said"), [([score("mine", 0.1)], "mine"), ([], "nothing")])
def test_what_no_paper_has_is_said_to_be_so(scores: list[Score], said: str) -> None:
    with pytest.raises(ConfigError, match=f"no counterpart of what was evaluated, {said}; no table has$"):
        compare(scores, PUBLISHED, "gpt2-3", SMALL)


def test_a_model_is_compared_with_the_size_nearest_in_ratio() -> None:
    sizes = ["gpt3-small", "gpt3-medium", "gpt3-175b"]
    between = round((84_934_656 * 301_989_888) ** 0.5)
    assert [nearest_size(n, sizes) for n in (1, between - 9, between + 9, 10**13)] == [
        "gpt3-small",
        "gpt3-small",
        "gpt3-medium",
        "gpt3-175b",
    ]


def test_only_sizes_that_the_table_has_are_compared_with() -> None:
    (row,) = compare([score("nq-gpt2", 0.01, metric="em")], PUBLISHED, "gpt2-section3", 1_000_000)
    assert row.size == "gpt2-xl"


@given(st.sampled_from(list(published_sizes())))
def test_a_published_size_is_nearest_to_itself(size: str) -> None:
    n = published_sizes()[size]
    nearest = nearest_size(n, list(published_sizes()))
    assert published_sizes()[nearest] == n  # gpt1, gpt2-small and gpt3-small have as many
    assert describe_size(n, size) == f"compared with {size}, which has as many non-embedding parameters"


@pytest.mark.parametrize(("n", "words"), [(1_000_000, "84.9 times as many"), (169_869_312, "2 times fewer")])
def test_the_distance_is_said_in_words(n: int, words: str) -> None:
    assert describe_size(n, "gpt2-small") == (
        f"compared with gpt2-small, the nearest published, which has {words} non-embedding parameters"
    )
