"""Sentences and translations read from WMT's files and from plain text, and asked as printed."""

from pathlib import Path

import pytest

from gptrilogy.errors import DataError
from gptrilogy.evaluation.data import demonstration_of, items_of, read_split
from gptrilogy.evaluation.items import Free
from gptrilogy.evaluation.task import Task
from gptrilogy.evaluation.tasks.translation import TASKS

BY_NAME = {task.name: task for task in TASKS}
EN_FR = BY_NAME["wmt14-en-fr"]
FILES = [  # of a task: its sources and translations, those of its development set
    ("wmt14-en-fr", "newstest2014-fren-src.en newstest2014-fren-ref.fr newstest2013-src.en newstest2013-src.fr"),
    ("wmt14-fr-en", "newstest2014-fren-src.fr newstest2014-fren-ref.en newstest2013-src.fr newstest2013-src.en"),
    (
        "wmt16-en-de",
        "newstest2016-ende-src.en newstest2016-ende-ref.de newstest2015-ende-src.en newstest2015-ende-ref.de",
    ),
    (
        "wmt16-de-en",
        "newstest2016-deen-src.de newstest2016-deen-ref.en newstest2015-deen-src.de newstest2015-deen-ref.en",
    ),
    (
        "wmt16-en-ro",
        "newstest2016-enro-src.en newstest2016-enro-ref.ro newsdev2016-enro-src.en newsdev2016-enro-ref.ro",
    ),
    (
        "wmt16-ro-en",
        "newstest2016-roen-src.ro newstest2016-roen-ref.en newsdev2016-roen-src.ro newsdev2016-roen-ref.en",
    ),
]
LANGUAGE = {"de": "German", "en": "English", "fr": "French", "ro": "Romanian"}


def sgm(*sentences: str) -> str:
    segs = "\n".join(f'<seg id="{n}"> {text}  </seg>' for n, text in enumerate(sentences, start=1))
    return f'<srcset setid="x" srclang="any">\n<doc docid="1">\n<p>\n{segs}\n</p>\n</doc>\n</srcset>\n'


def write(path: Path, *pairs: tuple[str, str]) -> Path:
    for name, content in pairs:
        (path / name).write_text(content, encoding="utf-8")
    return path


def asked(task: Task, path: Path, shots: int, number: int = 0) -> Free:
    (item,) = items_of(task, read_split(task, "test", path), number, shots)
    assert isinstance(item, Free)
    return item


@pytest.mark.parametrize(("name", "files"), FILES)
def test_each_direction_reads_its_sgm_files_and_asks_as_printed(tmp_path: Path, name: str, files: str) -> None:
    task, language = BY_NAME[name], LANGUAGE[name[-2:]]
    contents = (sgm("Hello &amp; bye."), sgm("Salut &quot;a&quot;."), sgm("Yes."), sgm("Oui."))
    write(tmp_path, *((f"{file}.sgm", text) for file, text in zip(files.split(), contents, strict=True)))
    few, zero = asked(task, tmp_path, 64), asked(task, tmp_path, 0)
    assert few == Free("Hello & bye. =", ('Salut "a".',))
    assert few.demonstration == 'Hello & bye. = Salut "a".'
    assert zero.context == f"Q: What is the {language} translation of Hello & bye. A:"
    assert demonstration_of(task, read_split(task, "train", tmp_path), 0, 64) == "Yes. = Oui."
    assert (task.separator, task.shots) == ("\n", 64)


def test_plain_text_is_read_under_the_same_names_and_sacrebleus(tmp_path: Path) -> None:
    for source, reference in (
        ("newstest2014-fren-src.en", "newstest2014-fren-ref.fr"),
        ("wmt14_full.en-fr.src", "wmt14_full.en-fr.ref"),
    ):
        path = tmp_path / source
        path.mkdir()
        write(path, (source, "One &amp; two.\nThree.\n"), (reference, "Un.\nTrois.\n"))
        assert asked(EN_FR, path, 1, number=1) == Free("Three. =", ("Trois.",))
        assert asked(EN_FR, path, 1).context == "One &amp; two. ="  # plain text has no entities
    write(tmp_path, ("newstest2013.en", "Yes.\n"), ("newstest2013.fr", "Oui.\n"))
    assert demonstration_of(EN_FR, read_split(EN_FR, "train", tmp_path), 0, 1) == "Yes. = Oui."


@pytest.mark.parametrize("pair", ["en-fr", "fr-en"])
def test_gpt2_is_shown_the_same_lines_always_and_writes_greedily(tmp_path: Path, pair: str) -> None:
    task, source, target = BY_NAME[f"wmt14-{pair}-gpt2"], *pair.split("-")
    write(tmp_path, (f"newstest2014-fren-src.{source}", "Yes.\n"), (f"newstest2014-fren-ref.{target}", "Oui.\n"))
    assert asked(task, tmp_path, 0) == asked(task, tmp_path, 5) == Free("Yes. =", ("Oui.",))
    assert task.answering is not None
    assert task.answering.sampling is not None
    assert (task.answering.sampling.temperature, task.answering.stop, task.fixed_draw) == (0, ("\n",), True)


def test_rows_of_the_hub_hold_both_languages() -> None:
    assert EN_FR.hub is not None
    record = EN_FR.hub.record({"translation": {"en": "Yes.", "fr": "Oui."}})
    assert EN_FR.items(record, 1) == [Free("Yes. =", ("Oui.",))]
    hubs = [task.hub for task in TASKS if task.hub]
    assert [(hub.name, hub.config) for hub in hubs[:6]] == [
        ("wmt/wmt14", "fr-en"),
        ("wmt/wmt14", "fr-en"),
        ("wmt/wmt16", "de-en"),
        ("wmt/wmt16", "de-en"),
        ("wmt/wmt16", "ro-en"),
        ("wmt/wmt16", "ro-en"),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "lacks the test file of wmt14-en-fr"),
        ([("newstest2014-fren-src.en", "Yes.\n")], "has no translations beside it; put newstest2014-fren-ref.fr there"),
        (
            [("newstest2014-fren-src.en", "Yes.\nNo.\n"), ("newstest2014-fren-ref.fr", "Oui.\n")],
            "has 2 sentences, newstest2014-fren-ref.fr 1; get both from one release",
        ),
        (
            [("newstest2014-fren-src.en.sgm", '<seg id="1">Yes.\n'), ("newstest2014-fren-ref.fr.sgm", sgm("Oui."))],
            r"newstest2014-fren-src.en.sgm line 1 has a <seg> that does not end",
        ),
        (
            [("newstest2014-fren-src.en.sgm", "<doc></doc>\n"), ("newstest2014-fren-ref.fr.sgm", "")],
            "holds no record",
        ),
    ],
)
def test_files_that_do_not_match_are_named(tmp_path: Path, files: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        asked(EN_FR, write(tmp_path, *files), 1)
    assert "\n" not in str(caught.value)


def test_a_record_without_the_other_language_is_named(tmp_path: Path) -> None:
    write(tmp_path, ("newstest2014-fren-src.en", "Yes.\n"), ("newstest2014-fren-ref.fr", "Oui.\n"))
    split = read_split(EN_FR, "test", tmp_path)
    with pytest.raises(DataError, match=r"record 1 of .* has no field de; it has en, fr"):
        items_of(BY_NAME["wmt16-en-de"], split, 0, 1)
