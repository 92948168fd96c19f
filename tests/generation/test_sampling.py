import math
import random
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gptrilogy.config import parse
from gptrilogy.errors import ConfigError
from gptrilogy.generation import sampling as sampling_module
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.sampling import choose, choose_reference, filtered, uniforms

JUST_BELOW_1 = math.nextafter(1.0, 0.0)
LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=12)
HOW = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-300, 0.1, 1.0, 100.0]),
    top_k=st.one_of(st.none(), st.integers(1, 14)),
    top_p=st.floats(0.01, 1.0),
)


def kept(logits: Tensor, sampling: Sampling) -> set[int]:
    return set(filtered(logits, sampling)[1].tolist())


# One filter at a time.


@given(logits=LOGITS, uniform=st.floats(0, JUST_BELOW_1))
def test_greedy_takes_the_first_of_the_best(logits: list[float], uniform: float) -> None:
    assert choose(torch.tensor(logits), Sampling(temperature=0), uniform) == logits.index(max(logits))


def test_top_k_keeps_ties() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 2.0, 0.0])
    assert kept(scores, Sampling(top_k=1)) == {1}
    assert kept(scores, Sampling(top_k=2)) == kept(scores, Sampling(top_k=3)) == {1, 2, 3}
    assert kept(scores, Sampling(top_k=99)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("top_k", [2**31, 2**32 + 1, 10**30])
def test_more_than_the_vocabulary_is_all_of_it_however_much_more(top_k: int) -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 2.0, 0.0])
    for uniform in (0.1, 0.8, 0.99):
        assert choose(scores, Sampling(top_k=top_k), uniform) == choose(scores, Sampling(), uniform)


def test_the_nucleus_includes_the_token_that_crosses() -> None:
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    sizes = {top_p: len(kept(scores, Sampling(top_p=top_p))) for top_p in (0.01, 0.49, 0.51, 0.79, 0.81, 0.96, 1.0)}
    assert sizes == {0.01: 1, 0.49: 1, 0.51: 2, 0.79: 2, 0.81: 3, 0.96: 4, 1.0: 4}


def test_a_nucleus_that_is_reached_exactly_grows_no_further() -> None:
    assert kept(torch.zeros(4), Sampling(top_p=0.5)) == {0, 1}


def released_nucleus(logits: Tensor, top_p: float) -> set[int]:
    """GPT-2's `sample.py`: its threshold is the last token whose cumulative sum stays within p, or else the first."""
    ordered = logits.sort(descending=True).values
    within = int((ordered.softmax(-1).cumsum(-1) <= top_p).sum())
    threshold = ordered[max(within - 1, 0)]
    return set((logits >= threshold).nonzero()[:, 0].tolist())


@given(seed=st.integers(0, 10**6), top_p=st.floats(0.02, 0.98))
def test_the_released_nucleus_is_one_token_smaller_but_never_empty(seed: int, top_p: float) -> None:
    """The difference is deliberate: ours is the nucleus of the literature."""
    scores = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2
    ours, released = kept(scores, Sampling(top_p=top_p)), released_nucleus(scores, top_p)
    assert released <= ours
    assert len(released) == max(1, len(ours) - 1)


def test_filters_apply_in_the_order_temperature_top_k_top_p() -> None:
    scores = torch.tensor([0.5, 0.3, 0.2]).log()
    cold = Sampling(temperature=0.5, top_p=0.6)  # squares: 25/38 is past 0.6
    assert kept(scores, cold) == {0}
    of_two = Sampling(top_k=2, top_p=0.6)  # 5/8 of the two is past 0.6
    assert kept(scores, of_two) == {0}
    assert kept(scores, Sampling(top_p=0.6)) == {0, 1}


@given(logits=LOGITS, uniform=st.floats(0, JUST_BELOW_1))
def test_the_coldest_sampling_is_greedy(logits: list[float], uniform: float) -> None:
    coldest = choose(torch.tensor(logits), Sampling(temperature=1e-300, top_k=1), uniform)
    assert logits[coldest] == max(logits)


def test_a_smallest_temperature_is_still_a_temperature() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0])
    assert {choose(scores, Sampling(temperature=5e-324), uniform) for uniform in (0.0, 0.5, JUST_BELOW_1)} == {1}


def test_heat_makes_all_tokens_nearly_alike() -> None:
    probabilities, _ = filtered(torch.tensor([1.0, 3.0, 2.0]), Sampling(temperature=100))
    torch.testing.assert_close(probabilities, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=0.01)


# The choice.


def test_each_token_owns_a_half_open_stretch_of_the_unit_interval() -> None:
    halves = torch.zeros(2)
    assert [choose(halves, Sampling(), uniform) for uniform in (0.0, 0.499, 0.5, JUST_BELOW_1)] == [0, 0, 1, 1]


@given(logits=LOGITS, sampling=HOW)
def test_the_ends_of_the_unit_interval_choose_surviving_tokens(logits: list[float], sampling: Sampling) -> None:
    scores = torch.tensor(logits)
    first, last = (choose(scores, sampling, uniform) for uniform in (0.0, JUST_BELOW_1))
    if sampling.temperature:
        assert {first, last} <= kept(scores, sampling)
    assert logits[first] == max(logits)


@given(logits=LOGITS, sampling=HOW, uniform=st.floats(0, JUST_BELOW_1), blocked=st.integers(1, 5))
def test_an_impossible_token_is_never_chosen(
    logits: list[float], sampling: Sampling, uniform: float, blocked: int
) -> None:
    scores = torch.tensor([-math.inf] * blocked + logits + [-math.inf] * blocked)
    for draw in (0.0, uniform, JUST_BELOW_1):
        assert blocked <= choose(scores, sampling, draw) < blocked + len(logits)


@given(logits=LOGITS, sampling=HOW, uniform=st.floats(0, JUST_BELOW_1))
def test_the_fast_way_chooses_what_the_definition_does(logits: list[float], sampling: Sampling, uniform: float) -> None:
    scores = torch.tensor(logits)
    assert choose(scores, sampling, uniform) == choose_reference(scores, sampling, uniform)


@pytest.mark.parametrize("spread", [0.01, 1.0, 8.0])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0),
        Sampling(temperature=0.3),
        Sampling(top_k=40),
        Sampling(top_p=0.95),
        Sampling(temperature=1.5, top_k=1000, top_p=0.5),
    ],
    ids=repr,
)
def test_the_fast_way_does_so_in_a_large_vocabulary(
    sampling: Sampling, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And hardly ever asks the definition; logits are rounded, so that many are equal."""
    generator, draws, asked = torch.Generator().manual_seed(4), random.Random(4), list[int]()

    def noting(logits: Tensor, how: Sampling, uniform: float) -> int:
        asked.append(1)
        return choose_reference(logits, how, uniform)

    monkeypatch.setattr(sampling_module, "choose_reference", noting)
    for _ in range(4):
        scores = (torch.randn(50_257, generator=generator) * spread * 64).round() / 64
        uniform = draws.random()
        assert choose(scores, sampling, uniform) == choose_reference(scores, sampling, uniform)
    assert asked == []


def test_a_draw_on_the_border_of_two_tokens_is_left_to_the_definition() -> None:
    quarters = torch.zeros(4)
    library = sampling_module.compiled("decoding")
    assert library is not None
    borders = [0.25, 0.5, 0.75]
    assert [sampling_module.chosen(library, quarters, Sampling(), uniform) for uniform in borders] == [-1] * 3
    assert [choose(quarters, Sampling(), uniform) for uniform in borders] == [1, 2, 3]
    assert sampling_module.chosen(library, torch.tensor([math.nan, 1.0]), Sampling(), 0.5) == -1


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=0.6), Sampling(top_k=4), Sampling(top_p=0.7)], ids=repr
)
def test_tokens_are_chosen_as_often_as_they_should_be(sampling: Sampling) -> None:
    """Chi-square over at most 6 tokens: a fair draw goes past 20.5 (5 degrees of freedom) with p = 0.001."""
    scores = torch.tensor([0.3, 0.1, 0.25, 0.05, 0.1, 0.2]).log()
    probabilities, tokens = filtered(scores, sampling)
    draws, n = random.Random(0), 6000
    counts = Counter(choose(scores, sampling, draws.random()) for _ in range(n))
    expected = dict(zip(tokens.tolist(), (probabilities / probabilities.sum() * n).tolist(), strict=True))
    assert counts.keys() == expected.keys()
    assert sum((counts[token] - mean) ** 2 / mean for token, mean in expected.items()) < 20.5


def test_unfiltered_probabilities_are_the_softmax() -> None:
    scores = torch.randn(50, generator=torch.Generator().manual_seed(0))
    probabilities, tokens = filtered(scores, Sampling(temperature=0.7))
    torch.testing.assert_close(probabilities, (scores.double() / 0.7).softmax(0)[tokens])


def test_every_sample_has_its_own_stream_of_numbers() -> None:
    pairs = [(seed, sample) for seed in (0, 1, 12) for sample in (0, 1, 2, 21)]
    assert len({uniforms(*pair).random() for pair in pairs}) == len(pairs)
    first, second = uniforms(1, 2), uniforms(1, 2)
    assert [first.random() for _ in range(9)] == [second.random() for _ in range(9)]


@pytest.mark.parametrize("field", [{"temperature": -0.1}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}], ids=repr)
def test_a_setting_out_of_range_is_refused(field: dict[str, float]) -> None:
    (name, value), *_ = field.items()
    with pytest.raises(ConfigError, match=rf"^{name}: .*, got {value}$"):
        parse(Sampling, field)


def test_a_seed_gives_the_same_numbers_for_ever() -> None:
    numbers = uniforms(7, 3)
    assert [numbers.random(), numbers.random()] == [0.6049607952647864, 0.5662390183404987]


def test_logits_in_double_precision_are_not_rounded_before_the_choice() -> None:
    scores = torch.tensor([1.0, 1.0 + 1e-12], dtype=torch.float64)
    assert choose(scores, Sampling(temperature=0), 0.5) == 1
    assert choose(scores.float(), Sampling(temperature=0), 0.5) == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_any_precision_and_layout_are_chosen_from(dtype: torch.dtype) -> None:
    scores = torch.tensor([[0.0, 9.0], [9.0, 0.0], [0.0, 9.0]], dtype=dtype)
    column = scores[:, 0]  # every other number in memory
    for uniform in (0.01, 0.5, 0.99):
        assert choose(column, Sampling(), uniform) == choose_reference(column, Sampling(), uniform) == 1
