import shutil
from pathlib import Path

import pytest

from endless_tokenizer import EndlessTokenizer
from gptrilogy.corpus.documents import Document
from gptrilogy.data.shards import pack
from gptrilogy.data.split import plan_split
from gptrilogy.errors import DataError
from gptrilogy.evaluation.contamination import training_text as module
from gptrilogy.evaluation.contamination.training_text import read_training_text
from gptrilogy.tokenizers import BytesTokenizer, save_tokenizer

TEXTS = ["It was the best of times.", "naïve — 東京", "one\n\ntwo " * 30, "last"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What training leaves of its data: packed tokens, and the tokenizer beside them."""
    documents = [Document(text, str(number), "source") for number, text in enumerate(TEXTS)]
    folder = tmp_path / "run"
    pack(documents, BytesTokenizer(), folder / "data", split=plan_split(documents, seed=0, valid=[]))
    save_tokenizer(BytesTokenizer(), folder / "tokenizer")
    return folder


@pytest.mark.parametrize("window", [1, 7, 1 << 20])
def test_packed_tokens_become_their_documents_again(run: Path, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WINDOW_TOKENS", window)
    for source in (run, run / "data"):
        assert [document.text for document in read_training_text([str(source)])] == TEXTS


def test_documents_of_all_kinds_of_sources_follow_in_order(run: Path, tmp_path: Path) -> None:
    (tmp_path / "tale.txt").write_text("Once upon a time")
    found = list(read_training_text([str(tmp_path / "tale.txt"), str(run)]))
    assert [document.id for document in found][:3] == ["tale.txt", "data/train:1", "data/train:2"]


def test_tokens_without_a_tokenizer_beside_them_need_one_named(run: Path, tmp_path: Path) -> None:
    shutil.move(run / "data", tmp_path / "packed")
    with pytest.raises(DataError, match="packed holds tokens and no run's tokenizer lies beside it; name it with"):
        read_training_text([str(tmp_path / "packed")])
    named = read_training_text([str(tmp_path / "packed")], tokenizer=run / "tokenizer")
    assert [document.text for document in named] == TEXTS


def test_a_damaged_shard_is_named(run: Path) -> None:
    shard = run / "data/train/shard-00000.bin"
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"shard-00000\.bin is damaged"):
        read_training_text([str(run)])


def test_a_tokenizer_without_a_mark_between_documents_is_refused(run: Path) -> None:
    with pytest.raises(DataError, match="leaves no mark between documents: give their sources"):
        module.packed_documents(run / "data", EndlessTokenizer())
