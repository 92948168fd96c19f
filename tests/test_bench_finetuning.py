"""The bench of fine-tuning lets all contenders do the same work, and reports what they took."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bench.finetuning import fitting, measure, require_equal_losses
from bench.finetuning_cases import (
    CONTENDERS,
    OURS,
    OURS_FP32,
    OURS_UNBUCKETED,
    TRAINER,
    TRAINER_8,
    TRAINER_BF16,
    TuneCase,
)
from bench.finetuning_contenders import BUILDERS, Contender, Start, Step, tune_config
from bench.finetuning_report import CHECK_STEPS, Found, Result
from bench.finetuning_sweep import (
    COSTS,
    LAMBDAS,
    VARIANTS,
    gradients_cast_by_group,
    gradients_cast_by_step,
    shrunk,
)
from bench.finetuning_sweep import measure as measure_sweep
from bench.finetuning_worker import serve
from bench.measure import BF16_TOLERANCE, ROOT
from bench.record import write_record

from gptrilogy.finetuning.batches import in_groups
from gptrilogy.models import GPTConfig

BATCH_SIZE = 16
SAME = (1.1, 1.0, 0.9, 0.8, 0.7)  # losses of the first steps


class EnoughError(Exception):
    pass


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TuneCase:
    """Pairs of very different lengths, a model of two narrow layers."""
    lines = [f"{'word ' * (n % 9 * 8 + 1)}\t{'is ' * (n % 5 + 1)}\t{n % 3}" for n in range(64)]
    path = tmp_path_factory.mktemp("examples") / "pairs.tsv"
    path.write_text("\n".join(["premise\thypothesis\tlabel", *lines, ""]), encoding="utf-8")
    model = GPTConfig(n_layer=2, n_embd=16, n_head=2, n_ctx=400, n_vocab=257)
    return TuneCase(examples=path, tokenizer="bytes", model=model, n_examples=48, batch_size=BATCH_SIZE, dropout=0)


def steps_of(contender: Contender, n: int) -> list[Step]:
    """The first steps that a contender makes."""
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if len(steps) == n:
            raise EnoughError

    with pytest.raises(EnoughError):
        contender.train(on_step)
    return steps


@pytest.fixture(scope="module")
def made(tiny: TuneCase) -> dict[str, list[Step]]:
    """The first steps of every contender."""
    return {name: steps_of(BUILDERS[name](tiny), CHECK_STEPS) for name in CONTENDERS}


def test_all_begin_with_the_same_model_and_the_same_loss(tiny: TuneCase, made: dict[str, list[Step]]) -> None:
    sizes = {sum(p.numel() for p in BUILDERS[name](tiny).model.parameters()) for name in CONTENDERS}
    assert len(sizes) == 1
    first = made[OURS_FP32][0].task_loss_nats
    for name in set(CONTENDERS) - {TRAINER_8}:
        assert made[name][0].task_loss_nats == pytest.approx(first, abs=BF16_TOLERANCE), name


def test_steps_in_fp32_have_the_same_losses(made: dict[str, list[Step]]) -> None:
    ours = [step.task_loss_nats for step in made[OURS_FP32]]
    for name in (OURS_UNBUCKETED, TRAINER):
        assert [step.task_loss_nats for step in made[name]] == pytest.approx(ours, abs=1e-5)
    assert len(set(ours)) == CHECK_STEPS


def test_every_step_tells_its_examples_and_their_padding(made: dict[str, list[Step]]) -> None:
    for ours, theirs in zip(made[OURS_FP32], made[TRAINER], strict=True):
        assert (ours.examples, ours.tokens) == (theirs.examples, theirs.tokens)
        assert ours.tokens <= ours.padded_tokens < theirs.padded_tokens
    for unbucketed, theirs in zip(made[OURS_UNBUCKETED], made[TRAINER], strict=True):
        assert unbucketed == replace(theirs, task_loss_nats=unbucketed.task_loss_nats)
    assert [step.examples for step in made[TRAINER_8]] == [8] * CHECK_STEPS
    assert sum(step.tokens for step in made[TRAINER_8][:2]) == made[TRAINER][0].tokens


def test_losses_further_apart_than_rounding_are_refused() -> None:
    losses = [*SAME]
    slightly = [loss + 9e-4 for loss in losses]
    require_equal_losses({OURS_FP32: losses, TRAINER: slightly, TRAINER_BF16: [1.119, *losses[:-1]]})
    with pytest.raises(RuntimeError, match=r"losses of step 4 must lie within 0\.001 of each other, got .*0\.802"):
        require_equal_losses({OURS_FP32: losses, TRAINER: [*losses[:3], 0.802, 0.7]})
    with pytest.raises(RuntimeError, match=r"losses of step 1 must lie within 0\.02 of each other, got .*1\.13"):
        require_equal_losses({OURS_FP32: losses, TRAINER_BF16: [1.13, *losses[1:]]})


def test_a_trainer_waits_at_the_end_of_a_step_for_the_next_command(tiny: TuneCase) -> None:
    answers = io.StringIO()
    with pytest.raises(SystemExit):
        serve(BUILDERS[TRAINER_8](tiny), BATCH_SIZE, io.StringIO("sample 1\nsample 2\n"), answers)
    size, first, second = map(json.loads, answers.getvalue().splitlines())
    assert size["parameters"] > 0
    assert [len(sample["losses_nats"]) for sample in (first, second)] == [2, 4]  # steps of 8, for steps of 16
    for sample in (first, second):
        assert sample["seconds"] > 0
        assert 0 < sample["tokens"] < sample["padded_tokens"]


def test_a_measurement_gives_the_samples_of_a_process(tiny: TuneCase) -> None:
    said: list[str] = []
    found = measure(tiny, 2, 3, said.append, contenders=(OURS_FP32,))
    [result] = found.results.values()
    assert len(result.seconds) == 3
    assert len(result.timed_nats) == 6  # two steps a sample
    assert len(result.checked_nats) == CHECK_STEPS
    assert result.peak_bytes > 1e7
    assert found.examples_per_s(OURS_FP32) > 0
    assert len(said) == 1 + 3


def test_contenders_beyond_what_memory_holds_are_left_out_but_for_the_claim(tiny: TuneCase) -> None:
    gpt2 = tiny.replace(model=GPTConfig.preset("gpt2-small").model_dump())  # 2.5 GB a process
    assert fitting(gpt2, "abcdefg", 32 * 10**9) == ("abcdefg", [])
    reason = "g: processes of 2.5 GB each, and 18.0 GB are free"
    assert fitting(gpt2, "abcdefg", 18 * 10**9) == ("abcdef", [reason])
    assert fitting(gpt2, "abcdefg", 0)[0] == "ab"


def result(name: str, seconds: float, checked_nats: Sequence[float]) -> Result:
    return Result(name, 1234, list(checked_nats), [seconds] * 3, [1.0] * 6, 100, 130, 2 * 10**9)


def test_the_page_says_what_was_met(tiny: TuneCase, tmp_path: Path) -> None:
    found = Found(tiny, 2, 3, left_out=["a peer: no room"])
    for name in CONTENDERS:
        found.results[name] = result(name, 2.0, SAME)
    found.results[OURS] = result(OURS, 1.0, SAME)
    [claim, *_] = found.rows()
    figures = (claim.ours, claim.peer, claim.ratio, claim.met)
    assert figures == (f"{OURS}: 32.00", "Trainer fp32: 16.00", "2.00", "first")
    page = found.findings().page()
    assert page.startswith("2 of 2 targets met.")
    assert all(f"\n| {name} " in page for name in CONTENDERS)
    assert "1.30" in page  # tokens a real one
    assert "Left out: a peer: no room." in page
    write_record(tmp_path, "Speed", page, {"n": 3}, found.findings().results(), ["a line"])
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert kept["results"][0]["examples_per_s"] == 32
    assert str(tiny.examples) not in json.dumps(kept)


def test_a_missed_target_is_said_first(tiny: TuneCase) -> None:
    found = Found(tiny, 2, 3)
    found.results = {name: result(name, seconds, SAME) for name, seconds in ((OURS, 1.0), (TRAINER, 1.4))}
    first, *_ = found.findings().page().splitlines()
    assert first.endswith("missed: fine-tune, examples/s >= 1.50 (Trainer fp32: 22.86).")


def test_both_ways_of_casting_give_the_same_gradient(tiny: TuneCase) -> None:
    start = Start.of(tiny, tune_config(tiny, "bf16", lm_weight=0.5))
    items = start.batch(0, BATCH_SIZE)
    assert len([*in_groups(items)]) > 1
    made: list[tuple[float, list[torch.Tensor]]] = []
    for gradients in (gradients_cast_by_group, gradients_cast_by_step):
        model = start.model().train()
        loss_nats = gradients(model, items, start.config.train)
        made.append((loss_nats, [p.grad for p in model.parameters() if p.grad is not None]))
    (by_group, expected), (by_step, found) = made
    assert by_step == pytest.approx(by_group, abs=1e-6)
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_a_sweep_times_every_variant(tiny: TuneCase) -> None:
    case = tiny.replace(batch_size=8)
    start = Start.of(case, tune_config(case, "bf16"))
    said: list[str] = []
    found = measure_sweep("tiny", shrunk(start, start.config.model.replace(n_vocab=200)), 1, said.append)
    assert all(len(seconds) == 1 and min(seconds) > 0 for seconds in found.seconds.values())
    assert found.groups[0] >= found.groups[256]
    assert found.padding[0] <= found.padding[256]
    assert len(found.lines()) == len(found.seconds) / 2 == len(LAMBDAS) * len(COSTS)
    assert len(found.numbers()["seconds"]) == len(VARIANTS)
    assert len(said) == 1


def test_the_process_that_measures_loads_no_torch() -> None:
    code = "import sys, bench.finetuning; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
