import dataclasses

import pytest

from gptrilogy.corpus.documents import Document


def test_a_document_cannot_be_changed() -> None:
    document = Document("text", id="a.txt", source="a.txt")
    with pytest.raises(dataclasses.FrozenInstanceError):
        document.text = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_documents_do_not_share_their_empty_meta() -> None:
    first, second = (Document("text", id=name, source=name) for name in ("a", "b"))
    assert first.meta == second.meta == {}
    assert first.meta is not second.meta
