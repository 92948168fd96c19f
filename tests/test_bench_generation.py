"""The bench of generation measures what it says, with the same weights and the same texts for all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.generation_cases import CONTENDERS, PREFILL, TOKENS, Contender, absent, prompt, works
from bench.generation_report import Found, Result
from bench.generation_worker import PROGRAMS, make_models

from gptrilogy.models import GPTConfig

TINY = GPTConfig(n_layer=1, n_embd=64, n_head=2, n_ctx=1024)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared_data: Callable[[str], Path]) -> Path:
    path = tmp_path_factory.mktemp("models")
    make_models(path, TINY, str(shared_data("vocab/gpt2")), set())
    return path


def test_ours_and_transformers_say_the_same(folder: Path) -> None:
    found = {who: PROGRAMS[who](folder, "fp32").decode(2) for who in ("ours", "transformers")}
    assert found["ours"][1] == found["transformers"][1]
    assert len(found["ours"][1]) == TOKENS + 1
    assert all(seconds > 0 for seconds, _ in found.values())
    assert all(PROGRAMS[who](folder, "fp32").read(20) > 0 for who in ("ours", "transformers"))


def test_llama_cpp_is_asked_for_one_text() -> None:
    by_name = {contender.name: contender for contender in CONTENDERS}
    assert [work.name for work in works(by_name["llama.cpp q8_0"])] == ["continue 1 at once", f"read {PREFILL}"]
    assert [work.size for work in works(by_name["ours int8"])] == [1, 8, 32, PREFILL]


def test_claims_are_ratios_of_medians() -> None:
    found = Found(TINY, 3)
    ours, theirs = (Contender(who="ours", precision="fp32"), Contender(who="transformers", precision="fp32"))
    for runner, seconds in ((ours, 1.0), (theirs, 4.0)):
        for work in works(theirs):
            found.results.append(Result(runner, work, [seconds / 2, seconds, seconds * 9], [1, 2]))
    claims = [(row.what, row.ratio, [target.text for target in row.targets], row.met) for row in found.rows()]
    assert ("continue 1 at once, ours fp32, tokens/s", "4.00", [">= 1.5", ">= 5"], "first") in claims
    assert ("greedy tokens equal, fp32", "", ["all"], "first") in claims
    found.results[0].ids = [1, 3]
    page = found.findings().page()
    assert "first 1 of 2, 2 different" in page
    assert "| ours fp32 " in page


def test_a_peer_that_is_not_there_is_in_the_table() -> None:
    reason = "llama_cpp is not installed: pip install 'gptrilogy[peers]'"
    found = Found(TINY, 3, absent={"llama.cpp bf16": reason})
    ours = Contender(who="ours", precision="bf16")
    found.results += [Result(ours, work, [1.0], [1]) for work in works(ours)]
    rows = {row.what: row for row in found.rows()}
    missing = rows["continue 1 at once, ours bf16, tokens/s"]
    assert (missing.ours, missing.peer) == ("32.0", f"llama.cpp bf16: not measured, {reason}")
    assert missing.met == "?"
    assert "continue 8 at once, ours bf16, tokens/s" not in rows  # nobody was asked


def test_greedy_tokens_do_not_repeat_one_another(folder: Path) -> None:
    """Else that they are equal would say nothing; a fresh model repeats its last token."""
    _, ids = PROGRAMS["ours"](folder, "fp32").decode(1)
    assert len(set(ids)) > 3


def test_ctranslate2_says_the_same(folder: Path, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    if reason := absent(Contender(who="CTranslate2", precision="fp32")):
        (pytest.fail if os.environ.get("GPTRILOGY_REQUIRE_PEERS") == "1" else pytest.skip)(reason)
    make_models(tmp_path, TINY, str(shared_data("vocab/gpt2")), ["CTranslate2 fp32"])
    ours, theirs = PROGRAMS["ours"](folder, "fp32"), PROGRAMS["CTranslate2"](tmp_path, "fp32")
    seconds, ids = theirs.decode(2)
    assert ids == ours.decode(2)[1]
    assert seconds > 0
    assert theirs.read(20) > 0


def test_prompts_repeat() -> None:
    assert prompt(5, 0, 11) == prompt(5, 0, 11) != prompt(5, 1, 11)


@pytest.mark.parametrize(("unit", "left_out"), [("AMX", False), (None, True)])
def test_bf16_that_takes_minutes_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, unit: str | None, left_out: bool
) -> None:
    monkeypatch.setattr("bench.generation_cases.bf16_unit", lambda: unit)
    reason = absent(Contender(who="transformers", precision="bf16"))
    assert reason == ("this CPU has no native bf16 products" if left_out else None)
    assert absent(Contender(who="transformers", precision="fp32")) is None
    assert absent(Contender(who="ours", precision="bf16")) is None
