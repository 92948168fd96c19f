"""What rose, and what only seems to have, is told with its interval."""

from gptrilogy.metrics import Row
from gptrilogy.studies.in_context_telling import panels, read_lines, table, verdict


def row(model: str, seed: int, task: str, scores: list[float], random_scores: list[float]) -> Row:
    return {
        "model": model,
        "seed": seed,
        "task": task,
        "shots": [0, 8],
        "scores": scores,
        "random_scores": random_scores,
        "text_bits_per_byte": 2.5 if model == "small" else 2.25,
    }


def rows(last: list[float], random: list[float], task: str = "keys") -> list[Row]:
    """Two draws of a small model that learns nothing, and of a large one."""
    small = [row("small", seed, task, [0.25, 0.25], [0.25, 0.25]) for seed in (0, 1)]
    return small + [row("large", seed, task, [0.25, last[seed]], [0.25, random[seed]]) for seed in (0, 1)]


def test_the_claim_shows_where_accuracy_rises_and_right_answers_matter() -> None:
    found = rows([0.75, 0.76], [0.25, 0.26])
    assert verdict(found, read_lines(found), quick=False) == (
        "With 2 draws of rules and examples and one model a size, in points out of 100 with 95% intervals, the claim "
        "shows. The largest model's mean goes from 25.0 at 0 demonstrations to 75.5 at 8, +50.5 ± 6.4. The answers in "
        "8 demonstrations, right instead of random, raise keys (+50.0 ± 0.0), mean of the tasks (+50.0 ± 0.0). The "
        "largest model gains +50.5 ± 6.4 more by demonstrations than the smallest. Messages held out cost 2.500 "
        "(small), 2.250 (large) bits a byte."
    )


def test_more_context_alone_is_not_the_claim() -> None:
    found = rows([0.75, 0.76], [0.76, 0.75])
    text = verdict(found, read_lines(found), quick=False)
    assert "the claim does not show" in text
    assert "have no settled effect on keys" in text


def test_draws_that_disagree_settle_nothing() -> None:
    found = rows([0.2, 0.9], [0.25, 0.25])
    text = verdict(found, read_lines(found), quick=True)
    assert text.startswith("A test of the path, whose numbers mean nothing. ")
    assert "the claim does not show" in text
    assert "have no settled effect on keys" in text


def test_one_model_is_compared_with_none() -> None:
    found = rows([0.75, 0.76], [0.25, 0.26])[2:]
    assert "smallest" not in verdict(found, read_lines(found), quick=False)


def test_the_mean_is_taken_over_tasks_within_each_draw() -> None:
    found = [*rows([0.5, 0.7], [0.1, 0.3]), *rows([0.7, 0.9], [0.3, 0.5], task="pick")]
    mean = read_lines(found)["large"]["mean of the tasks"]
    assert [round(score, 6) for score in mean.scores[8]] == [0.6, 0.8]
    assert [round(score, 6) for score in mean.controls[8]] == [0.2, 0.4]
    assert round(mean.gain.value, 6) == 0.45
    assert round(mean.use.value, 6) == 0.4


def test_the_table_has_points_with_intervals() -> None:
    found = rows([0.75, 0.75], [0.25, 0.25])
    header, *body = table(read_lines(found))
    assert header == ("model", "task", "0", "8", "8, random answers", "gain", "right over random")
    assert body[2] == ("large", "keys", "25.0 ± 0.0", "75.0 ± 0.0", "25.0 ± 0.0", "+50.0 ± 0.0", "+50.0 ± 0.0")


def test_there_is_a_panel_for_each_task_and_one_for_their_mean() -> None:
    found = [*rows([0.5, 0.7], [0.1, 0.3]), *rows([0.7, 0.9], [0.3, 0.5], task="pick")]
    drawn = panels(read_lines(found), {"keys": 0.125, "pick": 0.25})
    assert [(panel.title, panel.chance) for panel in drawn] == [
        ("keys", 0.125),
        ("pick", 0.25),
        ("mean of the tasks", 0.1875),
    ]
    assert [shots for shots, _ in drawn[0].curves["large"]] == [0, 8]
    assert drawn[1].controls["large"][1][1].value == 0.4
