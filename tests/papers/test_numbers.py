"""The papers' numbers computed from one another, and the misprints that this shows."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from gptrilogy.models.config import PRESETS, GPTConfig
from gptrilogy.papers.comparing import published_sizes
from gptrilogy.papers.entries import find_entries, table_entries
from gptrilogy.papers.misprints import MISPRINTS
from gptrilogy.papers.tables import Row, find_table
from gptrilogy.scaling.compute import PF_DAY_FLOPS, n_non_embedding, n_parameters, parameters_by_part

GPT3_SIZES = [row["size"] for row in find_table("gpt3-2.1").rows]


def as_printed(value: float, cell: str) -> bool:
    """Whether a number rounds to a printed one, at as many decimals as that has."""
    decimals = len(cell.partition(".")[2])
    return abs(value - float(cell)) <= 0.5 * 10**-decimals + 1e-9


def as_scientific(value: float, cell: str) -> bool:
    mantissa, _, exponent = cell.partition("e")
    return as_printed(value / 10 ** int(exponent), mantissa)


def row_of(table: str, column: str, cell: str) -> Row:
    return next(row for row in find_table(table).rows if row[column] == cell)


# Sizes


@pytest.mark.parametrize("size", PRESETS)
def test_parameters_of_the_presets_are_the_recounted_ones(size: str) -> None:
    table = {"gpt1": "gpt1-sizes", "gpt2": "gpt2-2", "gpt3": "gpt3-2.1"}[size.partition("-")[0]]
    assert n_parameters(GPTConfig.preset(size)) == int(row_of(table, "size", size)["parameters"])


def test_there_are_thirteen_published_sizes() -> None:
    assert list(published_sizes()) == list(PRESETS)
    assert len(PRESETS) == 13


@pytest.mark.parametrize("size", PRESETS)
def test_non_embedding_parameters_are_those_of_the_presets(size: str) -> None:
    assert published_sizes()[size] == n_non_embedding(GPTConfig.preset(size))


def test_the_parts_of_gpt1_add_up() -> None:
    (row,) = find_table("gpt1-sizes").rows
    parts = parameters_by_part(GPTConfig.preset("gpt1"))
    blocks = parts["attention"] + parts["feed-forward"] + parts["layer norms"]
    assert (int(row["tokens"]), int(row["positions"]), int(row["blocks"])) == (
        parts["token embedding (tied output)"],
        parts["position embedding"],
        blocks,
    )
    assert int(row["a block"]) * int(row["n_layer"]) == blocks


def test_shapes_of_the_presets_are_those_of_the_tables_but_for_two_misprints() -> None:
    different = {
        (size, name): (int(row[name]), getattr(GPTConfig.preset(size), name))
        for size in PRESETS
        if size != "gpt1"
        for row in [row_of("gpt2-2" if size.startswith("gpt2") else "gpt3-2.1", "size", size)]
        for name in ("n_layer", "n_embd", "n_head")
        if int(row[name]) != getattr(GPTConfig.preset(size), name)
    }
    assert different == {("gpt3-xl", "n_head"): (24, 16), ("gpt3-13b", "n_embd"): (5140, 5120)}


def test_heads_times_their_width_make_the_width_but_for_the_same_two() -> None:
    rows = find_table("gpt3-2.1").rows
    wrong = [row["size"] for row in rows if int(row["n_head"]) * int(row["d_head"]) != int(row["n_embd"])]
    assert wrong == ["gpt3-xl", "gpt3-13b"]


@pytest.mark.parametrize("size", GPT3_SIZES)
def test_table_d1_has_our_parameter_counts(size: str) -> None:
    ours = n_parameters(GPTConfig.preset(size)) / 1e6
    printed = float(row_of("gpt3-d.1", "model", size)["parameters (M)"])
    assert ours == pytest.approx(printed, rel=4e-3)


def test_13b_as_printed_would_miss_table_d1() -> None:
    repaired = GPTConfig.preset("gpt3-13b")
    as_in_the_table = repaired.replace(n_embd=5140, n_head=20)  # heads do not change the count
    printed = float(row_of("gpt3-d.1", "model", "gpt3-13b")["parameters (M)"])
    assert round(n_parameters(repaired) / 1e7) == round(printed / 10)
    assert n_parameters(as_in_the_table) / 1e6 == pytest.approx(12_950, abs=10)
    assert MISPRINTS["gpt3-13b-width"].follows == str(repaired.n_embd)


def test_xl_with_attention_of_its_printed_heads_would_miss_table_d1() -> None:
    config = GPTConfig.preset("gpt3-xl")
    extra = 24 * 128 - config.n_embd  # columns more in each of four projections
    wider = n_parameters(config) + config.n_layer * (4 * config.n_embd + 3) * extra
    assert wider / 1e6 == pytest.approx(1_517, abs=1)
    assert row_of("gpt3-d.1", "model", "gpt3-xl")["parameters (M)"] == "1320"


def test_names_of_sizes_that_are_off_by_more_than_rounding() -> None:
    off = [
        row["printed"]
        for table in ("gpt2-2", "gpt3-2.1")
        for row in find_table(table).rows
        if not _as_named(int(row["parameters"]), row["printed"])
    ]
    assert off == ["117M", "345M", "762M", "1542M", "350M", "13.0B", "175.0B"]
    assert MISPRINTS["gpt2-sizes"].printed == ", ".join(off[:4])
    assert MISPRINTS["gpt3-medium"].printed == off[4]
    assert MISPRINTS["gpt3-decimals"].printed == " and ".join(off[5:])


def _as_named(parameters: int, name: str) -> bool:
    unit = {"M": 1e6, "B": 1e9}[name[-1]]
    return as_printed(parameters / unit, name[:-1])


# Data and compute


def test_weights_of_the_training_sets_add_up_to_101() -> None:
    assert sum(int(row["weight (%)"]) for row in find_table("gpt3-2.2").rows) == 101
    assert sum(int(row["tokens (B)"]) for row in find_table("gpt3-2.2").rows) == 499


def test_epochs_follow_from_weights_but_for_two_sets() -> None:
    rows = find_table("gpt3-2.2").rows
    epochs = {row["data set"]: 3 * float(row["weight (%)"]) / float(row["tokens (B)"]) for row in rows}
    printed = {row["data set"]: float(row["epochs of 300B"]) for row in rows}
    off = {name: round(value, 2) for name, value in epochs.items() if abs(value / printed[name] - 1) > 0.06}
    assert off == {"WebText2": 3.47, "Wikipedia": 3.0}
    assert [MISPRINTS[f"gpt3-{name.lower()}-epochs"].follows for name in off] == ["3.47", "3.0"]


def test_rounding_can_explain_wikipedia_but_not_webtext2() -> None:
    def least_and_most(weight: float, tokens: float) -> tuple[float, float]:
        return 3 * (weight - 0.5) / (tokens + 0.5), 3 * (weight + 0.5) / (tokens - 0.5)

    least, _ = least_and_most(22, 19)
    assert least > 3.3 > 2.9
    least, most = least_and_most(3, 3)
    assert least < 3.4 < most


@pytest.mark.parametrize("row", find_table("gpt3-d.1").rows, ids=lambda row: row["model"])
def test_compute_is_parameters_times_tokens_times_their_flops(row: Row) -> None:
    flops = (
        float(row["parameters (M)"]) * 1e6 * float(row["tokens (B)"]) * 1e9 * int(row["FLOPs per parameter and token"])
    )
    assert as_scientific(flops, row["FLOPs"])
    assert float(f"{flops / PF_DAY_FLOPS:.3g}") == float(row["PF-days"])


def test_the_law_of_figure_31_at_the_compute_of_the_largest_model() -> None:
    coefficient, exponent = (float(row["value"]) for row in find_table("gpt3-figure3.1").rows)
    pf_days = float(row_of("gpt3-d.1", "model", "gpt3-175b")["PF-days"])
    assert coefficient * pf_days**exponent == pytest.approx(1.73, abs=0.005)
    compute_constant = coefficient ** (-1 / exponent)  # L = (Cc / C)^a
    assert compute_constant == pytest.approx(3.5e8, rel=0.02)
    kaplan = next(
        float(row["value"]) for row in find_table("kaplan").rows if row["equation"] == "1.3" and row["constant"] == "Cc"
    )
    assert compute_constant / kaplan == pytest.approx(1.1, abs=0.05)


def test_kaplans_exponents_give_less_than_is_printed() -> None:
    constants = {(row["equation"], row["constant"]): float(row["value"]) for row in find_table("kaplan").rows}
    a_n, a_s, a_b = constants["1.6", "aN"], constants["1.6", "aS"], constants["5.3", "aB"]
    assert as_printed(1 / (1 / a_s + 1 / a_b + 1 / a_n), MISPRINTS["kaplan-exponent"].follows)
    most = 1 / (1 / (a_s + 0.005) + 1 / (a_b + 0.005) + 1 / (a_n + 0.0005))
    assert most < 0.0531
    assert constants["1.3", "aC"] == 0.050


# GPT-1


def test_averages_of_the_ablations_but_for_the_lstms() -> None:
    rows = find_table("gpt1-5").rows
    models = ("full", "no pre-training", "no auxiliary objective", "LSTM with auxiliary objective")
    average, *tasks = rows
    means = {model: sum(float(row[model]) for row in tasks) / len(tasks) for model in models}
    off = [model for model in models if not as_printed(means[model], average[model])]
    assert off == ["LSTM with auxiliary objective"]
    assert round(means[off[0]], 2) == 69.16
    assert (MISPRINTS["gpt1-lstm-average"].printed, MISPRINTS["gpt1-lstm-average"].follows) == ("69.1", "69.2")


def test_the_ablations_mnli_is_the_mean_of_both_and_the_rest_is_as_in_the_other_tables() -> None:
    full = {row["result"] or row["title"]: float(row["full"]) for row in find_table("gpt1-5").rows[1:]}
    ours = {entry.result: entry.values["gpt1"] for table in ("gpt1-2", "gpt1-4") for entry in table_entries(table)}
    assert as_printed((ours["gpt1-mnli-m"] + ours["gpt1-mnli-mm"]) / 2, str(full.pop("MNLI")))
    assert full == {name: ours[name] for name in full}


def test_gpt1_is_best_on_nine_of_twelve() -> None:
    """MNLI's two halves count as one set, and so do RACE's; GLUE is none."""
    entries = [entry for table in ("gpt1-2", "gpt1-3", "gpt1-4") for entry in table_entries(table)]
    counted = [
        e for e in entries if e.result not in {"gpt1-mnli-mm", "gpt1-race-middle", "gpt1-race-high", "gpt1-glue"}
    ]
    lost = [entry.title for entry in counted if entry.values["gpt1"] < max(entry.others.values())]
    assert (len(counted), lost) == (12, ["RTE", "SST-2", "MRPC"])


def test_race_is_the_mean_over_both_parts_questions() -> None:
    questions = {row["result"]: int(row["total"]) for row in find_table("gpt3-c.1").rows}
    middle, high = questions["gpt3-race-middle"], questions["gpt3-race-high"]
    scores = {entry.result: entry.values["gpt1"] for entry in table_entries("gpt1-3")}
    mean = (middle * scores["gpt1-race-middle"] + high * scores["gpt1-race-high"]) / (middle + high)
    assert as_printed(mean, str(scores["gpt1-race"]))


def test_the_gain_on_glue_is_not_the_abstracts() -> None:
    (glue,) = find_entries("gpt1-glue")
    assert round(glue.values["gpt1"] - max(glue.others.values()), 1) == 3.9
    assert MISPRINTS["gpt1-glue-gain"].follows == "3.9"


# GPT-2


def test_gpt2_is_best_on_seven_of_eight_sets() -> None:
    won: dict[str, bool] = {}
    for entry in table_entries("gpt2-3"):
        sign = 1 if entry.metric == "acc" else -1
        better = sign * entry.values["gpt2-xl"] > sign * entry.others["state of the art"]
        data_set = entry.result.removesuffix("-cn").removesuffix("-ne")
        won[data_set] = won.get(data_set, True) and better
    assert (len(won), [name for name, better in won.items() if not better]) == (8, ["gpt2-lm1b"])


def test_larger_models_are_better_but_once() -> None:
    worse = [
        (entry.title, size)
        for entry in table_entries("gpt2-3")
        for (_, before), (size, after) in pairwise(entry.values.items())
        if (after < before if entry.metric == "acc" else after > before)
    ]
    assert worse == [("CBT-CN", "gpt2-xl")]


def test_wikitext_2_and_103_share_a_test_set_but_not_a_number() -> None:
    small, large = (find_entries(f"gpt2-wikitext-{n}")[0].values for n in (2, 103))
    assert small["gpt2-small"] != large["gpt2-small"]
    assert MISPRINTS["gpt2-wikitext"].printed == "29.41 on WikiText2 and 37.50 on WikiText103"


def test_the_average_of_rouge_is_that_of_its_three() -> None:
    average, *three = find_table("gpt2-4").rows
    for system in ("gpt2-xl", "GPT-2 no hint", "Random-3", "Seq2Seq + Attn", "Lede-3", "Bottom-Up Sum"):
        assert as_printed(sum(float(row[system]) for row in three) / 3, average[system])


def test_the_average_overlaps_are_those_of_the_text() -> None:
    own, webtext = ([float(cell) for name, cell in row.items() if name != "train set"] for row in _overlaps())
    assert (round(sum(own) / 6, 1), round(sum(webtext) / 6, 1)) == (5.9, 3.2)


def _overlaps() -> Iterator[Row]:
    yield from find_table("gpt2-6").rows


# GPT-3


SUPERGLUE = (
    ("boolq", ("acc",)),
    ("cb", ("acc", "f1")),
    ("copa", ("acc",)),
    ("rte", ("acc",)),
    ("wic", ("acc",)),
    ("wsc", ("acc",)),
    ("multirc", ("acc", "f1a")),
    ("record", ("acc", "f1")),
)


@pytest.mark.parametrize("setting", ["zeroshot", "oneshot", "fewshot"])
@pytest.mark.parametrize("column", [*GPT3_SIZES, "175b on the test server", "state of the art"])
def test_superglue_is_the_mean_of_its_tasks(setting: str, column: str) -> None:
    scores = {
        (row["result"], row["metric"]): float(row[column])
        for row in find_table("gpt3-h.1").rows
        if row["setting"] == setting and row[column]
    }
    if column == "175b on the test server" and setting != "fewshot":
        assert scores == {}
        return
    means = [sum(scores[f"gpt3-{task}", metric] for metric in metrics) / len(metrics) for task, metrics in SUPERGLUE]
    assert sum(means) / len(means) == pytest.approx(scores["gpt3-superglue", "average"], abs=0.06)


def test_accuracies_are_shares_of_a_whole_number_of_questions_but_one() -> None:
    assert _not_shares(_is_share_rounded_twice) == [("2D+", "zeroshot", "gpt3-6.7b", "2.54")]
    assert MISPRINTS["gpt3-2da"].printed == "2.54 zero-shot for 6.7B on 2D+"


def test_three_accuracies_were_rounded_twice() -> None:
    assert _not_shares(_is_share) == [
        ("Winograd", "fewshot", "gpt3-2.7b", "84.3"),
        ("Winograd", "fewshot", "gpt3-6.7b", "85.4"),
        ("2D+", "zeroshot", "gpt3-6.7b", "2.54"),
        ("SATAnalogies", "oneshot", "gpt3-large", "43.1"),
    ]
    exact = [f"{100 * right / n:.3f}" for right, n in ((230, 273), (233, 273), (161, 374))]
    assert exact == ["84.249", "85.348", "43.048"]
    assert all(number in MISPRINTS["gpt3-rounded-twice"].evidence for number in exact)


def _not_shares(is_share: Callable[[str, int], bool]) -> list[tuple[str, str, str, str]]:
    sizes = {row["result"]: int(row["total"]) for row in find_table("gpt3-c.1").rows}
    sizes |= {entry.result: 2000 for entry in table_entries("gpt3-3.9")}
    return [
        (row["title"], row["setting"], size, row[size])
        for row in find_table("gpt3-h.1").rows
        if row["metric"] == "acc" and row["result"] in sizes
        for size in GPT3_SIZES
        if not is_share(row[size], sizes[row["result"]])
    ]


def _is_share(cell: str, n: int) -> bool:
    return any(as_printed(share, cell) for share in _nearest_shares(cell, n))


def _is_share_rounded_twice(cell: str, n: int) -> bool:
    return any(as_printed(round(share, 2), cell) for share in _nearest_shares(cell, n)) or _is_share(cell, n)


def _nearest_shares(cell: str, n: int) -> list[float]:
    right = float(cell) * n / 100
    return [100 * k / n for k in (math.floor(right), math.ceil(right))]


@pytest.mark.parametrize("row", find_table("gpt3-c.1").rows, ids=lambda row: row["title"])
def test_clean_and_dirty_examples_make_all(row: Row) -> None:
    dirty, clean, total = int(row["dirty"]), int(row["clean"]), int(row["total"])
    assert dirty + clean == total
    assert as_printed(100 * clean / total, row["clean_pct"])
    if row["metric"] != "bleu-sb":  # BLEU is no mean over examples
        mean = (float(row["dirty_score"] or 0) * dirty + float(row["clean_score"]) * clean) / total
        assert mean == pytest.approx(float(row["score_all"]), abs=0.1)  # three rounded numbers


FORMULAS: dict[str, Callable[[float, float], float]] = {
    "plain": lambda clean, every: (clean - every) / every,
    "logarithm": lambda clean, every: math.log(clean / every),
    "symmetric": lambda clean, every: 2 * (clean - every) / (clean + every),
}


@pytest.mark.parametrize(("formula", "off"), [("plain", ["QuAC", "DROP"]), ("logarithm", []), ("symmetric", [])])
def test_the_relative_difference_is_not_the_plain_one(formula: str, off: list[str]) -> None:
    rows = find_table("gpt3-c.1").rows
    assert [row["title"] for row in rows if not _reproduces(FORMULAS[formula], row)] == off


def _reproduces(formula: Callable[[float, float], float], row: Row) -> bool:
    """Whether some scores that round to the printed ones give the printed difference."""
    clean, every = float(row["clean_score"]), float(row["score_all"])
    values = [100 * formula(clean + a, every + b) for a in (-0.05, 0.05) for b in (-0.05, 0.05)]
    return min(values) - 0.5 <= float(row["rel_diff_pct"]) <= max(values) + 0.5


def test_the_texts_contamination_of_winograd_is_not_the_tables() -> None:
    row = row_of("gpt3-c.1", "title", "Winograd")
    assert 100 - int(row["clean_pct"]) == 60
    assert row["rel_diff_pct"] == "-3"
    piqa = row_of("gpt3-c.1", "title", "PIQA")
    assert (100 - int(piqa["clean_pct"]), piqa["rel_diff_pct"]) == (29, "-4")


def test_the_texts_word_tasks_are_of_the_other_seed() -> None:
    for task, score in (("random-insertion", "66.9"), ("cycle-letters", "38.6"), ("anagrams2", "40.2")):
        assert row_of("gpt3-c.1", "result", f"gpt3-{task}")["score_all"] == score
        (entry,) = find_entries(f"gpt3-{task}-fewshot")
        assert entry.values["gpt3-175b"] != float(score)
        assert score in MISPRINTS["gpt3-text-of-another-seed"].printed


def test_winograds_state_of_the_art_in_the_complete_table_is_that_of_wsc() -> None:
    winograd, wsc = (find_entries(f"gpt3-{task}-fewshot")[0].others["state of the art"] for task in ("winograd", "wsc"))
    assert winograd == wsc == 93.8


def test_wic_zero_shot_never_writes_a_label() -> None:
    (entry,) = find_entries("gpt3-wic-zeroshot")
    assert set(entry.values.values()) == {0.0}
