"""Each rule prefers by its formula, and the first of equals."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gptrilogy.evaluation.rules import RULE_NAMES, RULES, RuleName, Scored, choose

SCORED = st.builds(
    Scored, st.floats(-200, 0), st.integers(1, 30), st.text("aé猫 ", min_size=1, max_size=30), st.floats(-200, 0)
)


def formula(rule: RuleName, option: Scored) -> float:
    match rule:
        case "sum":
            return option.nats
        case "token":
            return option.nats / option.n_tokens
        case "character":
            return option.nats / sum(1 for _ in option.completion)
        case "byte":
            return option.nats / len(bytearray(option.completion, "utf-8"))
        case "unconditional":
            return math.log(math.exp(option.nats)) - math.log(math.exp(option.alone_nats))


def test_every_rule_has_a_name_and_a_formula():
    assert list(RULES) == list(RULE_NAMES)


@pytest.mark.parametrize("rule", RULE_NAMES)
@given(options=st.lists(SCORED, min_size=1, max_size=6))
def test_none_is_better_than_the_chosen(rule: RuleName, options: Sequence[Scored]):
    values = [formula(rule, option) for option in options]
    assert values[choose(rule, options)] == pytest.approx(max(values), abs=1e-9)


@pytest.mark.parametrize("rule", RULE_NAMES)
@given(options=st.lists(SCORED, min_size=2, max_size=6, unique_by=lambda option: option.nats), data=st.data())
def test_the_choice_follows_its_option_about(rule: RuleName, options: list[Scored], data: st.DataObject):
    values = [RULES[rule](option) for option in options]
    assume(len(set(values)) == len(values))
    moved = data.draw(st.permutations(options))
    assert moved[choose(rule, moved)] == options[choose(rule, options)]


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_of_equals_the_first_is_chosen(rule: RuleName):
    low, high = Scored(-9.0, 2, "no", -1.0), Scored(-3.0, 2, "no", -1.0)
    assert choose(rule, [low, high, high]) == 1


def test_length_and_prior_change_the_choice():
    short, long = Scored(-4.0, 1, "ï", -2.0), Scored(-6.0, 2, "abc", -9.0)
    chosen = {rule: choose(rule, [short, long]) for rule in RULE_NAMES}
    assert chosen == {"sum": 0, "token": 1, "character": 1, "byte": 0, "unconditional": 1}


def test_an_impossible_option_is_not_chosen():
    assert choose("token", [Scored(-math.inf, 3, "a", math.nan), Scored(-500.0, 1, "b", math.nan)]) == 1
