"""Padding is counted alike in every way to lay out the examples of fine-tuning."""

import pytest
from bench.candidates_lengths import DRAWN, GROUPED, SORTED, WAYS, lines, measure, step_items
from bench.finetuning_cases import TuneCase
from bench.finetuning_contenders import Start, tune_config

from gptrilogy.models import GPTConfig


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Pairs of very different lengths, a model of two narrow layers."""
    rows = [f"{'word ' * (n % 9 * 8 + 1)}\t{'is ' * (n % 5 + 1)}\t{n % 3}" for n in range(64)]
    path = tmp_path_factory.mktemp("examples") / "pairs.tsv"
    path.write_text("\n".join(["premise\thypothesis\tlabel", *rows, ""]), encoding="utf-8")
    model = GPTConfig(n_layer=2, n_embd=16, n_head=2, n_ctx=400, n_vocab=257)
    case = TuneCase(examples=path, tokenizer="bytes", model=model, n_examples=48, batch_size=8, dropout=0)
    return Start.of(case, tune_config(case))


def test_steps_of_like_length_go_from_the_shortest_to_the_longest(start: Start) -> None:
    lengths = sorted(item.length for item in start.items)
    steps = [step_items(start, SORTED, turn, turns=3) for turn in range(4)]
    assert [item.length for item in steps[0]] == lengths[:8]
    assert [item.length for item in steps[3]] == lengths[-8:]
    assert step_items(start, DRAWN, 1, 3) == step_items(start, GROUPED, 1, 3) == start.batch(8, 8)


def test_groups_pad_less_than_the_draw_and_steps_of_like_length_least(start: Start) -> None:
    said: list[str] = []
    found = {one.way: one for one in measure("tiny", start, 3, said.append)}
    assert tuple(found) == WAYS
    assert len(said) == 9
    padding = {way: sum(one.padded) / sum(one.real) for way, one in found.items()}
    assert 1 <= padding[SORTED] < padding[GROUPED] < padding[DRAWN]
    assert found[GROUPED].real == found[DRAWN].real
    ours, *_ = lines([*found.values()])
    assert ours[4:] == ("1.00", "1.00", "1.00")
