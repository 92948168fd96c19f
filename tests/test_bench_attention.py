"""The bench of attention runs the kernels it names, and fits what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench.attention import app, measure
from bench.attention_cases import (
    BANDED,
    BLOCKS,
    DENSE,
    FIXED,
    KERNELS,
    LENGTHS,
    MASKED,
    N_HEAD,
    SHORTEST,
    Precision,
    pattern,
    stride,
    why_not,
)
from bench.attention_report import EXPECTED_SLOPE, Found, Result, claim_rows, slope
from bench.attention_worker import Inputs, kernel_of, samples, step
from bench.pictures import draw
from bench.record import write_record

from gptrilogy.models.attention import attend_reference

FLASH = "ScaledDotProductFlashAttentionForCpuBackward0"


def growing(
    kernel: str, precision: Precision = "fp32", ms_at_8192: float = 1000.0, mb_at_8192: float = 100.0
) -> list[Result]:
    """Results that follow a kernel's expected slope in time, and n itself in memory."""
    results: list[Result] = []
    for n in (2048, 4096, 8192):
        ms = ms_at_8192 * (n / 8192) ** EXPECTED_SLOPE[kernel]
        peak = int(mb_at_8192 * 1e6 * n / 8192)
        results.append(Result(kernel, precision, n, FLASH, [ms / 1e3] * 3, [1] * 3, 0, peak))
    return results


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_the_attention_that_its_pattern_defines(name: str) -> None:
    inputs = Inputs.drawn(SHORTEST, "fp32")
    _, made = step(kernel_of(name, SHORTEST), inputs)
    q, k, v, dy = inputs
    y = attend_reference(q, k, v, pattern(name, SHORTEST))
    expected = (y, *torch.autograd.grad(y, (q, k, v), dy))
    for ours, theirs in zip(made, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n", LENGTHS)
def test_every_pattern_leaves_keys_out_and_suits_the_model(n: int) -> None:
    for name in (BANDED, "strided", FIXED):
        assert pattern(name, n).fault(n, N_HEAD) is None
        assert pattern(name, n).reach < n
    assert stride(n) / n**0.5 == pytest.approx(1, abs=0.42)


def test_inputs_are_strided_as_projections_leave_them() -> None:
    q, k, v, dy = Inputs.drawn(8, "bf16")
    assert q.shape == k.shape == v.shape == dy.shape == (1, N_HEAD, 8, 64)
    assert q.stride(2) == 3 * N_HEAD * 64
    assert dy.stride(2) == N_HEAD * 64


def test_kernels_take_turns_after_one_call_each() -> None:
    seen = list(samples([DENSE, BANDED], "fp32", SHORTEST, 2))
    assert [(sample["round"], sample["kernel"]) for sample in seen] == [
        (number, kernel) for number in (0, 1, 2) for kernel in (DENSE, BANDED)
    ]
    assert all(sample["seconds"] > 0 for sample in seen)
    assert [sample["calls"] for sample in seen[:2]] == [1, 1]


def test_a_kernel_of_long_calls_is_sampled_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.attention_worker.LONG_S", 0.0)
    monkeypatch.setattr("bench.attention_worker.LONG_REPEATS", 1)
    assert [sample["round"] for sample in samples([BANDED], "fp32", SHORTEST, 4)] == [0, 1]


def test_a_measurement_holds_both_figures_of_each_kernel() -> None:
    said: list[str] = []
    found = measure((SHORTEST,), 2, said.append, kernels=(DENSE, BLOCKS), precisions=("fp32",))
    assert [result.kernel for result in found.results] == [DENSE, BLOCKS]
    for result in found.results:
        assert len(result.seconds) == 2
        assert min(result.seconds) > 0
        assert result.ran_as
        assert result.before_bytes > 1e7
    kept = N_HEAD * SHORTEST**2 * 4 // 2  # half of all probabilities, in fp32
    outputs = 4 * N_HEAD * SHORTEST * 64 * 4  # y and three gradients
    assert kept + outputs < found.results[1].peak_bytes < 8 * (kept + outputs)
    assert outputs * 0.9 < found.results[0].peak_bytes < found.results[1].peak_bytes
    assert said


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="time fp32 512 1 nobody: the process ended with code 1"):
        measure((SHORTEST,), 1, print, kernels=("nobody",), precisions=("fp32",))


def test_the_measuring_process_loads_no_torch() -> None:
    code = "import sys, bench.attention, bench.decoding; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout.strip() == "False"


def test_what_does_not_fit_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not(MASKED, "fp32", 16384, 1 << 40) == "measured up to n = 8,192"
    assert why_not(BANDED, "fp32", 16384, 4 << 30) is None
    monkeypatch.setattr("bench.attention.available_bytes", lambda: 1 << 20)
    said: list[str] = []
    found = measure((SHORTEST,), 1, said.append, kernels=(BLOCKS,), precisions=("bf16",))
    assert found.results == []
    assert found.left_out == ["dense in blocks, bf16, n = 512: it needs about 2.2 GB, and 0.0 are free"]
    assert "Left out: dense in blocks, bf16" in found.page()


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_a_slope_is_the_power_that_figures_grow_by(power: float) -> None:
    assert slope([(n, 7 * n**power) for n in (2048, 4096, 8192, 16384)]) == pytest.approx(power)


def test_short_lengths_do_not_bend_a_slope() -> None:
    assert slope([(512, 1e9), (1024, 1e9), (2048, 3.0), (4096, 6.0)]) == pytest.approx(1)
    assert slope([(512, 1.0), (1024, 2.0), (2048, 3.0)]) is None


def test_claims_hold_the_band_against_both_dense_kernels() -> None:
    found = Found(3)
    found.results = [*growing(DENSE, mb_at_8192=50.0), *growing(BLOCKS, ms_at_8192=2000, mb_at_8192=900)]
    found.results += growing(BANDED, ms_at_8192=125.0, mb_at_8192=200.0)
    rows = {row.what + " " + row.peer: row for row in claim_rows(found)}
    assert [(row.ratio, row.met) for row in rows.values()] == [
        ("8.0", "first"),
        ("0.2", "MISSED"),
        ("16.0", "first"),
        ("4.5", "first"),
    ]
    assert "banded, n = 8,192, fp32, times less memory dense (flash kernel): 50 MB" in rows
    assert "MISSED" in found.page()


def test_the_page_says_where_fewer_samples_were_taken() -> None:
    found = Found(5, growing(BANDED))
    assert "1,000.0 (n = 3)" in found.page()
    assert "| banded            | fp32      | 1.00 | 1        | 1.00   |" in found.page()


def test_a_record_holds_page_numbers_log_and_picture(tmp_path: Path) -> None:
    found = Found(3, [*growing(DENSE), *growing(BANDED), *growing(BANDED, "bf16")])
    folder = tmp_path / "records" / "today"
    write_record(folder, "Attention", found.page(), {"n": 3}, found.numbers(), ["said"])
    assert draw(found.panels(), folder / "attention.png", "tokens")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "attention.png", "log.txt", "results.json"]
    numbers = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert numbers["results"][0]["seconds"] == found.results[0].seconds
    assert numbers["slopes"][0]["time"] == pytest.approx(2)
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# Attention\n\n")
    assert (folder / "log.txt").read_text(encoding="utf-8").startswith("said\n")


@pytest.mark.parametrize(
    ("lengths", "message"), [("12", "lengths must be at least 512"), ("5x", "numbers above 0 with commas")]
)
def test_lengths_that_make_no_sense_are_refused(lengths: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        app(["--lengths", lengths])
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert message in " ".join((shown.out + shown.err).replace("│", " ").split())
