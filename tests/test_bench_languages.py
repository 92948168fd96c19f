"""The bench of languages counts what was told right, kept and let through."""

import pytest
from bench.language_detectors import detectors, same_code
from bench.languages import Piece, cut, effect_of, measure, messages_of, mixed_texts, words_of
from bench.record import Log

ENGLISH = "All human beings are born free and equal in dignity and rights, and are endowed with reason. " * 200
FRENCH = "Tous les êtres humains naissent libres et égaux en dignité et en droits, doués de raison. " * 200


def test_pieces_have_one_size_and_nothing_is_twice() -> None:
    assert cut("abcdefg", 3) == ["abc", "def"]
    assert words_of(b"<html><head><title>no</title></head><body><p>one <b>two</b></p></body></html>") == "one two"
    assert messages_of("xx", {}) == ""


def test_a_detector_is_scored_by_size() -> None:
    pieces = [Piece("x" * size, code) for size in (100, 300, 1000) for code in ("en", "en", "fr", "de")]
    others = [Piece("y", ""), Piece("y", "")]
    answers = iter(["en", "fr", "en", "de"] * 3 + ["en", "sco"])
    result = measure("made up", lambda _: next(answers), "pytest", pieces, others, Log())
    assert (result.right, result.kept, result.passing) == ((0.5,) * 3, (0.5,) * 3, (0.5,) * 3)
    assert result.others == 0.5
    assert result.installed_mb > 0.1


def test_a_higher_threshold_keeps_less_and_purer_text() -> None:
    texts = {"en": [ENGLISH], "fr": [FRENCH]}
    (low, dirt), (high, less_dirt) = (effect_of(t, mixed_texts(texts, 8000, 200)) for t in (0.3, 0.9))
    assert 0 < high < low < 1
    assert less_dirt < dirt < 0.5


def test_what_is_not_installed_is_said() -> None:
    log = Log()
    found = detectors(log)
    assert found["ours (resiliparse)"][1](ENGLISH[:300]) == "en"
    assert len(found) + len(log.lines) == 6


@pytest.mark.parametrize(("code", "same"), [("zh-cn", "zh"), ("iw", "he"), ("en", "en")])
def test_names_of_one_language_are_one(code: str, same: str) -> None:
    assert same_code(code) == same
