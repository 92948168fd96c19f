"""Training: prose is told from code, the order of documents is nothing, and what cannot be learnt from is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gptrilogy
from gptrilogy.config import parse
from gptrilogy.corpus.documents import Document
from gptrilogy.corpus.quality.card import ClassifierConfig
from gptrilogy.corpus.quality.classifier import Classifier
from gptrilogy.corpus.quality.training import held_out, in_steps, sample, train
from gptrilogy.errors import ConfigError, DataError

SMALL = ClassifierConfig(n_features=1 << 12)


def novels(n: int = 40, source: str = "novels") -> list[Document]:
    return [Document(f"the lady of house {i} was not at home", id=f"{i}.txt", source=source) for i in range(n)]


def spam(n: int = 40) -> list[Document]:
    return [Document(f"buy {i} cheap pills home page", id=f"spam:{i}", source="crawl") for i in range(n)]


@pytest.fixture(scope="module")
def on_real_text(shared_data: Callable[[str], Path]) -> Classifier:
    prose = [
        Document(path.read_text("utf-8")[start : start + 1500], id=f"{path.name}:{start}", source="austen")
        for path in sorted(shared_data("text/austen").glob("[!c]*.txt"))
        for start in range(0, 60_000, 1500)
    ]
    code = [
        Document(text[start : start + 1500], id=f"{path.name}:{start}", source="code")
        for path in sorted(Path(gptrilogy.__file__).parent.rglob("*.py"))
        if (text := path.read_text("utf-8"))
        for start in range(0, min(len(text), 3000), 1500)
    ]
    return train(prose, code, ClassifierConfig())


def test_prose_is_told_from_code(on_real_text: Classifier) -> None:
    judged = on_real_text.card.held_out
    assert judged.positives == 24
    assert judged.accuracy > 0.98
    assert judged.auc > 0.99
    assert sum(judged.positive_scores) == judged.positives
    assert sum(judged.negative_scores) == judged.negatives


def test_texts_never_seen_are_scored_by_their_kind(
    on_real_text: Classifier, shared_data: Callable[[str], Path]
) -> None:
    wikipedia = shared_data("lm/wikitext-2-raw/wiki.test.raw").read_text("utf-8")
    tests = "".join(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py")))
    score = [on_real_text.score([text[i : i + 1500] for i in range(0, 15_000, 1500)]) for text in (wikipedia, tests)]
    assert np.median(score[0]) > 0.9 > 0.1 > np.median(score[1])


def test_neither_order_nor_rounds_change_a_classifier(tmp_path: Path) -> None:
    train(novels(), spam(), SMALL).save(tmp_path / "first")
    train(reversed(novels()), iter(spam()[20:] + spam()[:20]), SMALL).save(tmp_path / "second")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_the_card_tells_what_was_used() -> None:
    blank = Document(" \n", id="blank", source="novels")
    config = SMALL.replace(max_documents=20)
    card = train([*novels(30), blank, *novels(5, "stories")], spam(), config).card
    seen = {source: count.documents_seen for source, count in card.positives.items()}
    assert seen == {"novels": 31, "stories": 5}
    assert sum(count.documents_used for count in card.positives.values()) == 20
    assert card.negatives["crawl"].characters_used == pytest.approx(20 * 27, abs=20)
    assert (card.held_out.positives, card.held_out.negatives) == (2, 2)
    assert card.converged
    assert set(card.libraries) == {"unicode", "numpy", "scipy", "scikit-learn"}


def test_a_changed_text_changes_the_hash_of_the_documents() -> None:
    changed = [Document("another text", id=novels()[0].id, source="novels"), *novels()[1:]]
    first, second = (train(positives, spam(), SMALL).card for positives in (novels(), changed))
    assert first.documents_sha256 != second.documents_sha256


def test_a_larger_sample_holds_the_smaller_one() -> None:
    small = sample(novels(200), "positive", SMALL.replace(max_documents=50)).documents
    large = sample(reversed(novels(200)), "positive", SMALL.replace(max_documents=100)).documents
    assert large[:50] == small
    assert small != novels(50)


def test_one_tenth_is_held_out_whatever_its_order() -> None:
    documents = novels(57)
    held = held_out(documents, seed=0)
    assert held.sum() == 5
    assert (held_out(documents[::-1], seed=0) == held[::-1]).all()


def test_few_documents_of_a_class_weigh_as_much_as_many() -> None:
    classifier = train(novels(400), spam(20), SMALL)
    assert classifier.score(["unheard of"])[0] == pytest.approx(0.5, abs=0.2)


def test_an_early_end_is_told_and_is_no_fault() -> None:
    card = train(novels(), spam(), SMALL.replace(max_iterations=1)).card
    assert (card.iterations, card.converged) == (1, False)


@pytest.mark.parametrize("which", ["positive", "negative"])
@pytest.mark.parametrize(
    ("documents", "words"),
    [([], "0 documents with words and 0 blank ones"), (novels(9), "9 documents with words and 0 blank ones")],
)
def test_a_class_without_documents_is_refused(which: str, documents: list[Document], words: str) -> None:
    classes = (documents, spam()) if which == "positive" else (novels(), documents)
    with pytest.raises(DataError, match=f"the {which} class has {words}, at least 10 .* are needed: name more sources"):
        train(classes[0], classes[1], SMALL)


def test_a_class_of_blank_texts_is_refused() -> None:
    blank = [Document("\n \t" * i, id=str(i), source="novels") for i in range(30)]
    with pytest.raises(DataError, match="the positive class has 0 documents with words and 30 blank ones"):
        train(blank, spam(), SMALL)


@pytest.mark.parametrize("weight", [128.0, -129.0, float("nan"), float("inf")])
def test_weights_that_the_file_cannot_hold_are_refused(weight: float) -> None:
    message = f"a weight of {weight:g}, beyond the largest, 128: lower inverse_regularisation, which is 1$"
    with pytest.raises(DataError, match=message):
        in_steps(np.array([1.0, weight]), SMALL)


def test_enormous_counts_without_regularisation_still_train() -> None:
    shouting = [Document(f"good{' ' * 100_000}{i}", id=str(i), source="s") for i in range(10)]
    classifier = train(shouting, spam(), SMALL.replace(inverse_regularisation=1e12))
    assert classifier.score([shouting[0].text, spam()[0].text]).round().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("field", "value"), [("n_features", 1000), ("n_features", 1 << 25), ("max_documents", 9), ("seed", -1)]
)
def test_a_field_out_of_bounds_is_named(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=field):
        parse(ClassifierConfig, {field: value})
