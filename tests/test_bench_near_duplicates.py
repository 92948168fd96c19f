"""The bench of near copies knows the truth that it holds a banding against, and says how it was made."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from bench import near_duplicates as module
from bench.near_duplicates import app, compare_editions
from bench.near_duplicates_report import editions_text
from bench.near_duplicates_trials import Sets, all_similarities, drawn_sets, found_across, judge, make_documents, price

from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.dedup.jaccard import jaccard_reference
from gptrilogy.corpus.quality.features import hashing_tf_reference
from gptrilogy.errors import RunError

WORDS = [f"word{number * number % 4999}" for number in range(60_000)]
EVERY = DedupConfig(spare_hashes=0, n_hashes=10, bands=10, rows=1, prefilter_loss=0)


def test_documents_are_sets_of_sparks_features() -> None:
    texts = ["The end  of the end", "x"]
    sets = Sets.of(texts)
    found = [indices.tolist() for indices in sets.read(np.array([0, 1], np.uint64))]
    assert found == [sorted(hashing_tf_reference(text)) for text in texts]


def test_three_of_ten_documents_are_edited_copies() -> None:
    documents = make_documents(WORDS, 200)
    assert documents == make_documents(WORDS, 200)
    pieces, copies = documents[:140], documents[140:]
    assert " ".join(pieces).split() == WORDS[: len(" ".join(pieces).split())]
    same = [max(share_kept(copy.split(), piece.split()) for piece in pieces) for copy in copies]
    assert min(same) > 0.5
    assert 1 - np.mean(same) == pytest.approx(0.104, abs=0.03)  # the mean of the rates


def share_kept(copy: list[str], piece: list[str]) -> float:
    if len(copy) != len(piece):
        return 0.0
    return sum(ours == theirs for ours, theirs in zip(copy, piece, strict=True)) / len(copy)


def test_a_short_text_makes_no_documents() -> None:
    with pytest.raises(RunError, match="100 words are too few for 50 documents"):
        make_documents(WORDS[:100], 50)


def test_the_truth_is_that_of_sets() -> None:
    sets = drawn_sets(30)
    similarity = all_similarities(sets)
    documents = sets.read(np.arange(30, dtype=np.uint64))
    expected = [
        [jaccard_reference(a, b) if j > i else 0 for j, b in enumerate(documents)] for i, a in enumerate(documents)
    ]
    np.testing.assert_allclose(similarity, expected, atol=1e-6)


def test_drawn_sets_hold_copies_beyond_the_first_block() -> None:
    sets = drawn_sets(12_000)
    late = sets.read(np.arange(10_000, 12_000, dtype=np.uint64))
    early = {tuple(indices) for indices in sets.read(np.arange(10_000, dtype=np.uint64))}
    share = np.mean([tuple(indices) in early for indices in late])
    assert 0.3 / 8 < share < 0.3 * 3 / 8  # the unedited copies, and few of the least edited


def test_a_banding_is_judged_and_priced_by_the_same_copies() -> None:
    sets = Sets.of(make_documents(WORDS, 300))
    quality = judge(sets, all_similarities(sets), EVERY)
    cost = price(sets, EVERY)
    assert quality.recall == 1
    assert cost.dropped == quality.dropped == quality.to_drop > 40
    assert quality.n_found <= quality.n_prefiltered == quality.n_candidates < cost.n_bucket_pairs
    narrow = judge(sets, all_similarities(sets), DedupConfig(spare_hashes=0, n_hashes=10, bands=1, rows=10))
    assert narrow.recall < 0.7
    assert narrow.n_candidates < quality.n_candidates


def test_only_later_documents_give_way() -> None:
    sets = Sets.of(["one text of a few words", "quite another matter", "one text of a few words", "something else"])
    assert found_across(sets, 2, DedupConfig()) == {0}


def test_editions_are_held_beside_each_other(tmp_path: Path) -> None:
    speech = sorted(module.find_speeches().glob("*.txt"))[0]
    text = speech.read_text(encoding="utf-8")
    (tmp_path / "same.txt").write_text(text, encoding="utf-8")
    (tmp_path / "third.txt").write_text(text[: len(text) // 3], encoding="utf-8")
    found = compare_editions(tmp_path)
    same, third = found["rows"]
    assert (same["nearest"], same["similarity"], same["found"]) == (speech.stem, 1, True)
    assert (third["nearest"], third["found"]) == (speech.stem, False)
    assert third["contained"] > 0.99 > 0.7 > third["similarity"]
    assert "1 have a copy of 0.7 or more there, and 1 of them are found" in editions_text(found).replace("\n", " ")


def test_a_record_says_how_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "N_EDGES", 2000)
    monkeypatch.setattr(module, "BANDINGS", {"ours": DedupConfig(), "sparks": EVERY})
    command = ["--documents", "150", "--judged", "150", "--signatures", "1000", "--record", str(tmp_path)]
    app(command, result_action="return_value")
    said = json.loads((tmp_path / "results.json").read_text())
    assert said["command"] == (
        "python -m bench.near_duplicates --judged 150 --signatures 1000 --documents 150 --record DIR"
    )
    assert set(said["quality"]) == {"ours", "sparks"}
    assert said["speed"]["slice"]["n_documents"] == 1000
    page = (tmp_path / "README.md").read_text()
    assert "150 documents" in page
    assert "datasketch was not asked" in page
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_the_peer_gets_the_sets_and_the_banding(tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    peer.write_text(
        f"#!{sys.executable}\nimport json, sys, numpy\n"
        "print(json.dumps([sys.argv[3:], len(numpy.load(sys.argv[2])['offsets'])]))\n"
    )
    peer.chmod(0o755)
    assert module.run_peer(drawn_sets(40), peer, DedupConfig()) == [["16", "5", "2"], 41]
