"""The bench of two minutes holds the worst seed against its targets, and says why a run ended."""

import sys

import pytest
from bench.shakespeare import OURS, PEER, Trained, findings, timed


def test_the_worst_seed_is_held_against_the_targets() -> None:
    runs = [Trained(OURS, seed, nats, 100.0 + 10 * seed, "ran") for seed, nats in enumerate((1.5, 1.7, 1.4))]
    loss, clock = findings([*runs, Trained(PEER, 0, 2.0, 130.0, "ran")]).rows
    assert (loss.ours, loss.ratio, loss.met) == ("1.500, of 3 seeds 1.400 to 1.700", "0.75", "first")
    assert (clock.ours, clock.met) == ("100 to 120 s", "first")
    [_, clock] = findings([*runs, Trained(OURS, 3, 1.4, 128.0, "ran"), Trained(PEER, 0, 2.0, 90.0, "ran")]).rows
    assert clock.met == "MISSED"


def test_a_command_gives_its_last_line_and_its_seconds() -> None:
    said: list[str] = []
    row, seconds = timed([sys.executable, "-c", "print('first'); print('{\"nats\": 2}')"], [], said.append)
    assert row == {"nats": 2}
    assert seconds > 0
    assert any(line.startswith("  real ") for line in said)


def test_a_run_that_ends_in_error_says_why() -> None:
    with pytest.raises(RuntimeError, match="ended with code 3: no room"):
        timed([sys.executable, "-c", "import sys; print('no room', file=sys.stderr); sys.exit(3)"], [], print)
