"""`python -m gptrilogy.corpus.build.probe OUT PART PLACE`: does what brought a worker down do so again?

It repeats the reading of the part up to that place, and the making of the one document, and writes nothing. The time
that each record may take is the same, and how far into its part the place is does not count.
"""

import os
import sys
from pathlib import Path

from gptrilogy.corpus.build.plan import open_build
from gptrilogy.corpus.build.reading import admission_of, records
from gptrilogy.corpus.build.watch import Watch
from gptrilogy.corpus.documents import Page


def probe(out: str, number: int, place: int) -> None:
    build = open_build(out)
    watch = Watch(Path(os.devnull), frozenset())
    for making, page in records(build, number, watch):
        if int(making) >= place:
            if int(making) == place and isinstance(page, Page):
                watch.begin(place)
                admission_of(build, number).admit(page)
            return


if __name__ == "__main__":
    probe(str(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
