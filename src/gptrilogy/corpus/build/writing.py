"""The last pass over the texts: what stays becomes the corpus, with counts of it for the card."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from gptrilogy.corpus.build.cleaning import tests_of
from gptrilogy.corpus.build.duplicates import losers_of, used_steps
from gptrilogy.corpus.build.parts import Writing
from gptrilogy.corpus.build.plan import Build, parts_and_rows
from gptrilogy.corpus.build.refused import Refused
from gptrilogy.corpus.build.samples import Samples
from gptrilogy.corpus.build.tables import COLUMNS, Table, numbered, read_table, writing_table
from gptrilogy.corpus.decontamination import Cleaned, split_each
from gptrilogy.corpus.documents import Reason
from gptrilogy.corpus.urls import domain_of

DUPLICATE = {"url": "same URL", "exact": "same text", "near": "near duplicate"}
TOP_DOMAINS = 1_000  # a part's, so that the count of a long part stays small
LENGTH_EDGES = [0, *(2**power for power in range(5, 28))]  # characters; no text is longer than the last


class _Fates:
    """What the steps between reading and writing decided of each row of a part."""

    def __init__(self, build: Build, number: int) -> None:
        part = build.part("score", number)
        self.kept, self.scores = part.array("kept"), part.array("scores")
        self.lost: dict[int, tuple[str, int, bool]] = {}
        for step in used_steps(build):
            losers = losers_of(build, step, number)
            rows, winners = parts_and_rows(losers["doc"])[1], parts_and_rows(losers["winner"])[0]
            for row, winner, other in zip(rows.tolist(), winners.tolist(), losers["other"].tolist(), strict=True):
                self.lost[row] = (step, winner, bool(other))
        self.build = build

    def reason(self, row: int) -> tuple[str, Reason] | None:
        """Why a row that quality kept is dropped as a copy."""
        if row not in self.lost:
            return None
        step, part, other = self.lost[row]
        winner_set = self.build.plan.parts[part].set
        name = f"in {winner_set}" if other else DUPLICATE[step]
        return step, Reason(name, f"another document of {winner_set} is kept")


def write_part(build: Build, number: int, writing: Writing) -> None:
    """Write the documents of one part that stay, cut where they share text with a test."""
    name = build.plan.parts[number].set
    steps = used_steps(build)
    with ExitStack() as stack:
        refused = stack.enter_context(Refused.writing(build, name, writing.folder))
        table = stack.enter_context(writing_table(writing.folder / "documents.parquet", COLUMNS))
        written = _Written(build, name, table)
        path = build.part("read", number).verified("documents.parquet")
        fates = _Fates(build, number)
        cleaner = _Cleaner(build, number, refused, written) if build.config.against else None
        for first, batch in numbered(read_table(path)):
            alive = _alive(first, batch, fates, steps, refused)
            for row, pieces in cleaner.clean(list(alive)) if cleaner else ((row, [row["text"]]) for _, row in alive):
                written.add(row, pieces)
    writing.said |= {"ledger": refused.ledger.rows(), "samples": refused.samples.rows() + written.samples.rows()}
    writing.said |= {"documents": table.rows, "sources": written.sources, "statistics": written.statistics()}


def _alive(
    first: int, batch: list[dict[str, Any]], fates: _Fates, steps: list[str], refused: Refused
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows, with their places, that no earlier step dropped, each counted at every step that it comes to."""
    for place, row in enumerate(batch, first):
        if not fates.kept[place]:
            continue  # counted when it was scored
        fate = fates.reason(place)
        for step in steps:
            if fate and fate[0] == step:
                refused.add(step, fate[1], id=row["id"], url=row["url"], text=row["text"])
                break
            refused.ledger.kept(step)
        else:
            score = float(fates.scores[place])
            yield place, {**row, "score": score if np.isfinite(score) else None}


class _Cleaner:
    """Cuts documents where they share text with a test; the search has told which ones have any."""

    def __init__(self, build: Build, number: int, refused: Refused, written: "_Written") -> None:
        self.shares = build.part("grams", number).array("shares")
        self.config = build.config.decontamination
        self.grams = tests_of(build)
        self.ignored = build.part("common", 0).array("ignored")
        self.refused = refused
        self.written = written

    def clean(self, rows: list[tuple[int, dict[str, Any]]]) -> Iterator[tuple[dict[str, Any], list[str]]]:
        shared = (row["text"] for place, row in rows if self.shares[place])
        outcomes = split_each(shared, self.grams, self.ignored, self.config)
        for place, row in rows:
            outcome = next(outcomes) if self.shares[place] else None
            if isinstance(outcome, Reason):
                self.written.contamination["documents_dropped"] += 1
                self.refused.add("decontaminate", outcome, id=row["id"], url=row["url"], text=row["text"])
                continue
            self.refused.ledger.kept("decontaminate")
            if outcome and outcome.grams:
                self._count(outcome)
                yield row, [row["text"][start:end] for start, end in outcome.pieces]
            else:
                yield row, [row["text"]]

    def _count(self, cleaned: Cleaned) -> None:
        counts = self.written.contamination
        counts["documents_split"] += 1
        counts["pieces"] += len(cleaned.pieces)
        counts["characters_removed"] += cleaned.removed_chars
        for task, count in self.grams.by_task(np.array(cleaned.grams, np.int64)).items():
            self.written.by_task[task] += count


class _Written:
    """The documents of a part as they are written, and what is counted of them."""

    def __init__(self, build: Build, name: str, table: Table) -> None:
        self.set = name
        self.table = table
        self.sources = 0  # documents, of which one may be written in several pieces
        self.samples = Samples(build.config.seed)
        self.contamination: Counter[str] = Counter()
        self.by_task: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._domains: Counter[str] = Counter()
        self._lengths = [0] * (len(LENGTH_EDGES) - 1)
        self._characters = self._bytes = 0

    def add(self, row: Mapping[str, Any], pieces: list[str]) -> None:
        meta = json.loads(row["meta"])
        if row["score"] is not None:
            meta["score"] = round(row["score"], 6)
        for number, text in enumerate(pieces):
            piece = {"piece": number} if len(pieces) > 1 else {}
            id_ = f"{row['id']}#{number}" if piece else row["id"]
            stored = json.dumps({**meta, **piece}, ensure_ascii=False, sort_keys=True)
            self.table.add({"id": id_, "url": row["url"], "set": self.set, "text": text, "meta": stored})
            self._lengths[bisect_right(LENGTH_EDGES, len(text), hi=len(LENGTH_EDGES) - 1) - 1] += 1
            self._characters += len(text)
            self._bytes += len(text.encode())
        self.sources += 1
        self._languages[row["language"]] += 1
        if row["url"]:
            self._domains[domain_of(row["url"])] += 1
        self.samples.offer(
            row["id"], set=self.set, kept=True, step="", reason="", detail="", url=row["url"], text=pieces[0]
        )

    def statistics(self) -> dict[str, Any]:
        return {
            "characters": self._characters,
            "bytes": self._bytes,
            "languages": dict(self._languages),
            "domains": most_frequent(self._domains, TOP_DOMAINS),
            "lengths": self._lengths,
            "contamination": dict(self.contamination),
            "by_task": dict(self.by_task),
        }


def most_frequent(counts: Mapping[str, int], limit: int | None = None) -> dict[str, int]:
    """Counts from the largest down, those that are equal by name, so that the order in which they came is forgotten.

    >>> most_frequent({"b": 1, "a": 1, "c": 2}, 2)
    {'c': 2, 'a': 1}
    """
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit])
