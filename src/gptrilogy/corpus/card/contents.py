"""What the card tells, in order: from what the corpus is to the documents themselves."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise

from gptrilogy.corpus.card.blocks import (
    Block,
    Cell,
    Code,
    Picture,
    Samples,
    Section,
    Share,
    Table,
    Text,
    Tile,
    Tiles,
    rounded,
)
from gptrilogy.corpus.card.forms import Counts, Facts, SetStatistics, Step
from gptrilogy.corpus.card.pictures import draw_flow, draw_lengths, draw_mixture, draw_scores

MAX_LANGUAGES = 8
MAX_DOMAINS = 15
MAX_SIZES = 8
MAX_TASKS = 20


def title_of(facts: Facts) -> str:
    return f"Corpus {facts.corpus.recipe}"


def contents(facts: Facts) -> list[Section]:
    """The sections of a card; what the recipe did not do is left out."""
    sections = [
        _overview(facts),
        _flow(facts.ledger),
        _languages(facts.statistics.sets),
        _lengths(facts.statistics.sets),
        _domains(facts),
        _scores(facts.statistics.sets),
        _duplicates(facts.statistics.sets),
        _contamination(facts.statistics.sets),
        _mixture(facts),
        *_samples(facts),
        Section("Settings", [Code(json.dumps(facts.corpus.config, indent=2, ensure_ascii=False))]),
    ]
    return [section for section in sections if section.blocks]


def _overview(facts: Facts) -> Section:
    sets = facts.corpus.sets
    documents, characters, size_bytes = (
        sum(getattr(one, name) for one in sets) for name in ("documents", "characters", "bytes")
    )
    tiles = [
        Tile(f"{len(sets):,}", "set" if len(sets) == 1 else "sets"),
        Tile(rounded(documents), "documents"),
        Tile(rounded(characters), "characters"),
        Tile(rounded(size_bytes, "B"), "of UTF-8 text"),
    ]
    rows: list[list[Cell]] = [
        [one.name, len(one.files), one.documents, one.characters, _mean(one.characters, one.documents), one.bytes]
        for one in sets
    ]
    head = ("set", "files", "documents", "characters", "characters a document", "bytes")
    return Section(
        "What this is",
        [
            Tiles(tiles),
            Text(f"Training text made by the recipe {facts.corpus.recipe}. To train on it, with its folder as FOLDER:"),
            Code("gpt pretrain FOLDER --out RUN"),
            Table("Sets", head, rows),
            Text("The file corpus.json beside this card names every file with its SHA-256."),
        ],
    )


def _flow(ledger: Sequence[Step]) -> Section:
    if not ledger:
        return Section("Kept and dropped", [])
    by_set = _by_set(ledger)
    blocks: list[Block] = [_check_of(ledger), *_gaps(by_set)]
    blocks += [draw_flow(number, name, steps) for number, (name, steps) in enumerate(by_set.items(), start=1)]
    for name, steps in by_set.items():
        rows: list[list[Cell]] = [
            [step.step, step.taken, step.kept, step.dropped_total, Share(step.kept, step.taken)] for step in steps
        ]
        blocks.append(Table(f"{name}, step by step", ("step", "in", "kept", "dropped", "kept of in"), rows))
        if reasons := _reasons(steps):
            blocks.append(Table(f"{name}, why dropped", ("step", "reason", "dropped", "of its step"), reasons))
    return Section("Kept and dropped", blocks)


def _check_of(ledger: Sequence[Step]) -> Text:
    """The sum that every step must satisfy, and where it does not."""
    wrong = [step for step in ledger if not step.adds_up]
    if not wrong:
        return Text(f"in = kept + dropped holds at all {len(ledger)} steps.", "good")
    cases = "; ".join(
        f"{one.set}, {one.step}: {one.taken:,} in, {one.kept:,} kept + {one.dropped_total:,} dropped" for one in wrong
    )
    return Text(f"in = kept + dropped does not hold at {len(wrong)} of {len(ledger)} steps: {cases}.", "bad")


def _gaps(by_set: dict[str, list[Step]]) -> Iterator[Text]:
    for name, steps in by_set.items():
        for before, after in pairwise(steps):
            if before.kept != after.taken:
                yield Text(f"{name}: {before.step} kept {before.kept:,}, but {after.step} took in {after.taken:,}.")


def _reasons(steps: Sequence[Step]) -> list[list[Cell]]:
    return [
        [step.step, reason, count, Share(count, step.dropped_total)]
        for step in steps
        for reason, count in _largest_first(step.dropped)
        if count
    ]


def _languages(sets: dict[str, SetStatistics]) -> Section:
    tables = [
        _counted(name, "language", one.languages, MAX_LANGUAGES, sum(one.languages.values()), "others")
        for name, one in sets.items()
        if one.languages
    ]
    return Section("Languages", tables)


def _domains(facts: Facts) -> Section:
    """Of a large set only the largest domains are listed, so the rest is known from its documents."""
    documents = {one.name: one.documents for one in facts.corpus.sets}
    tables = [
        _counted(name, "domain", one.domains, MAX_DOMAINS, documents.get(name, 0), "others, or no address")
        for name, one in facts.statistics.sets.items()
        if one.domains
    ]
    return Section("Domains", tables)


def _counted(title: str, what: str, counts: Counts, most: int, documents: int, others: str) -> Table:
    """The most frequent, and the others as one row."""
    total = max(documents, sum(counts.values()))
    shown_counts = _largest_first(counts)[:most]
    rows: list[list[Cell]] = [[key, count, Share(count, total)] for key, count in shown_counts]
    if rest := total - sum(count for _, count in shown_counts):
        rows.append([others, rest, Share(rest, total)])
    return Table(title, (what, "documents", "share"), rows)


def _lengths(sets: dict[str, SetStatistics]) -> Section:
    histograms = {name: one.characters_histogram for name, one in sets.items()}
    measured = {name: one for name, one in histograms.items() if one is not None and one.counts}
    return Section("Lengths", [draw_lengths(measured)] if measured else [])


def _scores(sets: dict[str, SetStatistics]) -> Section:
    scored = [(name, one.scores) for name, one in sets.items() if one.scores is not None and one.scores.kept]
    pictures: list[Block] = [draw_scores(number, name, scores) for number, (name, scores) in enumerate(scored, start=1)]
    if not pictures:
        return Section("Quality scores", [])
    rows: list[list[Cell]] = [
        [name, sum(scores.kept), sum(scores.dropped), Share(sum(scores.kept), sum(scores.kept) + sum(scores.dropped))]
        for name, scores in scored
    ]
    return Section(
        "Quality scores", [*pictures, Table("Kept by score", ("set", "kept", "dropped", "kept of all"), rows)]
    )


def _duplicates(sets: dict[str, SetStatistics]) -> Section:
    found = {name: one.duplicates for name, one in sets.items() if one.duplicates is not None}
    if not found:
        return Section("Near duplicates", [])
    rows: list[list[Cell]] = [[name, one.clusters, one.documents, one.largest] for name, one in found.items()]
    blocks: list[Block] = [Table("Clusters", ("set", "clusters", "documents in them", "largest"), rows)]
    for name, one in found.items():
        sizes = sorted(one.by_size.items())
        by_size: list[list[Cell]] = [[size, count] for size, count in sizes[:MAX_SIZES]]
        if rest := sum(count for _, count in sizes[MAX_SIZES:]):
            by_size.append([f"{sizes[MAX_SIZES][0]:,} and more", rest])
        if by_size:
            blocks.append(Table(f"{name}, by size", ("documents in a cluster", "clusters"), by_size))
    return Section("Near duplicates", blocks)


def _contamination(sets: dict[str, SetStatistics]) -> Section:
    found = {name: one.contamination for name, one in sets.items() if one.contamination is not None}
    if not found:
        return Section("Contamination", [])
    measures = {
        "word n-grams of the tests searched": "grams_searched",
        "of them found": "grams_found",
        "of them too frequent to count": "grams_ignored",
        "documents split": "documents_split",
        "documents dropped": "documents_dropped",
        "pieces they became": "pieces",
        "characters cut out": "characters_removed",
    }
    rows: list[list[Cell]] = [
        [label, *(getattr(one, field) for one in found.values())] for label, field in measures.items()
    ]
    blocks: list[Block] = [Table("Found and cut out", ("measure", *found), rows)]
    for name, one in found.items():
        tasks = [(task, count) for task, count in _largest_first(one.by_task) if count]
        by_task: list[list[Cell]] = [[task, count, Share(count, one.grams_found)] for task, count in tasks[:MAX_TASKS]]
        if by_task:
            blocks.append(Table(f"{name}, by task", ("task", "n-grams found", "of all found"), by_task))
    return Section("Contamination", blocks)


def _mixture(facts: Facts) -> Section:
    sets = facts.corpus.sets
    weighted = [one for one in sets if one.weight is not None]
    if not weighted:
        return Section("Mixture", [])
    characters, weights = sum(one.characters for one in sets), sum(one.weight or 0 for one in weighted)
    rows: list[list[Cell]] = []
    for one in sets:
        natural, share = _ratio(one.characters, characters), _ratio(one.weight or 0, weights)
        times = None if one.weight is None or not natural or share is None else share / natural
        rows.append([one.name, Share(one.characters, characters), one.weight, Share(one.weight or 0, weights), times])
    head = ("set", "of the characters", "weight", "of the training", "times as often")
    explained = "The last column tells how much more often a set is seen than if all were read alike."
    picture: Picture = draw_mixture(sets)
    return Section("Mixture", [picture, Table("Weights", head, rows), Text(explained)])


def _samples(facts: Facts) -> Iterator[Section]:
    for title, kept in (("Documents kept", True), ("Documents dropped", False)):
        chosen = [sample for sample in facts.samples if sample.kept is kept]
        number = f"{len(chosen)} of them, as they are." if len(chosen) != 1 else "One of them, as it is."
        yield Section(title, [Text(number), Samples(chosen)] if chosen else [])


def _by_set(ledger: Sequence[Step]) -> dict[str, list[Step]]:
    by_set: dict[str, list[Step]] = {}
    for step in ledger:
        by_set.setdefault(step.set, []).append(step)
    return by_set


def _largest_first(counts: Counts) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _mean(total: int, number: int) -> int | None:
    return round(total / number) if number else None


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
