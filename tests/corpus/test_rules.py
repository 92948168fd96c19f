"""Each rule drops what it is for, says why in numbers, and leaves prose alone."""

import string
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.rules import RULES, Reading, RulesConfig, broken_rule
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.corpus.sources import read_documents

CONFIG = RulesConfig()
OFF = RulesConfig.model_validate({name: name == "allow_placeholders" or None for name in RulesConfig.model_fields})
PROSE = (
    "The mill stood where the river bent, and nobody in the village could say who had built it. In spring the water "
    "came up to the second step. Old Marten, whose father had ground flour there before the war, kept the key on a "
    "nail beside his door and lent it to any child who asked. We used to lie on the warm boards and listen to swallows "
    "quarrel under the roof, while somewhere below us a wheel that no longer turned creaked as if it still meant to."
)

SENTENCES = PROSE.split(". ")
BROKEN = {
    "few characters": ("Too short.", "10 characters, at least 200"),
    "few words": ("incomprehensibilities " * 12, "12 words, at least 50"),
    "many words": ("word " * 100_001, "100,001 words, at most 100,000"),
    "placeholder text": (f"{PROSE} Lorem Ipsum dolor sit amet.", '"lorem ipsum"'),
    "notice": (
        f"{PROSE} Please enable JavaScript.",
        '"enable javascript" in a text of 472 characters, none up to 1,000',
    ),
    "word length": ("ab c " * 60, "1.50 characters a word, at least 3"),
    "symbols": (f"{PROSE} {'#mill ' * 20}", "0.18 symbols a word, at most 0.1"),
    "few letters": (f"{PROSE} {'1234567 ' * 60}", "45% of the characters, at least 60%"),
    "bullet lines": ("\n".join(f"- {word}" for word in PROSE.split()), "100% of the lines, at most 90%"),
    "ellipsis lines": (" ...\n".join(SENTENCES), "75% of the lines, at most 30%"),
    "capital lines": (PROSE.upper(), "100% of the text, at most 50%"),
    "repeated lines": ("\n".join(SENTENCES * 3), "67% of the text, at most 20%"),
    "repeated paragraphs": (f"{PROSE}\n\n" * 8, "88% of the text, at most 20%"),
    "repeated 2-grams": (f"{PROSE} {'Call now ' * 40}", '"Call now" is 44% of the text, at most 20%'),
    "repeated 3-grams": (f"{PROSE} {'Call us now ' * 12}", '"Call us now" is 23% of the text, at most 18%'),
    "repeated 4-grams": (f"{PROSE} {'Call us right now ' * 6}", '"Call us right now" is 19% of the text, at most 16%'),
}


@pytest.mark.parametrize("name", RULES)
def test_a_broken_rule_says_what_was_seen_and_what_is_allowed(name: str) -> None:
    text, detail = BROKEN[name]
    assert RULES[name](Reading(text), CONFIG) == detail


def test_prose_breaks_no_rule() -> None:
    assert broken_rule(PROSE, CONFIG) is None


def test_the_first_broken_rule_is_the_reason() -> None:
    assert broken_rule("BUY BUY", CONFIG) == ("few characters", "7 characters, at least 200")


def test_nothing_is_too_little() -> None:
    assert [name for name, rule in RULES.items() if rule(Reading(""), CONFIG)] == [
        "few characters", "few words", "word length", "few letters",
    ]  # fmt: skip


def test_a_long_article_may_speak_of_cookies() -> None:
    article = f"{PROSE} {PROSE.replace('mill', 'kiln')} {PROSE.replace('mill', 'barn')} This page uses cookies."
    assert RULES["notice"](Reading(article), CONFIG) is None


@pytest.mark.parametrize("text", ["день" * 30, "日本語" * 30, "été" * 30])
def test_letters_are_letters_in_every_script(text: str) -> None:
    assert Reading(f"{text} 12").n_letters == sum(map(str.isalpha, text))


@given(st.text(max_size=200))
def test_letters_are_counted_as_one_would_one_by_one(text: str) -> None:
    assert Reading(text).n_letters == sum(map(str.isalpha, text))


@given(st.sampled_from(sorted(RULES)), st.text(alphabet=string.printable + "é日…\u3000", max_size=300))
def test_a_rule_that_is_switched_off_drops_nothing(name: str, text: str) -> None:
    assert RULES[name](Reading(text), OFF) is None


@given(st.text(alphabet="ab. \n#-", max_size=300))
def test_white_space_at_the_end_changes_nothing_but_the_length(text: str) -> None:
    config = CONFIG.replace(min_chars=None, max_notice_chars=None)
    assert broken_rule(text, config) == broken_rule(f"{text} \n\n", config)


def test_presidential_messages_break_no_rule() -> None:
    dropped = [document.id for document in read_documents([find_speeches()]) if broken_rule(document.text, CONFIG)]
    assert dropped == []


def test_an_encyclopaedia_breaks_no_rule_but_that_of_length(shared_data: Callable[[str], Path]) -> None:
    articles = shared_data("lm/wikitext-2-raw").rglob("*test*")
    text = next(articles).read_text(encoding="utf-8")
    assert broken_rule(text, CONFIG.replace(max_words=None)) is None


@pytest.mark.parametrize("text", ["a" * 10**6, "\n" * 10**6, "a " * 10**5, "\n \n" * 10**5, "- \n" * 10**5])
def test_no_rule_takes_long_over_one_thing_repeated(text: str) -> None:
    start = time.process_time()
    reading = Reading(text)
    for rule in RULES.values():
        rule(reading, CONFIG)
    assert time.process_time() - start < 10  # a quadratic way takes an hour
