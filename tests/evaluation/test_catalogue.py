"""All tasks together: each whole, named once, and found by its name or a pattern."""

from collections import Counter

import pytest

from gptrilogy.errors import ConfigError
from gptrilogy.evaluation.catalogue import FAMILIES, TASKS, describe, find_tasks
from gptrilogy.evaluation.rules import RULE_NAMES
from gptrilogy.evaluation.task import Task


def test_no_two_tasks_have_one_name() -> None:
    names = Counter(task.name for family in FAMILIES for task in family.TASKS)
    assert set(names.values()) == {1}
    assert set(names) == set(TASKS)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_says_all_that_is_needed_to_put_it(task: Task) -> None:
    assert task.name == task.name.lower()
    assert "," not in task.name
    assert task.source.startswith(("GPT2 ", "GPT3 ", "lm-evaluation-harness", "ours"))
    assert task.test or task.generate
    assert task.rule in RULE_NAMES
    assert task.measures
    assert len({measure.name for measure in task.measures}) == len(task.measures)
    assert task.shots >= 0
    assert task.answering is None or 0 < task.answering.max_tokens < 512, "half of the smallest context, GPT-1's"
    assert not task.published or task.published.startswith(("gpt2-", "gpt3-"))


def test_names_and_patterns_find_tasks_once_each() -> None:
    assert [task.name for task in find_tasks(["hellaswag"])] == ["hellaswag"]
    assert [task.name for task in find_tasks(["anli-r2", "anli-*", "anli-r2"])] == ["anli-r2", "anli-r1", "anli-r3"]
    assert len(find_tasks(["*"])) == len(TASKS)


@pytest.mark.parametrize("name", ["helaswag", "nothing-*", "", "HELLASWAG", "../hellaswag"])
def test_a_task_there_is_not_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no task {name.replace('*', '.')}; ") as error:
        find_tasks(["piqa", name])
    assert "\n" not in str(error.value)
    if name == "helaswag":
        assert "did you mean hellaswag?" in str(error.value)


def test_the_list_has_a_line_for_each_with_its_files() -> None:
    header, *lines = describe()
    assert header == ("name", "the paper's K", "files")
    assert [line[0] for line in lines] == list(TASKS)
    assert {name: rest for name, *rest in lines}["hellaswag"] == [
        "20",
        "hellaswag_val.jsonl or hellaswag_val_full.txt.bz2",
    ]
    assert all(line[2] for line in lines)
