"""Documents are counted in and out, and a count that does not add up is refused."""

import pytest

from gptrilogy.corpus.build.ledger import Ledger, added, check
from gptrilogy.errors import DataError


def two_parts() -> list[dict[str, object]]:
    first, second = Ledger("web"), Ledger("web")
    first.kept("read", 3)
    first.dropped("extract", "empty")
    first.kept("extract", 2)
    second.dropped("read", "truncated archive")
    second.kept("read", 1)
    second.kept("extract", 1)
    return [*first.rows(), *second.rows()]


def test_parts_are_added_up_by_set_and_step() -> None:
    assert added(two_parts(), ["web"]) == [
        {"set": "web", "step": "read", "in": 5, "kept": 4, "dropped": {"truncated archive": 1}},
        {"set": "web", "step": "extract", "in": 4, "kept": 3, "dropped": {"empty": 1}},
    ]


def test_what_adds_up_passes() -> None:
    check(added(two_parts(), ["web"]), {"web": 3})


def test_a_document_lost_between_two_steps_is_noticed() -> None:
    rows = added(two_parts(), ["web"])
    rows[0]["kept"] += 1
    rows[0]["in"] += 1
    with pytest.raises(
        DataError, match=r"the set web does not add up at the step extract: 5 documents came, 3 were kept"
    ):
        check(rows, {"web": 3})


def test_a_document_lost_within_a_step_is_noticed() -> None:
    rows = added(two_parts(), ["web"])
    rows[1]["in"] += 1
    with pytest.raises(DataError, match="does not add up at the step extract"):
        check(rows, {"web": 3})


def test_a_document_written_twice_is_noticed() -> None:
    with pytest.raises(DataError, match="3 documents were kept and 4 written"):
        check(added(two_parts(), ["web"]), {"web": 4})
