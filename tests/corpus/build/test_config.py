"""A recipe that cannot be built is refused in one line that says what to change."""

from typing import Any

import pytest

from gptrilogy.config import parse
from gptrilogy.corpus.build.config import CorpusConfig
from gptrilogy.errors import ConfigError


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ({"a": {"without": ["b"]}, "b": {"without": ["a"]}}, "the sets a and b are without each other"),
        (
            {"a": {"without": ["b"]}, "b": {"without": ["c"]}, "c": {"without": ["a"]}},
            "the sets a and b and c are without each other",
        ),
        ({"a": {"without": ["a"]}}, r"sets.a.without must name other sets of \['a'\], got \('a',\)"),
        ({"a": {"without": ["z"]}}, "sets.a.without must name other sets"),
        ({"../a": {}}, r"a set's name is a folder's name: letters, digits, - and _, got '../a'"),
        ({"a": {"paths": ["x"], "linked": True}}, "the set a takes only pages that links name: give --links FILE"),
        ({"a": {"paths": ["x"], "quality": "raw"}}, "the classifier learns from good documents"),
        ({"a": {"weight": 0}}, "sets.a.weight: input should be greater than 0, got 0"),
    ],
)
def test_sets_that_do_not_fit_together_are_refused(sets: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(CorpusConfig, {"sets": sets})


def test_what_is_left_out_can_be_named() -> None:
    config = parse(CorpusConfig, {"sets": {"a": {"quality": "none", "weight": "none"}}, "near_copies": False})
    assert (config.sets["a"].quality, config.sets["a"].weight, config.near) == ("none", None, None)
    assert not config.hashes_features
    assert parse(CorpusConfig, {"rules": {"max_words": "none"}}).rules.max_words is None
