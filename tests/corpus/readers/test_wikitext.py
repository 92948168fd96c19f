import pytest

from gptrilogy.corpus.readers.limits import UnreadableError
from gptrilogy.corpus.readers.wikitext import left_open, plain_text

pytest.importorskip("mwparserfromhell", reason="needs mwparserfromhell, which the extra corpus brings")

ARTICLE = """{{Short description|Village}}
{{Infobox settlement
| name = Example
| image = [[File:x.jpg]]
}}
'''Example''' is a [[village]] in [[Lower Saxony|Saxony]], ''Germany''.<ref name="a">{{cite web|title=T}}</ref>

[[File:View.jpg|thumb|right|A view of ''Example'' from the [[hill]]]]
== History ==
First named in 1203.<!-- hidden --> See [http://example.org the site] &amp; &ndash; more.<br />Next.
* first [[item (thing)|item]]

{| class="wikitable"
! Year !! Pop
|}
H<sub>2</sub>O, <math>x^2</math>, <nowiki>[[x]]</nowiki>, [[:Category:Villages]].
<gallery>
File:a.jpg|cap
</gallery>
__NOTOC__
{{Reflist}}
[[Category:Villages in Germany]]
[[de:Beispiel]]
"""


def test_the_words_of_an_article_are_left() -> None:
    assert plain_text(ARTICLE) == (
        "Example is a village in Saxony, Germany.\n\nHistory\n"
        "First named in 1203. See the site & – more.\nNext.\nfirst item\n\n"
        "H2O, , [[x]], Category:Villages."
    )


def test_links_to_the_wikis_own_file_namespace_are_dropped() -> None:
    assert plain_text("[[Datei:a.jpg|mini|Bild]]Text", frozenset({"datei"})) == "Text"


@pytest.mark.parametrize("mark", ["<b>", "{|\n", "[[", "{{", "[http://a "])
def test_wikitext_left_open_a_thousand_times_is_refused_at_once(mark: str) -> None:
    assert left_open(mark * 10_000) == 10_000
    with pytest.raises(UnreadableError) as raised:
        plain_text(mark * 10_000)
    assert raised.value.reason.name == "broken wikitext"


def test_sound_wikitext_leaves_nothing_open() -> None:
    assert left_open(ARTICLE) == 0
