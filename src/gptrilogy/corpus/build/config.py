"""Everything a corpus is made by: its sets of documents, the steps each goes through, and their settings."""

from graphlib import CycleError, TopologicalSorter
from typing import Literal, TypeAlias

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.corpus.decontamination import DecontaminationConfig
from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.extraction import ExtractionConfig
from gptrilogy.corpus.languages import LanguageConfig
from gptrilogy.corpus.links import LinksConfig
from gptrilogy.corpus.quality.card import ClassifierConfig
from gptrilogy.corpus.quality.selection import Selection
from gptrilogy.corpus.readers.limits import Limits
from gptrilogy.corpus.rules import RulesConfig

Role: TypeAlias = Literal["good", "raw", "none"]


class SetConfig(Config):
    """One set of documents, such as Common Crawl or Wikipedia, and which steps its documents go through."""

    paths: tuple[str, ...] = ()  # files, folders and fsspec URLs; a set without any is left out
    weight: float | None = Field(default=None, gt=0)  # share of a training run's tokens; all of them are normalised
    linked: bool = False  # only pages that the links name
    language: bool = False  # only documents in the languages wanted
    rules: bool = False  # only documents that break no quality rule
    quality: Role = "none"  # "good": the classifier's positives; "raw": its negatives, kept by their score
    without: tuple[str, ...] = ()  # sets whose documents, or near copies of them, are removed from this one


class CorpusConfig(Config):
    """A recipe for a corpus. Settings of a step that no set goes through have no effect."""

    recipe: str = "own"
    sets: dict[str, SetConfig] = Field(default_factory=dict[str, SetConfig])
    links: tuple[str, ...] = ()  # files of links with their votes
    against: tuple[str, ...] = ()  # names of evaluation tasks, and files of texts, that must not be trained on
    reading: Limits = Limits()
    text_field: str = "text"  # of JSON lines and Parquet
    linking: LinksConfig = LinksConfig()
    extraction: ExtractionConfig = ExtractionConfig()
    language: LanguageConfig = LanguageConfig()
    rules: RulesConfig = RulesConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    classifier_from: str | None = None  # a folder with one, as a build leaves it: it scores instead of one trained here
    selection: Selection = Selection()
    same_url: bool = True  # one document kept of those with one URL
    same_text: bool = True  # one of those with the same text
    near_copies: bool = True  # one of those that overlap
    minhash: DedupConfig = DedupConfig()
    decontamination: DecontaminationConfig = DecontaminationConfig()
    keep_dropped: bool = False  # write what is dropped aside, with the reason
    seed: int = 0  # of the samples shown; steps that draw have seeds of their own
    part_bytes: int = Field(default=32 << 20, ge=1)  # of input that one task reads, where files are smaller than that

    def check(self) -> None:
        for name, settings in self.sets.items():
            self._check_set(name, settings)
        try:
            TopologicalSorter({name: settings.without for name, settings in self.sets.items()}).prepare()
        except CycleError as error:
            circle = " and ".join(sorted(set(error.args[1])))
            raise ValueError(
                f"the sets {circle} are without each other, so copies would go from all: let one keep"
            ) from None
        roles = {settings.quality for settings in self.used.values()}
        if self.classifies and not self.classifier_from and "good" not in roles:
            good = ", ".join(name for name, settings in self.sets.items() if settings.quality == "good")
            raise ValueError(
                f"the classifier learns from good documents: give sources to {good or 'a set with quality good'}, "
                "or leave it out with --sets.NAME.quality none for the set that it filters"
            )

    def _check_set(self, name: str, settings: SetConfig) -> None:
        if not name.replace("_", "").replace("-", "").replace(".", "").isalnum() or name.startswith("."):
            raise ValueError(f"a set's name is a folder's name: letters, digits, - and _, got {name!r}")
        if name in settings.without or not set(settings.without) <= set(self.sets):
            raise ValueError(f"sets.{name}.without must name other sets of {sorted(self.sets)}, got {settings.without}")
        if settings.paths and settings.linked and not self.links:
            raise ValueError(
                f"the set {name} takes only pages that links name: give --links FILE, "
                f"or take all pages with --sets.{name}.linked no"
            )

    @property
    def used(self) -> dict[str, SetConfig]:
        """The sets that have sources, in the order of the recipe."""
        return {name: settings for name, settings in self.sets.items() if settings.paths}

    @property
    def near(self) -> DedupConfig | None:
        """How near copies are looked for, where they are."""
        return self.minhash if self.near_copies else None

    @property
    def classifies(self) -> bool:
        return any(settings.quality == "raw" for settings in self.used.values())

    @property
    def hashes_features(self) -> bool:
        return self.classifies or self.near is not None
