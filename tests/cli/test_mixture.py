"""`gpt plan` and `gpt pretrain` on a corpus whose sets have weights, and who reads such a run afterwards."""

from pathlib import Path

import pytest

from gpt_command import TEXT, TINY, Gpt
from gptrilogy.metrics import read_metrics
from written_corpus import write_corpus

TABLE = "mixture: windows of 2 sets by weights, which add up to 1.01 and are divided by that"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sets = {"web": [f"{number}. {TEXT[:200]}" for number in range(60)], "books": [TEXT[:900]]}
    return write_corpus(tmp_path_factory.mktemp("built") / "corpus", sets, {"web": 0.61, "books": 0.4})


def test_a_plan_says_how_often_each_set_is_read(gpt: Gpt, corpus: Path) -> None:
    said = gpt("plan", corpus, "--max-steps", 200, *TINY)
    assert said.code == 0, said.err
    assert TABLE in said.out
    assert "the weights add up to 1.01: each is divided by that" in said.err
    assert "warning: the set books is small for its weight: it will be read" in said.err
    assert "the set web is small" not in said.err
    plan = gpt("plan", corpus, "--max-steps", 200, "--json", *TINY).json()
    web, books = plan["mixture"]
    assert (web["set"], web["weight"], books["set"], books["weight"]) == ("web", 0.61, "books", 0.4)
    assert web["epochs"] * web["tokens"] + books["epochs"] * books["tokens"] == pytest.approx(plan["tokens"])
    assert books["share"] == pytest.approx(0.4 / 1.01)


def test_a_corpus_is_trained_on_stopped_resumed_and_looked_at(gpt: Gpt, corpus: Path, tmp_path: Path) -> None:
    run, stranger = tmp_path / "run", tmp_path / "stranger.txt"
    said = gpt("pretrain", corpus, "--out", run, "--max-steps", 4, "--stop-at", 1, "--train.valid-every", 2, *TINY)
    assert said.code == 0, said.err
    assert TABLE in said.err
    said = gpt("resume", run)
    assert said.code == 0, said.err
    assert "nats a token: web " in said.err
    ends = [row for row in read_metrics(run / "metrics.jsonl") if row["event"] == "end"]
    assert [set(row["valid_loss_by_set"]) for row in ends] == [{"web", "books"}]
    assert gpt("inspect", run, "--attention", "--out", tmp_path / "attention.png").code == 0
    stranger.write_text("it was the best of times, it was the worst of times and of whales")
    found = gpt("contamination", run, "--overlap", stranger, "--json").json()
    assert 0 < found["texts"][0]["found"] < found["texts"][0]["grams"]


def test_plain_sources_are_mixed_by_a_flag(gpt: Gpt, novel: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(TEXT[:600])
    words = [novel, tmp_path / "notes.txt", "--dry-run", "--max-steps", 3, *TINY]
    for flags in (
        ["--data.weights", f"{novel.name}=3,notes=1"],
        [f"--data.weights.{novel.name}", 3, "--data.weights.notes", 1],
    ):
        config = gpt("pretrain", *words, *flags).json()
        assert config["data"]["weights"] == {novel.name: 3, "notes": 1}
    assert gpt("pretrain", *words).json()["data"]["weights"] == {}


@pytest.mark.parametrize(
    ("weights", "code", "says"),
    [
        ("web", 2, "data.weights: weights must be pairs such as web=0.6,books=0.4"),
        ("wbe=1", 2, "data.weights names the set wbe, which is not there: did you mean web?"),
        ("web=0", 2, "all data.weights are 0"),
    ],
)
def test_wrong_weights_get_one_line(gpt: Gpt, corpus: Path, weights: str, code: int, says: str) -> None:
    said = gpt("pretrain", corpus, "--dry-run", "--data.weights", weights, *TINY)
    assert (said.code, said.err.splitlines()[-1].startswith(f"gpt: {says}")) == (code, True), said.err


def test_a_damaged_corpus_gets_one_line(gpt: Gpt, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"web": [TEXT]}, {})
    (corpus / "documents/web/part-00000.parquet").write_bytes(b"")
    said = gpt("pretrain", corpus, "--dry-run", *TINY)
    assert said.code == 1
    assert "`gpt corpus build` makes it again" in said.err.splitlines()[-1]
