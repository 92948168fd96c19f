"""From sources to documents: the first step of a build, and the only one that reads what strangers wrote."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gptrilogy.corpus.build.admission import Admission, Refusal
from gptrilogy.corpus.build.linked import LinkedUrls
from gptrilogy.corpus.build.parts import Writing
from gptrilogy.corpus.build.plan import Build
from gptrilogy.corpus.build.refused import Refused
from gptrilogy.corpus.build.tables import READ_COLUMNS, writing_table
from gptrilogy.corpus.build.watch import RECORD_SECONDS, Watch, watching
from gptrilogy.corpus.documents import Document, Loss, Page, Reason
from gptrilogy.corpus.readers.reading import read_pages

CRASH = Reason("crash", f"brought a worker down, or took more than {RECORD_SECONDS} seconds")


class Place(NamedTuple):
    """Where in its part a task is: reading record `record`, or making a document of it.

    As a number, for the watch: even while it reads, odd while it makes.
    """

    record: int
    making: bool

    def __int__(self) -> int:
        return 2 * self.record + self.making


def read_part(build: Build, number: int, writing: Writing) -> None:
    """Read the files of one part, and write its documents and what was refused."""
    admission = admission_of(build, number)
    with ExitStack() as stack:
        refused = stack.enter_context(Refused.writing(build, build.plan.parts[number].set, writing.folder))
        table = stack.enter_context(writing_table(writing.folder / "documents.parquet", READ_COLUMNS))
        watch = stack.enter_context(watching(build.work / "read", number))
        for place, page in records(build, number, watch):
            if isinstance(page, Loss):
                refused.add("read", page.reason, id=page.id, url=page.url)
                continue
            watch.begin(int(place))
            outcome = Refusal("extract", CRASH) if _brings_down(build, number, place, watch) else admission.admit(page)
            passed = admission.steps_before(outcome.step) if isinstance(outcome, Refusal) else admission.steps
            for step in passed:
                refused.ledger.kept(step)
            if isinstance(outcome, Refusal):
                refused.add(outcome.step, outcome.reason, id=page.id, url=page.url, text=outcome.text)
            else:
                table.add(_row(outcome, page.url))
    writing.said |= {"documents": table.rows, "ledger": refused.ledger.rows(), "samples": refused.samples.rows()}


def admission_of(build: Build, number: int) -> Admission:
    settings = build.settings(number)
    linked = LinkedUrls(build) if settings.linked and build.plan.links else None
    return Admission(build.config, settings, linked)


def records(build: Build, number: int, watch: Watch) -> Iterator[tuple[Place, Page | Loss]]:
    """Every record of a part, with the place of making a document of it.

    Where reading one brings a worker down, the rest of its file is one loss.
    """
    record = 0
    for file in build.plan.parts[number].files:
        pages = read_pages(file, build.config.reading, text_field=build.config.text_field)
        while True:
            place = Place(record, making=False)
            watch.begin(int(place))
            if _brings_down(build, number, place, watch):
                yield place, Loss(id=file.name, source=file.source, reason=CRASH)
                record += 1
                break
            page = next(pages, None)
            if page is None:
                break
            yield Place(record, making=True), page if page.url.isascii() else replace(page, url=_encodable(page.url))
            record += 1


def _brings_down(build: Build, number: int, place: Place, watch: Watch) -> bool:
    """Whether a place at which an attempt ended before ends another process as well."""
    if int(place) not in watch.suspects:
        return False
    watch.pause()
    probe = [sys.executable, "-m", "gptrilogy.corpus.build.probe", str(build.out), str(number), str(int(place))]
    return subprocess.run(probe, capture_output=True, check=False).returncode != 0


def _row(document: Document, url: str) -> dict[str, Any]:
    return {
        "id": document.id,
        "url": url,
        "text": document.text,
        "meta": _as_json(document.meta),
        "language": document.meta["language"],
    }


def _as_json(meta: Mapping[str, Any]) -> str:
    """Fields as strict JSON; NaN, infinities and halves of characters, which Python reads, are null and `?`."""
    try:
        text = json.dumps(meta, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except ValueError:
        text = _as_json(json.loads(json.dumps(meta), parse_constant=lambda _: None))
    return _encodable(text)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def take_census(build: Build, number: int, writing: Writing) -> None:
    """How many documents each part has, for the steps that count through all of them."""
    del number
    writing.array("documents", np.array([part.done["documents"] for part in build.parts("read")], np.int64))
