"""Answers on disk: kept to the bit, never mixed up, and whole after a kill or a damage anywhere in the file."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gptrilogy.errors import RunError
from gptrilogy.evaluation.asking import Answer
from gptrilogy.evaluation.items import Choice, Cloze, Free, Item, Option, Passage
from gptrilogy.evaluation.journal import Journal, key_of
from gptrilogy.evaluation.prompts import Prompt
from gptrilogy.evaluation.task import Answering
from gptrilogy.generation.config import Sampling

ANSWERS = [("a", [Answer((-1.5, -2.0), (1, 2))]), ("b", [Answer(text="é\n\u2028"), Answer()]), ("c", [])]
CLOZE = Cloze("It was", " late", banned=frozenset({"the", "a", "an", "of", "and", "to", "in"}))
PROMPT = Prompt("Demonstrations.\n", [CLOZE], 1)
BEAM = Answering(max_tokens=8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    Journal(path).add(ANSWERS)
    return path


def held(journal: Journal) -> list[tuple[str, list[Answer]]]:
    return [(key, found) for key, _ in ANSWERS if (found := journal.get(key)) is not None]


def test_what_was_added_is_there_in_the_next_process(path: Path) -> None:
    assert held(Journal(path)) == ANSWERS
    assert Journal(path).get("d") is None


def test_without_a_path_answers_last_as_long_as_the_process() -> None:
    journal = Journal()
    journal.add(ANSWERS)
    assert held(journal) == ANSWERS
    assert held(Journal()) == []


def test_a_kill_at_any_byte_costs_the_line_it_fell_into_and_no_later_one(path: Path) -> None:
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        n_whole = sum(end <= length for end in ends)
        journal = Journal(path)
        assert held(journal) == ANSWERS[:n_whole]
        journal.add([("d", [Answer(right=True)])])
        assert held(Journal(path)) == ANSWERS[:n_whole]
        assert Journal(path).get("d") == [Answer(right=True)]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"7",
        b"[1, 2]",
        b'"key"',
        b'{"key": "x"}',
        b'{"answers": []}',
        b'{"key": "x", "answers": 7}',
        b'{"key": "x", "answers": [7]}',
        b'{"key": "x", "answers": [null]}',
        b'{"key": "x", "answers": [["nats"]]}',
        b'{"key": "x", "answers": [{"nats": 7}]}',
        b'{"key": "x", "answers": [{"nats": ["many"]}]}',
        b'{"key": "x", "answers": [{"n_tokens": [null]}]}',
        b'{"key": "x", "answers": ' + b"[" * 100_000,
    ],
    ids=lambda line: line[:40].decode("latin-1"),
)
def test_a_damaged_line_is_left_out_and_the_file_freed_of_it(line: bytes, path: Path) -> None:
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line + b"\n" + b"".join(rest))
    journal = Journal(path)
    assert held(journal) == ANSWERS
    assert journal.get("x") is None
    assert path.read_bytes() == first + b"".join(rest)


def test_damage_anywhere_never_stops_an_evaluation(path: Path) -> None:
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged)
        Journal(path).add([("d", [Answer(right=True)])])
        left = path.read_bytes()
        assert left.count(b"\n") >= 2, "damage costs a line, or two where it joins them"
        assert Journal(path).get("d") == [Answer(right=True)]
        assert path.read_bytes() == left


def test_a_file_that_cannot_be_read_or_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").mkdir()
    with pytest.raises(RunError, match=r"cannot read .*answers.jsonl: Is a directory; choose another --out"):
        Journal(tmp_path / "answers.jsonl")
    gone = Journal(tmp_path / "gone" / "answers.jsonl")
    with pytest.raises(RunError, match=r"cannot write .*: No such file or directory; mend that, and the same command"):
        gone.add(ANSWERS)


def test_a_full_disk_is_one_line() -> None:
    journal = Journal()
    journal.path = Path("/dev/full")
    with pytest.raises(RunError, match="cannot write /dev/full: No space left on device; mend that"):
        journal.add(ANSWERS)


# Keys.


def test_each_thing_an_answer_depends_on_has_a_key_of_its_own() -> None:
    settings = {"precision": "fp32"}
    items: list[Item] = [
        CLOZE,
        replace(CLOZE, context="It is"),
        replace(CLOZE, completion=" early"),
        replace(CLOZE, last_token=True),
        replace(CLOZE, banned=frozenset()),
        Free("It was", (" late",)),
        Passage("It was late", 3),
        Choice((Option("It was", " late"), Option("It was", " early")), gold=(0,)),
        Choice((Option("It was", " early"), Option("It was", " late")), gold=(0,)),
        Choice((Option("It was", " late"), Option("It was", " early")), gold=(0,), answer_context="So:"),
    ]
    answerings = [
        BEAM,
        replace(BEAM, beams=2),
        replace(BEAM, max_tokens=9),
        replace(BEAM, stop=(".",)),
        replace(BEAM, length_penalty=0.0),
        replace(BEAM, sampling=Sampling(temperature=0)),
        replace(BEAM, sampling=Sampling(top_k=2)),
    ]
    keys = [
        *(key_of("model", replace(PROMPT, items=[item]), None, settings) for item in items),
        *(key_of("model", PROMPT, answering, settings) for answering in answerings),
        key_of("another", PROMPT, None, settings),
        key_of("model", PROMPT, None, {"precision": "bf16"}),
        key_of("model", replace(PROMPT, prefix="Others.\n"), None, settings),
        key_of("model", replace(PROMPT, items=[CLOZE, CLOZE]), None, settings),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of("model", replace(PROMPT, demonstrations=2), None, settings) == keys[0]


def test_a_key_is_the_same_in_every_process() -> None:
    """Sets have an order of their own in each process, from PYTHONHASHSEED."""
    code = f"from gptrilogy.evaluation.items import *; from gptrilogy.evaluation.prompts import *\n\
from gptrilogy.evaluation.journal import key_of; print(key_of('model', {PROMPT!r}, None, {{}}))"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert said.stdout.strip() == key_of("model", PROMPT, None, {})
