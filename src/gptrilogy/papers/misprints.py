"""Where a paper contradicts itself, and notes about the papers contradict them: what is said, what follows, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Misprint:
    """`where` it says `printed`; `follows` is what holds or what the rest gives; `concerns`: tables and results."""

    name: str
    where: str
    printed: str
    follows: str
    evidence: str
    concerns: tuple[str, ...] = ()


_ALL = (
    Misprint(
        "gpt1-parameters",
        "notes about GPT-1",
        "117M, or 150M",
        "116,534,784",
        "The shapes of the released weights add up to it. The paper prints no count, and 117M is what GPT-2's paper "
        "calls its own smallest model, which has 124,439,808.",
        ("gpt1-sizes",),
    ),
    Misprint(
        "gpt1-glue-gain",
        "GPT1 abstract",
        "5.5 points better on GLUE",
        "3.9",
        "Table 4 has 72.8 against 68.9.",
        ("gpt1-4", "gpt1-glue"),
    ),
    Misprint(
        "gpt1-lstm-average",
        "GPT1 Table 5",
        "69.1",
        "69.2",
        "The LSTM's eight scores have a mean of 69.16; the other three rows round to what is printed.",
        ("gpt1-5",),
    ),
    Misprint(
        "gpt2-sizes",
        "GPT2 Table 2",
        "117M, 345M, 762M, 1542M",
        "124M, 355M, 774M, 1558M",
        "Counted from the layers and widths beside them; the README of the released code says the same.",
        ("gpt2-2",),
    ),
    Misprint(
        "gpt2-wikitext",
        "GPT2 Table 3",
        "29.41 on WikiText2 and 37.50 on WikiText103",
        "one number",
        "Both test sets are the same text, so the two columns must be normalised differently. Neither column says how.",
        ("gpt2-3", "gpt2-wikitext-2", "gpt2-wikitext-103"),
    ),
    Misprint(
        "gpt3-13b-width",
        "GPT3 Table 2.1",
        "a d_model of 5140",
        "5120",
        "40 heads of 128 are 5120, which makes Table D.1's 12,850M parameters; 5140 would make 12,950M.",
        ("gpt3-2.1",),
    ),
    Misprint(
        "gpt3-xl-heads",
        "GPT3 Table 2.1",
        "24 heads of 128 at a d_model of 2048",
        "16 heads of 128, or another split of 2048",
        "24 x 128 is 3072. Attention of width 2048 makes Table D.1's 1,320M parameters, of width 3072 1,517M.",
        ("gpt3-2.1",),
    ),
    Misprint(
        "gpt3-medium",
        "GPT3 Table 2.1",
        "350M",
        "356M",
        "Layers and width make 355,871,744, and Table D.1 has 356M.",
        ("gpt3-2.1",),
    ),
    Misprint(
        "gpt3-decimals",
        "GPT3 Table 2.1",
        "13.0B and 175.0B",
        "12.9B and 174.6B",
        "Table D.1 has 12,850M and 174,600M, and so it is counted.",
        ("gpt3-2.1",),
    ),
    Misprint(
        "gpt3-names",
        "GPT3 Figure 2.2, §2.4 and App. E",
        "GPT-3 3B and 200B",
        "2.7B and 175B",
        "No models of those sizes are in Table 2.1.",
    ),
    Misprint(
        "gpt3-weights",
        "GPT3 Table 2.2",
        "weights of 60, 22, 8, 8 and 3%",
        "shares of 101",
        "They add up to 101%; rounding can do that, and whoever samples by them must divide by the sum.",
        ("gpt3-2.2",),
    ),
    Misprint(
        "gpt3-webtext2-epochs",
        "GPT3 Table 2.2",
        "2.9 epochs of WebText2",
        "3.47",
        "22% of 300B tokens over 19B. No rounding of weight or size comes below 3.3.",
        ("gpt3-2.2",),
    ),
    Misprint(
        "gpt3-wikipedia-epochs",
        "GPT3 Table 2.2",
        "3.4 epochs of Wikipedia",
        "3.0",
        "3% of 300B tokens over 3B. A weight of 3.4% before rounding would give it.",
        ("gpt3-2.2",),
    ),
    Misprint(
        "gpt3-45tb",
        "notes about GPT-3",
        "45 TB cleaned to 570 GB is GPT-3's data",
        "it is Common Crawl's part of it",
        "Table 2.2 has 499B tokens of five sets, of which filtered Common Crawl is 410B.",
        ("gpt3-2.2",),
    ),
    Misprint(
        "gpt3-common-crawl",
        "GPT3 §2.2",
        "about 400B tokens of Common Crawl",
        "410B",
        "Table 2.2 has 410B.",
        ("gpt3-2.2",),
    ),
    Misprint(
        "gpt3-relative-difference",
        "GPT3 Table C.1",
        "20% for QuAC and -21% for DROP",
        "22% and -19% by (clean - all) / all",
        "Every row is as printed by ln(clean / all), and by 2 (clean - all) / (clean + all).",
        ("gpt3-c.1", "gpt3-quac", "gpt3-drop"),
    ),
    Misprint(
        "gpt3-winograd-clean",
        "GPT3 §4",
        "45% of the Winograd schemas flagged, 2.6% worse without them",
        "60%, 3%",
        "Table C.1 has 164 of 273 dirty and a difference of -3%.",
        ("gpt3-c.1", "gpt3-winograd"),
    ),
    Misprint(
        "gpt3-piqa",
        "GPT3 Table 3.6",
        "80.5 zero-shot; state of the art 79.4",
        "81.0; 77.1",
        "Table H.1 and the text have 81.0 zero-shot, and 80.5 one-shot. Table H.1 has 77.1.",
        ("gpt3-h.1", "gpt3-piqa"),
    ),
    Misprint(
        "gpt3-winograd-sota",
        "GPT3 Table H.1",
        "state of the art on Winograd 93.8",
        "90.1",
        "Table 3.5 has 90.1; 93.8 is what Table H.1 gives for SuperGLUE's WSC too.",
        ("gpt3-h.1", "gpt3-winograd"),
    ),
    Misprint(
        "gpt3-quac-oneshot",
        "GPT3 Table 3.7",
        "43.3",
        "43.4",
        "Table H.1 has 43.4.",
        ("gpt3-h.1", "gpt3-quac"),
    ),
    Misprint(
        "gpt3-2da",
        "GPT3 Table H.1",
        "2.54 zero-shot for 6.7B on 2D+",
        "a multiple of 0.05",
        "2,000 sums make steps of 0.05%; every other cell of the arithmetic tasks is one.",
        ("gpt3-h.1", "gpt3-arithmetic-2da"),
    ),
    Misprint(
        "gpt3-rounded-twice",
        "GPT3 Table H.1",
        "84.3 and 85.4 few-shot on Winograd (2.7B, 6.7B), 43.1 one-shot on SAT analogies (Large)",
        "84.2, 85.3 and 43.0",
        "230 and 233 of 273 are 84.249 and 85.348%, 161 of 374 is 43.048%: they were rounded to two decimals first.",
        ("gpt3-h.1", "gpt3-winograd", "gpt3-sat-analogies"),
    ),
    Misprint(
        "gpt3-text-of-another-seed",
        "GPT3 §3.9",
        "80.2 on 3D+; 66.9, 38.6 and 40.2 on random insertion, cycled letters and anagrams 2",
        "80.4; 67.2, 37.9 and 39.7",
        "Table H.1 has the latter. Table C.1, which is of another seed, has the text's three of the word tasks.",
        ("gpt3-h.1", "gpt3-arithmetic-3da", "gpt3-random-insertion", "gpt3-cycle-letters", "gpt3-anagrams2"),
    ),
    Misprint(
        "gpt3-1dc",
        "GPT3 §3.9.1",
        "brackets round the last two of three digits, digits from 0",
        "round the first two, digits from 1",
        "All 2,000 released questions are so, and Figure G.42 too.",
        ("gpt3-arithmetic-1dc",),
    ),
    Misprint(
        "kaplan-exponent",
        "Kaplan et al. eq. 6.4",
        "1 / (1 / aS + 1 / aB + 1 / aN) is about 0.054",
        "0.052",
        "From aS 0.76, aB 0.21 and aN 0.077; no rounding of these comes above 0.0531. The fit of eq. 1.3 has 0.050.",
        ("kaplan",),
    ),
    Misprint(
        "sparse-cost",
        "notes about sparse attention",
        "O(n log n)",
        "O(n sqrt n)",
        "The Sparse Transformer's cost is O(n n^(1/p)), with p = 2.",
    ),
)
MISPRINTS: Mapping[str, Misprint] = MappingProxyType({misprint.name: misprint for misprint in _ALL})


def misprints_of(*names: str) -> list[Misprint]:
    """Those that concern a table or a result of any of these names."""
    return [misprint for misprint in MISPRINTS.values() if not set(names).isdisjoint(misprint.concerns)]
