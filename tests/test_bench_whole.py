"""The whole bench puts every part into one table, keeps what is measured, and says of the rest why it is not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import whole as bench_whole
from bench.__main__ import Name
from bench.claims import Findings, Row, at_least, at_most, verdict
from bench.parts import PARTS, Job, Part, data_folder
from bench.record import Log
from bench.tokenizing_text import TEXT_CHARS, text_files, write_texts
from bench.whole import FAILED, INTERRUPTED, Whole, run

from gptrilogy.errors import RunError

KNOWN = {"command": "python -m bench", "date": "2026-11-22", "n": 5, "cpu": "one"}


def speeds(job: Job) -> Findings:
    job.say("sample 1 of 5")
    rows = [Row("speed", "9", "peer: 4", "2.25", *at_least(2.25, 1.5, 3.0)), Row("memory", "1", "peer: 1", "1.00")]
    return Findings(rows, "more about it", {"seconds": [1.0, 2.0]})


def fails(job: Job) -> Findings:
    raise RuntimeError("the process of ours ended\nwith code 1")


def stopped(job: Job) -> Findings:
    raise KeyboardInterrupt


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Part]]:
    """Parts of given measures, as if they were all there are."""

    def make(**measures: Callable[[Job], Findings]) -> list[Part]:
        made = [Part(name, 1, measure) for name, measure in measures.items()]
        monkeypatch.setattr(bench_whole, "PARTS", made)
        return made

    return make


def test_every_part_can_be_asked_for_by_name() -> None:
    assert [part.name for part in PARTS] == list(Name.__args__)
    assert sum(part.minutes for part in PARTS) < 31


def test_both_targets_stand_in_the_table_and_what_was_met() -> None:
    rows = [
        Row("speed", "9", "peer: 4", "2.25", *at_least(2.25, 1.5, 3.0)),
        Row("loss", "1.5", "", "", *at_most(1.5, 1.75, 1.6)),
        Row("size", "9", "peer: 8", "1.12", *at_most(1.12, 0.9)),
        Row("engine", "9", "peer: not measured", "", *at_least(None, None, 1.0, form="g")),
        Row("memory", "1", "peer: 1", "1.00"),
    ]
    assert [row.met for row in rows] == ["first", "first + then", "MISSED", "?", ""]
    assert (
        verdict(rows) == "3 of 6 targets met, 1 not measured; missed: speed >= 3.00 (peer: 4); size <= 0.90 (peer: 8)"
    )
    table = Findings(rows, "", {}).body()
    assert "| speed  | 9    | peer: 4            | 2.25  | >= 1.50      | >= 3.00 | first        |" in table


def test_a_part_that_fails_is_in_the_table_and_stops_no_other(parts: Callable[..., list[Part]], tmp_path: Path) -> None:
    log, whole = Log(), Whole(KNOWN, tmp_path)
    assert run(parts(bad=fails, good=speeds), None, 5, whole, log) == FAILED
    reason = "not measured: it failed: the process of ours ended with code 1"
    assert [(row.what, row.ours) for row in whole.rows()] == [("bad", reason), ("speed", "9")]
    page = (tmp_path / "README.md").read_text()
    assert reason in page
    assert "## good" in page
    assert "more about it" in page


def test_a_part_whose_data_or_package_is_missing_is_no_failure(tmp_path: Path) -> None:
    lacking = [
        Part("text", 1, speeds, files=("text/none.txt",)),
        Part("peer", 1, speeds, packages=("a_package_nobody_has",)),
    ]
    assert lacking[0].missing(None) == "it needs text/none.txt of a folder that --data or GPTRILOGY_DATA names"
    assert lacking[0].missing(tmp_path) == "the folder of data has no text/none.txt"
    assert lacking[1].missing(tmp_path) == "a_package_nobody_has is not installed: pip install 'gptrilogy[dev]'"
    whole = Whole(KNOWN)
    assert run(lacking, tmp_path, 5, whole, Log()) == 0
    assert list(whole.reasons) == ["text", "peer"]


def test_ctrl_c_keeps_what_is_measured_and_a_second_call_measures_the_rest(
    parts: Callable[..., list[Part]], tmp_path: Path
) -> None:
    whole = Whole.of(KNOWN, tmp_path)
    assert run(parts(one=speeds, two=stopped, three=fails), None, 5, whole, Log()) == INTERRUPTED
    assert whole.reasons == {"two": "stopped", "three": "stopped before it"}
    again, log = Whole.of(KNOWN | {"date": "2026-11-23"}, tmp_path), Log()
    assert again.measured == whole.measured
    assert run(parts(one=fails, two=speeds, three=speeds), None, 5, again, log) == 0
    assert "one was measured before, and is kept" in log.lines
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["parts"]) == ["one", "two", "three"]
    assert results["not_measured"] == {}
    assert (tmp_path / "log.txt").read_text().count("sample 1 of 5") == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"training": []}', "cannot be gone on with: it is no record of python -m bench"),
        ("[]", "cannot be gone on with: it is no record of python -m bench"),
        (json.dumps(KNOWN | {"n": 3, "parts": {}}), "was made with n 3, and this is 5"),
    ],
    ids=["another bench", "a list", "other samples"],
)
def test_a_folder_of_other_measurements_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(RunError, match=reason):
        Whole.of(KNOWN, tmp_path)


def test_data_are_where_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPTRILOGY_DATA", str(tmp_path))
    assert data_folder(None) == tmp_path
    assert data_folder(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.delenv("GPTRILOGY_DATA")
    monkeypatch.setattr("bench.parts.NEIGHBOUR", tmp_path / "none")
    assert data_folder(None) is None


def test_texts_to_encode_come_with_an_installation(tmp_path: Path) -> None:
    write_texts(tmp_path)
    texts = {name: path.read_text(encoding="utf-8") for name, path in text_files(tmp_path).items()}
    assert {name: len(text) for name, text in texts.items()} == {"prose": TEXT_CHARS, "python": TEXT_CHARS}
    assert "def " in texts["python"]
    assert "Congress" in texts["prose"]
