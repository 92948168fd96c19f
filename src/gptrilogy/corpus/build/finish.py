"""The end of a build: outputs under their names, counts added up and checked, and one file that vouches for all."""

import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gptrilogy.corpus.build.cleaning import tests_of
from gptrilogy.corpus.build.ledger import Row, added, check
from gptrilogy.corpus.build.linked import LINKS, linked_urls, n_link_slices
from gptrilogy.corpus.build.parts import Part
from gptrilogy.corpus.build.plan import Build, plan_digest
from gptrilogy.corpus.build.refused import DROPPED
from gptrilogy.corpus.build.samples import merged
from gptrilogy.corpus.build.writing import LENGTH_EDGES, TOP_DOMAINS, most_frequent
from gptrilogy.corpus.documents import CORPUS
from gptrilogy.files import flush, replacing, sha256_file, write_atomic, write_json

SCORE_EDGES = [place / 20 for place in range(21)]


def finish(build: Build, on_note: Callable[[str], None]) -> dict[str, Any]:
    """Give the outputs their names, write the counts, then `corpus.json`, and remove the working folder.

    Raises: DataError where the counts do not add up.
    """
    on_note("adding up")
    sets = [_publish_set(build, name) for name in build.sets]
    for entry in sets:
        if not entry["documents"]:
            on_note(_why_nothing(build, entry["name"]))
    _publish_dropped(build)
    _publish_aside(build)
    rows = _ledger(build)
    check(rows, {entry["name"]: entry.pop("sources") for entry in sets})
    write_json(build.out / "ledger.json", rows)
    write_json(build.out / "statistics.json", {"sets": {name: _statistics(build, name) for name in build.sets}})
    _write_samples(build)
    corpus = {
        "version": 1,
        "recipe": build.config.recipe,
        "plan": plan_digest(build.plan),
        "config": build.config.model_dump(mode="json"),
        "sets": sets,
    }
    write_atomic(build.out / CORPUS, json.dumps(corpus, indent=2).encode("ascii"))  # paths are any bytes
    shutil.rmtree(build.work)
    return corpus


def _why_nothing(build: Build, name: str) -> str:
    """A line on a set of which nothing was kept."""
    reasons: Counter[str] = Counter()
    for row in _ledger(build):
        if row["set"] == name:
            reasons.update(row["dropped"])
    most = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(3)) or "its sources hold none"
    return f"warning: no document of the set {name} was kept: {most}"


def damaged_files(out: Path, corpus: Mapping[str, Any]) -> list[Path]:
    """The documents' files that are missing or not as they were written."""
    return [
        out / file["file"]
        for entry in corpus["sets"]
        for file in entry["files"]
        if not (out / file["file"]).is_file() or sha256_file(out / file["file"]) != file["sha256"]
    ]


def _parts_of(build: Build, name: str, step: str) -> Iterator[Part]:
    return (part for part in build.parts(step) if build.plan.parts[part.number].set == name)


def _publish_set(build: Build, name: str) -> dict[str, Any]:
    files: list[dict[str, Any]] = []
    totals: Counter[str] = Counter()
    for place, part in enumerate(_parts_of(build, name, "write")):
        path = Path("documents") / name / f"part-{place:05d}.parquet"
        _publish(part.verified("documents.parquet"), build.out / path)
        size, digest = part.done["files"]["documents.parquet"]
        files.append({"file": str(path), "documents": part.done["documents"], "bytes": size, "sha256": digest})
        counted = part.done["statistics"]
        totals.update(documents=part.done["documents"], sources=part.done["sources"])
        totals.update(characters=counted["characters"], bytes=counted["bytes"])
    weight = build.config.sets[name].weight
    return {"name": name, **totals, "weight": weight, "files": files}


def _publish_dropped(build: Build) -> None:
    if not build.config.keep_dropped:
        return
    for name in build.sets:
        for step in ("read", "score", "write"):
            for place, part in enumerate(_parts_of(build, name, step)):
                path = build.out / "dropped" / name / f"part-{place:05d}-{step}.parquet"
                _publish(part.verified(DROPPED), path)


def _publish_aside(build: Build) -> None:
    """The classifier, and the list of URLs that a crawler is to fetch."""
    if build.config.classifies:
        trained = build.part("classifier", 0)
        for name in trained.done["files"]:
            _publish(trained.verified(name), build.out / name)
    if build.plan.links:
        (build.out / "links").mkdir(exist_ok=True)
        with replacing(build.out / "links" / "urls.txt") as temporary, temporary.open("w", encoding="ascii") as file:
            file.writelines(f"{url}\n" for url in linked_urls(build))


def _publish(source: Path, path: Path) -> None:
    """A second name for a file, or a copy where the disk gives no second names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)
        flush(path)
    flush(path.parent)


def _ledger(build: Build) -> list[Row]:
    counted = {"links": len(build.plan.links), "unique-links": n_link_slices(build) if build.plan.links else 0}
    rows = [
        row
        for step in ("links", "unique-links", "read", "score", "write")
        for part in build.parts(step, counted.get(step))
        for row in part.done["ledger"]
    ]
    return added(rows, [LINKS, *build.sets])


def _write_samples(build: Build) -> None:
    kept, dropped = (merged(_samples(build, kept=kept), build.config.seed) for kept in (True, False))
    lines = [json.dumps(sample, ensure_ascii=False) for sample in [*kept, *dropped]]
    write_atomic(build.out / "samples.jsonl", "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))


def _samples(build: Build, *, kept: bool) -> Iterator[Mapping[str, Any]]:
    parts = (part for step in ("read", "score", "write") for part in build.parts(step))
    return (sample for part in parts for sample in part.done["samples"] if sample["kept"] == kept)


def _statistics(build: Build, name: str) -> dict[str, Any]:
    """What the parts of a set counted, added up."""
    sums: defaultdict[str, Counter[Any]] = defaultdict(Counter)
    lengths = [0] * (len(LENGTH_EDGES) - 1)
    for part in _parts_of(build, name, "write"):
        counted = part.done["statistics"]
        for key in ("languages", "domains", "contamination", "by_task"):
            sums[key].update(counted[key])
        lengths = [a + b for a, b in zip(lengths, counted["lengths"], strict=True)]
    return {
        "languages": most_frequent(sums["languages"]),
        "domains": most_frequent(sums["domains"], TOP_DOMAINS),
        "characters_histogram": {"edges": LENGTH_EDGES, "counts": lengths},
        "scores": _scores(build, name),
        "duplicates": _duplicates(build, name),
        "contamination": _contamination(build, sums) if build.config.against else None,
    }


def _scores(build: Build, name: str) -> dict[str, Any] | None:
    found = [part.done["scores"] for part in _parts_of(build, name, "score") if "scores" in part.done]
    if not found:
        return None
    added_up = {
        key: [sum(column) for column in zip(*(scores[key] for scores in found), strict=True)] for key in found[0]
    }
    return {"edges": SCORE_EDGES, **added_up}


def _duplicates(build: Build, name: str) -> dict[str, Any] | None:
    if not build.config.near:
        return None
    sizes = {
        int(size): count for size, count in build.part("clusters", 0).done["clusters"][name].items() if int(size) > 1
    }
    return {
        "clusters": sum(sizes.values()),
        "documents": sum(size * count for size, count in sizes.items()),
        "largest": max(sizes, default=0),
        "by_size": {str(size): sizes[size] for size in sorted(sizes)},
    }


def _contamination(build: Build, sums: Mapping[str, Counter[Any]]) -> dict[str, Any]:
    common = build.part("common", 0).done
    cut = sums["contamination"]
    names = ("documents_split", "documents_dropped", "pieces", "characters_removed")
    return {
        "grams_searched": len(tests_of(build)),
        "grams_found": common["grams_found"],
        "grams_ignored": common["grams_ignored"],
        **{name: cut[name] for name in names},
        "by_task": most_frequent(sums["by_task"]),
    }
