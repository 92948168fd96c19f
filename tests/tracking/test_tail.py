"""The log of a run as it grows, is cut by a resume, and grows again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.metrics import MetricsLog, Row, cut_metrics, read_metrics
from gptrilogy.tracking.tail import MetricsTail, News


def rows(first: int, last: int, seconds: float = 0.1) -> list[Row]:
    return [{"event": "train", "step": n, "loss_nats": 1 / n, "elapsed_s": n * seconds} for n in range(first, last + 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def tail(path: Path) -> Iterator[MetricsTail]:
    tail = MetricsTail(path)
    yield tail
    tail.close()


def write(path: Path, some: list[Row]) -> None:
    log = MetricsLog(path)
    for row in some:
        log.append(row)


def test_each_row_is_told_once(path: Path, tail: MetricsTail) -> None:
    assert tail.read() == News()
    write(path, rows(1, 3))
    assert tail.read() == News(rows(1, 3))
    assert tail.read() == News()
    write(path, rows(4, 5))
    assert tail.read() == News(rows(4, 5))


def test_half_a_line_waits_for_its_other_half(path: Path, tail: MetricsTail) -> None:
    line = json.dumps(rows(1, 1)[0])
    path.write_text(line[:20])
    assert tail.read() == News()
    with path.open("a") as file:
        file.write(line[20:] + "\n")
    assert tail.read() == News(rows(1, 1))


@pytest.mark.parametrize("line", ['{"step": 1}', '{"event": "train"}', '{"step": "x", "event": "train"}', "[1]", "5"])
def test_a_row_without_a_step_or_an_event_is_passed_over(path: Path, tail: MetricsTail, line: str) -> None:
    path.write_text(line + "\n")
    write(path, rows(1, 2))
    assert tail.read() == News(rows(1, 2))


def test_what_a_resume_cuts_is_taken_back(path: Path, tail: MetricsTail) -> None:
    write(path, rows(1, 8))
    tail.read()
    cut_metrics(path, 5)
    write(path, rows(6, 7, seconds=0.2))
    assert tail.read() == News(rows(6, 7, seconds=0.2), cut_step=6, kept=rows(1, 5))
    write(path, rows(8, 8, seconds=0.2))
    assert tail.read() == News(rows(8, 8, seconds=0.2))


def test_a_cut_that_takes_nothing_is_no_news(path: Path, tail: MetricsTail) -> None:
    path.write_text('{"event": "tra\n')  # torn by a kill; the cut leaves it out
    write(path, rows(1, 4))
    tail.read()
    cut_metrics(path, 4)
    assert tail.read() == News()


def test_a_run_made_anew_is_taken_back_as_a_whole(path: Path, tail: MetricsTail) -> None:
    write(path, rows(1, 4))
    tail.read()
    path.unlink()
    assert tail.read() == News()
    write(path, rows(1, 2, seconds=0.3))
    assert tail.read() == News(rows(1, 2, seconds=0.3), cut_step=1, kept=[])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.booleans()), min_size=1, max_size=8))
def test_whoever_obeys_the_news_has_the_log(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[int, int, bool]]
) -> None:
    """Each turn takes back some steps and makes others; the tail may look in between, or miss it."""
    path = tmp_path_factory.mktemp("run") / "metrics.jsonl"
    tail, told, step = MetricsTail(path), [], 0
    for number, (back, on, looks) in enumerate([*turns, (0, 0, True)]):
        if back and path.exists():
            step = max(0, step - back)
            cut_metrics(path, step)
        write(path, rows(step + 1, step + on, seconds=number + 1))
        step += on
        if looks:
            news = tail.read()
            if news.cut_step is not None:
                told = [row for row in told if row["step"] < news.cut_step]
                assert told == news.kept
            told += news.rows
    tail.close()
    assert told == read_metrics(path)
