"""Which sets a run trains on, by which weights, and what is said about it."""

import re
from pathlib import Path

import pytest
import zstandard

from gptrilogy.config import parse
from gptrilogy.data.index import WeightedSet
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.training.config import DataConfig
from gptrilogy.training.text_sets import TextSet, reweighted, text_sets
from written_corpus import write_corpus

SETS = {"web": ["page one", "page two"], "books": ["call me"], "notes": ["to do"]}


@pytest.fixture
def notes() -> list[str]:
    return []


def corpus(tmp_path: Path, **weights: float) -> Path:
    return write_corpus(tmp_path / "corpus", SETS, weights)


def found(notes: list[str], *sources: Path, **fields: object) -> list[TextSet]:
    data = parse(DataConfig, {"sources": [str(source) for source in sources], **fields})
    return text_sets(data, notes.append)


def texts(one: TextSet) -> list[str]:
    return ["".join(document.parts()) for document in one.read(None)]


def test_a_corpus_without_weights_is_one_text(tmp_path: Path, notes: list[str]) -> None:
    (one,) = found(notes, corpus(tmp_path))
    assert texts(one) == texts(one) == ["page one", "page two", "call me", "to do"]
    assert (one.name, one.weight, notes) == ("", None, [])


def test_a_corpus_with_weights_is_a_mixture_in_its_order(tmp_path: Path, notes: list[str]) -> None:
    sets = found(notes, corpus(tmp_path, notes=0.1, books=0.4, web=0.5))
    assert {one.name: (one.weight, texts(one)) for one in sets} == {
        "web": (0.5, SETS["web"]),
        "books": (0.4, SETS["books"]),
        "notes": (0.1, SETS["notes"]),
    }
    assert notes == []


def test_weights_that_do_not_add_up_to_1_are_said(tmp_path: Path, notes: list[str]) -> None:
    found(notes, corpus(tmp_path, web=0.6, books=0.3, notes=0.11))
    assert notes == ["the weights add up to 1.01: each is divided by that"]


def test_sets_without_a_weight_are_left_out_and_said(tmp_path: Path, notes: list[str]) -> None:
    sets = found(notes, corpus(tmp_path, web=0.6, books=0.4))
    assert [one.name for one in sets] == ["web", "books"]
    assert notes == ["the set notes has no weight and is left out"]
    (alone,) = found(notes, corpus(tmp_path, web=0.0, books=0.4))
    assert texts(alone) == SETS["books"]
    assert notes[1:] == ["the set web has weight 0 and is left out", "the set notes has no weight and is left out"]


def test_weights_asked_for_replace_those_of_the_corpus(tmp_path: Path, notes: list[str]) -> None:
    asked = {"weights": "books=3, notes=1"}
    sets = found(notes, corpus(tmp_path, web=0.6, books=0.4), **asked)
    assert [(one.name, one.weight) for one in sets] == [("books", 3), ("notes", 1)]
    assert notes[0] == "the set web has no weight and is left out"


def test_files_and_folders_are_sets_by_their_names(tmp_path: Path, notes: list[str]) -> None:
    (tmp_path / "novels").mkdir()
    (tmp_path / "novels/emma.txt").write_text("Emma Woodhouse")
    (tmp_path / "posts.jsonl").write_text('{"text": "hello"}\n')
    sources = (tmp_path / "novels", tmp_path / "posts.jsonl")
    sets = found(notes, *sources, weights={"posts": 0.25, "novels": 0.75})
    assert [(one.name, one.weight, texts(one)) for one in sets] == [
        ("novels", 0.75, ["Emma Woodhouse"]),
        ("posts", 0.25, ["hello"]),
    ]
    (whole,) = found(notes, *sources)
    assert texts(whole) == ["Emma Woodhouse", "hello"]
    mixed = found(notes, corpus(tmp_path, web=1.0), sources[1], weights="web=0.5,posts=0.5")
    assert [one.name for one in mixed] == ["web", "posts"]


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("webb=1,books=1", "names the set webb, which is not there: did you mean web?"),
        ("web=0,books=0", "all data.weights are 0"),
        ("web=-1,books=1", "weights.web: input should be greater than or equal to 0, got '-1'"),
        ("web", "must be pairs such as web=0.6,books=0.4"),
        ("web=much", "weights.web: input should be a valid number"),
        ("=1", "must be pairs such as"),
        ("web=1,web=2", "must name each set once"),
        ("web=nan,books=1", "weights.web: input should be a finite number, got 'nan'"),
        ("web=inf,books=1", "weights.web: input should be a finite number, got 'inf'"),
        ("web=60%,books=1", "weights must be percentages all of them, or none"),
        ("web=much%", "weights.web: input should be a valid number"),
        ("web=-5%,books=5%", "weights.web: input should be greater than or equal to 0, got '-0.05'"),
        ("", "must be pairs such as"),
    ],
)
def test_weights_that_fit_nothing_get_one_line(tmp_path: Path, notes: list[str], weights: str, says: str) -> None:
    source = corpus(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(says)) as raised:
        found(notes, source, weights=weights)
    assert "\n" not in str(raised.value)


def test_two_sets_of_one_name_are_refused_where_it_matters(tmp_path: Path, notes: list[str]) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tale.txt").write_text(folder)
    sources = [tmp_path / folder / "tale.txt" for folder in ("one", "two")]
    assert texts(found(notes, *sources)[0]) == ["one", "two"]
    says = re.escape(f"{sources[0]} and {sources[1]} are both the set tale: rename one, or make a link of another name")
    with pytest.raises(ConfigError, match=says):
        found(notes, *sources, weights="tale=1")
    (tmp_path / "story").symlink_to(sources[1])
    sets = found(notes, sources[0], tmp_path / "story", weights="tale=1,story=2")
    assert [(one.name, texts(one)) for one in sets] == [("tale", ["one"]), ("story", ["two"])]


def test_percentages_are_weights(tmp_path: Path, notes: list[str]) -> None:
    for asked in ("web=58.9%, books=41.1 %", {"web": "58.9%", "books": "41.1%"}):
        sets = found(notes, corpus(tmp_path), weights=asked)
        assert [(one.name, one.weight) for one in sets] == [("web", 0.589), ("books", 0.411)]
    assert set(notes) == {"the set notes has no weight and is left out"}


def test_a_name_that_no_folder_can_have_is_made_one(tmp_path: Path, notes: list[str]) -> None:
    (tmp_path / "Jane's novels.txt.zst").write_bytes(zstandard.compress(b"Emma"))
    (tmp_path / "notes.md").write_text("to do")
    sources = (tmp_path / "Jane's novels.txt.zst", tmp_path / "notes.md")
    sets = found(notes, *sources, weights={"Jane-s-novels": 1, "notes": 1})
    assert [(one.name, texts(one)) for one in sets] == [("Jane-s-novels", ["Emma"]), ("notes", ["to do"])]
    with pytest.raises(ConfigError, match="did you mean Jane-s-novels"):
        found(notes, *sources, weights={"Jane's novels": 1, "notes": 1})


def test_a_mixture_beside_other_text_needs_all_weights(tmp_path: Path, notes: list[str]) -> None:
    (tmp_path / "tale.txt").write_text("once")
    source = corpus(tmp_path, web=0.6, books=0.4)
    with pytest.raises(
        ConfigError, match=r"only source, unless --data\.weights has those of all sets: web, books, notes"
    ):
        found(notes, source, tmp_path / "tale.txt")


def test_a_mixture_has_no_validation_text_from_elsewhere(tmp_path: Path, notes: list[str]) -> None:
    with pytest.raises(ConfigError, match="leave --valid out"):
        found(notes, corpus(tmp_path, web=1, books=1), valid=["tale.txt"])


def test_a_damaged_corpus_is_told_at_once(tmp_path: Path, notes: list[str]) -> None:
    source = corpus(tmp_path)
    (source / "corpus.json").write_text("{")
    with pytest.raises(DataError, match=r"corpus\.json is damaged"):
        found(notes, source)


def test_packed_sets_take_other_weights(notes: list[str]) -> None:
    packed = [WeightedSet(name="web", weight=0.5), WeightedSet(name="books", weight=0.5)]
    assert reweighted(packed, {}, notes.append) == packed
    assert notes == []
    assert reweighted(packed, {"books": 2}, notes.append) == [WeightedSet(name="books", weight=2)]
    assert notes == ["the set web has no weight and is left out"]
    with pytest.raises(ConfigError, match="did you mean books"):
        reweighted(packed, {"book": 2}, notes.append)
