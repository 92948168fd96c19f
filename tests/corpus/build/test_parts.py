"""A task's output is whole or absent, and damage to it is noticed by whoever reads it."""

from pathlib import Path

import numpy as np
import pytest

from gptrilogy.corpus.build.parts import CorruptPartError, Part, read_slice, remove_leftovers

ROW = np.dtype([("key", "<u8"), ("doc", "<u8")])


def rows(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(list(pairs), ROW)


@pytest.fixture
def part(tmp_path: Path) -> Part:
    part = Part(tmp_path, "score", 3)
    with part.writing() as writing:
        writing.array("kept", np.array([True, False]))
        writing.sliced("urls", rows((5, 1), (2, 2), (7, 3)), np.array([1, 0, 1]), 3)
        writing.sliced("urls", rows((9, 4)), np.array([1]), 3)
        writing.said["documents"] = 2
    return Part(tmp_path, "score", 3)


def test_what_was_written_is_read_back(part: Part) -> None:
    assert part.exists()
    assert part.done["documents"] == 2
    assert part.array("kept").tolist() == [True, False]
    assert [read_slice(part, "urls", number, ROW)["key"].tolist() for number in range(3)] == [[2], [5, 7, 9], []]


def test_a_task_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(part: Part) -> None:
        with part.writing() as writing:
            writing.array("kept", np.zeros(2))
            raise OSError("no space")

    part = Part(tmp_path, "score", 0)
    with pytest.raises(OSError, match="no space"):
        fail(part)
    assert not part.exists()
    assert list((tmp_path / "score").iterdir()) == []


def test_the_second_of_two_workers_at_one_task_leaves_the_first_ones_output(part: Part) -> None:
    before = (part.folder / "done.json").stat().st_ino
    with Part(part.work, part.step, part.number).writing() as writing:
        writing.array("kept", np.array([True, False]))
    assert (part.folder / "done.json").stat().st_ino == before


@pytest.mark.parametrize("name", ["kept.npy", "urls.rows", "done.json"])
def test_a_part_with_a_file_cut_short_or_gone_does_not_exist(part: Part, name: str) -> None:
    path = part.folder / name
    path.write_bytes(path.read_bytes()[:-2])
    assert not Part(part.work, part.step, part.number).exists()
    path.unlink()
    assert not Part(part.work, part.step, part.number).exists()


def test_every_flipped_byte_is_noticed(part: Part) -> None:
    for name, read in (("kept.npy", lambda: part.array("kept")), ("urls.rows", lambda: read_all(part))):
        path = part.folder / name
        sound = path.read_bytes()
        for place in range(len(sound)):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 64]) + sound[place + 1 :])
            with pytest.raises(CorruptPartError, match="part 3 of the step score is damaged"):
                read()
        path.write_bytes(sound)
        read()


def test_what_a_part_says_of_itself_is_sealed(part: Part) -> None:
    path = part.folder / "done.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"documents": 2', '"documents": 3'), encoding="utf-8")
    assert not Part(part.work, part.step, part.number).exists()


def read_all(part: Part) -> None:
    for number in range(3):
        read_slice(part, "urls", number, ROW)


def test_what_a_killed_worker_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "read" / ".part-00001.host.77.tmp").mkdir(parents=True)
    (tmp_path / "read" / "part-00000").mkdir()
    remove_leftovers(tmp_path)
    assert [path.name for path in (tmp_path / "read").iterdir()] == ["part-00000"]
