"""English stays, other languages go, and a page half in another language is told apart."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.config import parse
from gptrilogy.corpus.languages import Language, LanguageConfig, identify, wrong_language
from gptrilogy.errors import ConfigError

# The first article of the Universal Declaration of Human Rights, and what follows it in some.
ARTICLES = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience "
    "and should act towards one another in a spirit of brotherhood. Everyone is entitled to all the rights and "
    "freedoms set forth in this Declaration, without distinction of any kind.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de "
    "conscience et doivent agir les uns envers les autres dans un esprit de fraternité. Chacun peut se prévaloir de "
    "tous les droits et de toutes les libertés proclamés dans la présente Déclaration.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt "
    "und sollen einander im Geist der Brüderlichkeit begegnen. Jeder hat Anspruch auf die in dieser Erklärung "
    "verkündeten Rechte und Freiheiten ohne irgendeinen Unterschied.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y "
    "conciencia, deben comportarse fraternalmente los unos con los otros. Toda persona tiene todos los derechos y "
    "libertades proclamados en esta Declaración, sin distinción alguna.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и "
    "должны поступать в отношении друг друга в духе братства. Каждый человек должен обладать всеми правами.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με "
    "λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを"
    "授けられており、互いに同胞の精神をもって行動しなければならない。",
    "zh": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。人人有资格享有本宣言"
    "所载的一切权利和自由,不分种族、肤色、性别、语言、宗教、政治或其他见解。",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل بعضهم بعضاً بروح "
    "الإخاء. لكل إنسان حق التمتع بكافة الحقوق والحريات الواردة في هذا الإعلان.",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 "
    "부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
}


@pytest.mark.parametrize("code", ARTICLES)
def test_a_paragraph_is_told_by_its_language(code: str) -> None:
    assert identify(ARTICLES[code]) == Language(code, 1.0)


def test_the_confidence_is_the_share_of_the_text_in_that_language() -> None:
    english, french = (f"{ARTICLES[code]} " * 30 for code in ("en", "fr"))
    code, confidence = identify(english[:6000] + french[:2000])
    assert (code, confidence) == ("en", 0.75)


def test_only_kept_languages_stay() -> None:
    kept = [code for code in ARTICLES if wrong_language(identify(ARTICLES[code]), LanguageConfig()) is None]
    assert kept == ["en"]
    config = LanguageConfig(keep=("de", "ru"))
    assert [code for code in ARTICLES if wrong_language(identify(ARTICLES[code]), config) is None] == ["de", "ru"]


def test_a_text_in_several_languages_is_dropped_for_that() -> None:
    english, french, german = (f"{ARTICLES[code]} " * 20 for code in ("en", "fr", "de"))
    language = identify(english[:4000] + french[:3000] + german[:3000])
    reason = wrong_language(language, LanguageConfig(threshold=0.5))
    assert reason == ("mixed languages", "40% of the text in en, at least 50%")
    assert wrong_language(language, LanguageConfig(threshold=0.4)) is None


@pytest.mark.parametrize("text", ["", "  \n", "1234 5678 " * 30, "?!... --- ***"])
def test_what_is_no_language_is_unknown(text: str) -> None:
    assert identify(text).code == "unknown"
    assert wrong_language(identify(text), LanguageConfig())


def test_a_letter_with_its_accent_apart_counts_as_one() -> None:
    apart = ARTICLES["fr"].replace("é", "e\u0301").replace("ê", "e\u0302")
    assert identify(apart) == identify(ARTICLES["fr"])


@given(st.text(max_size=3000))
def test_any_text_has_a_language_and_a_share(text: str) -> None:
    code, confidence = identify(text)
    assert code.isalpha()
    assert 0 < confidence <= 1


def test_novels_are_english(shared_data: Callable[[str], Path]) -> None:
    for novel in sorted(shared_data("text/austen").glob("*.txt")):
        assert identify(novel.read_text(encoding="utf-8")[:200_000]) == ("en", 1.0)


def test_a_config_keeps_at_least_one_language() -> None:
    with pytest.raises(ConfigError, match="keep"):
        parse(LanguageConfig, {"keep": []})
    with pytest.raises(ConfigError, match=r"threshold: .* got 2"):
        parse(LanguageConfig, {"threshold": 2})
