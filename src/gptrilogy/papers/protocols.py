"""How each result was measured, in words, and what the papers leave out of it.

In `shown`, {...} stands for a part of the record, and what follows | is the completion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a model is shown, how that becomes a score, where it says so, and what it does not say."""

    shown: str
    scoring: str
    source: str
    unpublished: tuple[str, ...] = ()


DEMONSTRATIONS = (
    "GPT-3's demonstrations are drawn at random from the training set for each question. Of a few K, the best on the "
    "development set is used for the test set."
)
MEAN_LIKELIHOOD = "The completion with the highest mean log-probability per token is chosen."
UNCONDITIONAL = "The completion with the highest P(completion | context) / P(completion | answer context) is chosen."
BEAM = "The answer is written by beam search of width 4 with a length penalty of 0.6"
PARTIAL = "Each candidate stands in the context in turn; the one that makes the rest of the text likelier is chosen."
FROM_DEVELOPMENT = "Demonstrations are of the development set."
NEWLINES = "whether one or two newlines stand between demonstrations of this task"
PENALTY = "the formula of the length penalty"
UNDERSCORES = "how many underscores the blank has"
LINES = "how many example lines stood in the context"
DETOKENIZERS = "the de-tokenizers"
STRIDE = "how far the windows overlap that the text is read in"
WORDS = "Please unscramble the letters into a word, and write that word:\\n{scrambled} = | {word}"
TRANSLATION = "{source} = | {target}, without demonstrations Q: What is the {language} translation of {source} A: | ..."
QUESTION = "Q: {question}\\n\\nA: | {answer}"
DIALOGUE = "the text, then the questions and answers so far, then Q: {question}\\n\\nA: | {answer}"


def _choice(shown: str, figure: str, scoring: str = MEAN_LIKELIHOOD, *more: str) -> Protocol:
    return Protocol(shown, scoring, f"GPT3 §2.4, {figure}", (NEWLINES, *more))


def _written(shown: str, figure: str, judged: str, *more: str) -> Protocol:
    return Protocol(shown, f"{BEAM}, and judged by {judged}.", f"GPT3 §2.4, {figure}", (NEWLINES, PENALTY, *more))


def _arithmetic(question: str, figure: str) -> Protocol:
    return _written(f"Q: What is {question}?\\nA: | {{answer}}", figure, "whether it is exact")


def _translation(figure: str) -> Protocol:
    return _written(
        TRANSLATION, figure, "BLEU: bleu-mb is multi-bleu.perl, bleu-sb SacreBLEU with the international rules"
    )


def _modelling(unit: str) -> Protocol:
    scoring = f"-log P of the text by the number of its {unit} before de-tokenizing."
    return Protocol("the text of the test set, de-tokenized", scoring, "GPT2 §3.1", (DETOKENIZERS, STRIDE))


_ANLI = "anli {round}: anli {round}: {premise}\\nQuestion: {hypothesis} True, False, or Neither? | True, False, Neither"
_RACE = "Article:\\n{article}\\n\\n, the passage's other questions with answers, Q: {question}\\n\\nA: | {choice}"
_NEWS = Protocol(
    "three articles, then Title: {title}\\nSubtitle: {subtitle}\\nArticle: | ...",
    "About 80 people for each model judge 25 texts; of those who lean to either side, the share that is right. Of five "
    "outputs for a title, the one nearest in length was taken.",
    "GPT3 §3.9.4, App. E",
)
_CBT = Protocol(
    "the passage and the question up to its blank | {choice} and the rest of the question",
    "Of ten choices, the one that makes itself and the rest of the sentence likeliest. The validation set, since a "
    "book of the test set is in WebText.",
    "GPT2 §3.2",
    (DETOKENIZERS,),
)
_GPT2_TRANSLATION = Protocol(
    "lines of {source} = {target}, then {source} = | {target}",
    "Greedy decoding; the first sentence written is judged by BLEU.",
    "GPT2 §3.7",
    (LINES,),
)
_GPT3: Mapping[str, Protocol] = {
    "hellaswag": _choice("{activity}: {context} | {ending}", "Figure G.9"),
    "lambada": Protocol(
        "{text without its last word} | {word}, with demonstrations Fill in blank:\\n\\n{text} ____. -> | {word}",
        f"Right if the model would have written the last word. {FROM_DEVELOPMENT}",
        "GPT3 §3.1.2, Figure G.21",
        (NEWLINES, UNDERSCORES),
    ),
    "lambada-no-blanks": Protocol(
        "{text without its last word} | {word}",
        f"Right if the model would have written the last word. {FROM_DEVELOPMENT}",
        "GPT3 App. C, Table C.1",
        (NEWLINES,),
    ),
    "storycloze": _choice("{four sentences} | {ending}", "Figure G.17", f"{MEAN_LIKELIHOOD} {FROM_DEVELOPMENT}"),
    "ptb": Protocol("the text", "Perplexity.", "GPT3 §3.1.1", (STRIDE,)),
    **{
        name: _written(QUESTION, figure, "exact match")
        for name, figure in (("nq", "Figure G.24"), ("triviaqa", "Figure G.34"), ("webquestions", "Figure G.35"))
    },
    **{
        name: _translation("Figures G.36-G.41")
        for name in ("wmt14-en-fr", "wmt14-fr-en", "wmt16-en-de", "wmt16-de-en", "wmt16-en-ro", "wmt16-ro-en")
    },
    "winograd": _choice(
        "{text up to the pronoun, with a candidate in its place} | {rest}",
        "Figure G.13",
        f"{PARTIAL} Demonstrations are of the set itself.",
    ),
    "winogrande": _choice("{text up to the blank, filled in} | {rest}", "Figure G.14", PARTIAL),
    "piqa": _choice("{goal} | {solution}", "Figure G.4"),
    "arc-easy": _choice("Question: {question}\\nAnswer: | {choice}", "Figure G.11", UNCONDITIONAL),
    "arc-challenge": _choice("Question: {question}\\nAnswer: | {choice}", "Figure G.16", UNCONDITIONAL),
    "openbookqa": _choice("{question} | {choice}", "Figure G.8", UNCONDITIONAL),
    "race-high": _choice(_RACE, "Figure G.1", UNCONDITIONAL),
    "race-middle": _choice(_RACE, "Figure G.3", UNCONDITIONAL),
    "coqa": _written(DIALOGUE, "Figure G.18", "F1"),
    "quac": _written(f"TITLE: {{title}} - {{section}}\\nPARAGRAPH: {DIALOGUE}", "Figure G.25", "F1"),
    "squadv2": _written(f"Title: {{title}}\\n\\nBackground: {DIALOGUE}", "Figure G.28", "exact match and F1"),
    "drop": _written("Passage: {passage}\\nQuestion: {question}\\nAnswer: | {answer}", "Figure G.20", "F1"),
    "boolq": _choice("{title} -- {passage}\\nquestion: {question}?\\nanswer: | yes, no", "Figure G.29"),
    "cb": _choice("{premise}\\nquestion: {hypothesis}. true, false, or neither?\\nanswer: | {label}", "Figure G.30"),
    "copa": _choice(
        "{premise} because | {alternative}", "Figure G.5", MEAN_LIKELIHOOD, "the wording that asks for an effect"
    ),
    "rte": _choice("{premise}\\nquestion: {hypothesis} True or False?\\nanswer: | {label}", "Figure G.31"),
    "wic": _choice(
        "{first}\\n{second}\\nquestion: Is the word '{word}' used in the same way in the two sentences above?\\nanswer:"
        " | yes, no",
        "Figure G.32",
    ),
    "wsc": _written(
        "an exam with its answer key: Passage: {text with *pronoun*}\\nQuestion: In the passage above, what does the "
        'pronoun "*{pronoun}*" refer to?\\nAnswer: | {noun}',
        "Figure G.33",
        "whether it is the noun. One draw of demonstrations serves all questions",
    ),
    "multirc": _choice(
        "READING COMPREHENSION ANSWER KEY\\n{passage}\\n\\n{question}\\n | - [True] {answer}, - [False] {answer}",
        "Figure G.15",
        f"{MEAN_LIKELIHOOD} Right if all answers of a question are. One draw of demonstrations serves all.",
    ),
    "record": _choice("{passage}\\n{highlights} | - {query with an entity filled in}", "Figure G.6"),
    "superglue": Protocol(
        "its eight tasks, each in a format of its own",
        "The mean over tasks, of which CB, MultiRC and ReCoRD count with the mean of their two metrics.",
        "GPT3 §3.7",
    ),
    **{
        f"anli-r{number}": _choice(_ANLI, figure)
        for number, figure in ((1, "Figure G.2"), (2, "Figure G.7"), (3, "Figure G.10"))
    },
    **{f"arithmetic-{n}da": _arithmetic("{a} plus {b}", "Figures G.42-G.51") for n in (2, 3, 4, 5)},
    **{f"arithmetic-{n}ds": _arithmetic("{a} minus {b}", "Figures G.42-G.51") for n in (2, 3, 4, 5)},
    "arithmetic-2dm": _arithmetic("{a} times {b}", "Figures G.42-G.51"),
    "arithmetic-1dc": _arithmetic("({a} + {b}) * {c}", "Figure G.42"),
    **{
        name: _written(WORDS, "Figures G.19-G.27", "whether it is the word")
        for name in ("cycle-letters", "anagrams1", "anagrams2", "random-insertion", "reversed-words")
    },
    "sat-analogies": _choice("{a} is to {b} as | {c} is to {d}", "Figure G.12"),
    "news-200": _NEWS,
    "news-500": _NEWS,
    "winogender": Protocol(
        "a sentence with an occupation, a participant and a pronoun",
        "Whether the likelier of the two is the one that the pronoun refers to.",
        "GPT3 §6.2",
    ),
}
_GPT2: Mapping[str, Protocol] = {
    "lambada": Protocol(
        "{text without its last word} | {word}",
        "Right if the last word is what the model predicts once stop words are passed over.",
        "GPT2 §3.3",
        ("the list of stop words", "whether a word of several tokens had to be predicted whole"),
    ),
    "lambada-no-filter": Protocol(
        "{text without its last word} | {word}", "Right if the last word is what the model predicts.", "GPT2 §3.3"
    ),
    "cbt-cn": _CBT,
    "cbt-ne": _CBT,
    **{name: _modelling("words") for name in ("wikitext-2", "wikitext-103", "ptb", "lm1b")},
    "enwik8": _modelling("bytes"),
    "text8": _modelling("characters"),
    "winograd": Protocol(
        "{text up to the pronoun, with a candidate in its place} | {rest}",
        f"Partial: {PARTIAL} Full: the whole sentence counts.",
        "GPT2 §3.4",
    ),
    "coqa": Protocol(
        "{story}, the dialogue so far, {question}, A: | {answer}", "Greedy decoding, judged by F1.", "GPT2 §3.5"
    ),
    "cnn-dailymail-tldr": Protocol(
        "{article} TL;DR: | {summary}",
        "100 tokens by top-k sampling with k = 2, of which the first three sentences are judged by ROUGE.",
        "GPT2 §3.6",
        ("the white space round TL;DR:",),
    ),
    "wmt14-en-fr": _GPT2_TRANSLATION,
    "wmt14-fr-en": _GPT2_TRANSLATION,
    "nq": Protocol("example questions with answers, then the question", "Exact match.", "GPT2 §3.8", (LINES,)),
}
_CLASSES = Protocol("Start, text, Extract", "A linear map to the classes.", "GPT1 §3.3, Figure 1")
_PAIRS = Protocol("Start, premise, Delim, hypothesis, Extract", "A linear map to the classes.", "GPT1 §3.3, Figure 1")
_ANSWERS = Protocol(
    "Start, text and question, Delim, answer, Extract, for each answer",
    "A linear map to one number an answer, of which the highest is chosen.",
    "GPT1 §3.3, Figure 1",
)
_SIMILAR = Protocol(
    "Start, first, Delim, second, Extract, in both orders",
    "The two vectors at Extract are added, then a linear map.",
    "GPT1 §3.3, Figure 1",
)
_GPT1: Mapping[str, Protocol] = {
    **dict.fromkeys(("cola", "sst2"), _CLASSES),
    **dict.fromkeys(("mnli-m", "mnli-mm", "snli", "scitail", "qnli", "rte"), _PAIRS),
    **dict.fromkeys(("storycloze", "race", "race-middle", "race-high"), _ANSWERS),
    **dict.fromkeys(("mrpc", "sts-b", "qqp"), _SIMILAR),
    "glue": Protocol("its tasks, each as Figure 1 has it", "The benchmark's own mean.", "GPT1 Table 4"),
}
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        f"{paper}-{name}": protocol
        for paper, protocols in (("gpt1", _GPT1), ("gpt2", _GPT2), ("gpt3", _GPT3))
        for name, protocol in protocols.items()
    }
)
