"""Each candidate for a faster step does the work of the step as it ships."""

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from bench import candidates
from bench.candidates import measure, with_earlier
from bench.candidates_block import block_in_one
from bench.candidates_cases import CANDIDATES, COMPILED, SHIPPED, Candidate
from bench.candidates_report import Pair, page
from bench.candidates_worker import REPLACED, build
from bench.cases import Case
from bench.measure import ROOT

from gptrilogy.models import GPTConfig, kernels
from gptrilogy.models.gpt import Block
from gptrilogy.models.patterns import Dense

TINY = Case(
    name="0.8M",
    model=GPTConfig(n_layer=2, n_embd=64, n_head=2, n_ctx=8, n_vocab=11),
    batch_size=3,
)
NO_PRODUCTS = pytest.mark.skipif(not kernels.has_products(), reason="this CPU has no bf16 products")
SAME_STEPS = [
    pytest.param(one.name, marks=NO_PRODUCTS) if one.in_bf16 else one.name
    for one in CANDIDATES
    if one.batches == 1 and one.name not in (COMPILED, "Muon")
]


def losses(name: str, n: int = 4) -> list[float]:
    """The losses of the first steps."""
    with ExitStack() as alive:
        contender = build(name, TINY, alive)
        return [contender.step() for _ in range(n)]


@pytest.fixture(scope="module")
def shipped() -> list[float]:
    return losses(SHIPPED)


def test_every_candidate_can_be_built() -> None:
    assert set(REPLACED) == {SHIPPED, *(candidate.name for candidate in CANDIDATES)}


@pytest.mark.parametrize("name", SAME_STEPS)
def test_a_candidate_learns_as_the_step_as_it_ships(name: str, shipped: list[float]) -> None:
    assert losses(name) == pytest.approx(shipped, abs=5e-3)
    assert shipped[0] - shipped[-1] > 0.01  # steps that were not taken would show


def test_muon_begins_alike_and_then_moves_otherwise(shipped: list[float]) -> None:
    first, *later = losses("Muon")
    assert first == shipped[0]
    assert later != shipped[1:]


def test_parts_are_put_back(shipped: list[float]) -> None:
    losses("no kernels")
    losses("whole logits")
    assert losses(SHIPPED) == shipped


@NO_PRODUCTS
def test_a_block_in_one_equals_the_block_and_its_gradients() -> None:
    torch.manual_seed(0)
    block, x = Block(TINY.model, Dense()), torch.randn(3, 8, 64)
    found: list[list[torch.Tensor]] = []
    for forward in (Block.forward, block_in_one):
        block.zero_grad()
        given = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = forward(block, given)
        y.square().sum().backward()
        found.append(
            [
                y,
                given.grad if given.grad is not None else y,
                *(p.grad for p in block.parameters() if p.grad is not None),
            ]
        )
    expected, made = found
    assert len(expected) == 2 + 12
    torch.testing.assert_close(made, expected, atol=2e-2, rtol=2e-2)


def test_a_measurement_takes_turns_and_refuses_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    chosen = [Candidate("whole logits", "a change"), Candidate("batch x 2", "more", sizes=("124M",), batches=2)]
    [pair] = measure(TINY, chosen, 2, said.append)
    assert (pair.candidate, pair.n, len(pair.shipped_s), len(pair.start_s)) == ("whole logits", 2, 2, 1)
    assert min(*pair.seconds, *pair.shipped_s, *pair.start_s) > 0
    assert min(pair.peak_bytes, pair.shipped_peak_bytes) > 1e7
    assert len(said) == 1
    monkeypatch.setattr(candidates, "BF16_TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match=r"first losses must lie within -1\.0 of each other, got"):
        measure(TINY, chosen[:1], 1, said.append)


def paired(candidate: str, size: str, seconds: float, batches: int = 1) -> Pair:
    return Pair(candidate, size, batches, 4.2, 4.2, 2, [9.0, 3.0], [1.0] * 3, [seconds] * 3, 10**9, 2 * 10**9)


def test_the_page_says_what_gains_and_what_does_not() -> None:
    text = page([paired("Muon", "0.8M", 1.1), paired("whole logits", "124M", 0.8), paired("batch x 2", "124M", 1.6, 2)])
    first = text.splitlines()[0]
    assert first.endswith("by the fastest samples: whole logits at 124M, batch x 2 at 124M.")
    assert "first step ends 9.0 s after the start of the process, and 3.0 s with the cache" in text
    assert (
        "| 0.8M  | Muon         | 0.91  | 0.91       | 0.91 to 0.91 | 3 | 550.0      | 500.0 | 2.00    | 1.00 " in text
    )
    assert "by the fastest samples: nothing." in page([paired("Muon", "0.8M", 0.97)])


def test_a_record_keeps_what_was_not_measured_again(tmp_path: Path) -> None:
    new = [paired("whole logits", "0.8M", 0.5)]
    assert with_earlier(tmp_path, new) == new
    old = [paired("whole logits", "0.8M", 0.9), paired("no kernels", "0.8M", 2.0), paired("Muon", "124M", 1.1)]
    (tmp_path / "results.json").write_text(json.dumps({"pairs": [asdict(pair) for pair in old]}), encoding="utf-8")
    assert with_earlier(tmp_path, new) == [old[1], new[0], old[2]]


def test_the_process_that_measures_loads_no_torch() -> None:
    code = "import sys, bench.candidates; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
