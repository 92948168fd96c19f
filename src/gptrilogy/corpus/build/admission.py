"""What one page goes through to become a document: links, extraction, rules, language, in this order."""

from typing import NamedTuple

from gptrilogy.corpus.build.config import CorpusConfig, SetConfig
from gptrilogy.corpus.build.linked import LinkedUrls
from gptrilogy.corpus.documents import Document, Page, Reason
from gptrilogy.corpus.extraction import extract
from gptrilogy.corpus.languages import identify, wrong_language
from gptrilogy.corpus.rules import broken_rule


class Refusal(NamedTuple):
    """A page that becomes no document: at which step, why, and the text if there was one by then."""

    step: str
    reason: Reason
    text: str = ""


class Admission:
    """The steps that the pages of one set go through."""

    def __init__(self, config: CorpusConfig, settings: SetConfig, linked: LinkedUrls | None) -> None:
        self.config = config
        self.settings = settings
        self.linked = linked if settings.linked else None
        self.steps = [
            step
            for step, used in [
                ("read", True),
                ("links", self.linked is not None),
                ("extract", True),
                ("rules", settings.rules),
                ("language", settings.language),
            ]
            if used
        ]

    def steps_before(self, step: str) -> list[str]:
        return self.steps[: self.steps.index(step)]

    def admit(self, page: Page) -> Document | Refusal:
        if self.linked and page.url not in self.linked:
            return Refusal("links", Reason("not linked", "no link with enough votes names this URL"))
        text = extract(page, self.config.extraction)
        if isinstance(text, Reason):
            return Refusal("extract", text)
        if self.settings.rules and (reason := broken_rule(text, self.config.rules)):
            return Refusal("rules", reason, text)
        language = identify(text)  # after the rules, for it guesses at short texts
        if self.settings.language and (reason := wrong_language(language, self.config.language)):
            return Refusal("language", reason, text)
        meta = {**page.meta, "language": language.code}
        return Document(text, id=page.id, source=page.source, meta=meta)
