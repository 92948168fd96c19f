"""The papers' corpora as recipes: what is published of them, and what is ours where they are silent."""

from collections.abc import Callable

from gptrilogy.config import suggest
from gptrilogy.corpus.build.config import CorpusConfig, SetConfig
from gptrilogy.errors import ConfigError


def corpus_recipe(name: str) -> CorpusConfig:
    """A recipe by its name; the sets are still without sources.

    Raises: ConfigError for an unknown name, with the nearest known one.
    """
    if name not in CORPUS_RECIPES:
        known = [*CORPUS_RECIPES, "a file of your own, FILE.toml"]
        raise ConfigError(f"unknown corpus recipe {name}: {suggest(name, known)}")
    return CORPUS_RECIPES[name]()


def webtext() -> CorpusConfig:
    """WebText: pages that people linked to and others found worth it.

    Published (GPT2 §2.1, model card): outbound links with at least 3 karma, up to December 2017; Wikipedia removed;
    pages that are not English removed; text taken out with Dragnet and Newspaper; de-duplication and "heuristic based
    cleaning"; a list of blocked communities. 45 million links gave slightly over 8 million documents, 40 GB.
    Ours: no last day unless one is set; another extractor, measured; the rules and their limits; the threshold of
    likeness and its banding; which domains stand for Wikipedia. The list of communities was not published.

        gpt corpus build pages.warc.gz --links submissions.jsonl --recipe webtext --out corpora/webtext
    """
    return CorpusConfig(recipe="webtext", sets={"webtext": SetConfig(linked=True, language=True, rules=True)})


def gpt3() -> CorpusConfig:
    """GPT-3's training text: Common Crawl by its resemblance to good text, with four sets that are good already.

    Published (GPT3 §2.2, Table 2.2, App. A): the sets and their weights, which sum to 101% and are normalised here; a
    logistic regression over Spark's Tokenizer and HashingTF, WebText, Wikipedia and web books against raw Common
    Crawl, keeping a document iff pareto(9) > 1 - score; MinHash with 10 hashes on the same features within each set;
    WebText removed from Common Crawl; grams of 13 words shared with tests removed (App. C).
    Ours: the threshold of likeness and its banding, the classifier's training settings, that one of several copies is
    kept by length. No language is filtered: the paper's own counts are 93% English (languages_by_document_count).

        gpt corpus build crawl/ webtext2=webtext/ wikipedia=enwiki.xml.bz2 books1=books/ --recipe gpt3 \\
            --against lambada,hellaswag --out corpora/gpt3
    """
    return CorpusConfig(
        recipe="gpt3",
        sets={
            "common_crawl": SetConfig(weight=0.60, quality="raw", without=("webtext2",)),
            "webtext2": SetConfig(weight=0.22, quality="good"),
            "books1": SetConfig(weight=0.08, quality="good"),
            "books2": SetConfig(weight=0.08),
            "wikipedia": SetConfig(weight=0.03, quality="good"),
        },
    )


CORPUS_RECIPES: dict[str, Callable[[], CorpusConfig]] = {"webtext": webtext, "gpt3": gpt3}
