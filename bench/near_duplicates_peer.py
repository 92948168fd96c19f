"""Signatures and buckets by datasketch, in an interpreter that has it: FILE.npz HASHES BANDS ROWS -> JSON on stdout.

It gets each document's features as a list of numbers ready for its hash functions, and shares these among documents.
"""

import json
import sys
import time
from importlib.metadata import version
from itertools import pairwise

import numpy as np
from datasketch import MinHash, MinHashLSH  # pyright: ignore[reportMissingImports] - the peer's interpreter has it


def main(path: str, n_hashes: int, bands: int, rows: int) -> dict[str, object]:
    with np.load(path) as arrays:
        flat, offsets = arrays["flat"], arrays["offsets"].tolist()
    documents = [flat[start:end].tolist() for start, end in pairwise(offsets)]
    first = MinHash(num_perm=n_hashes, hashfunc=int)
    start = time.process_time()
    hashes = []
    for document in documents:
        one = MinHash(num_perm=n_hashes, hashfunc=int, permutations=first.permutations, scheme=first.scheme)
        one.update_batch(document)
        hashes.append(one)
    signature_s = time.process_time() - start
    start = time.process_time()
    index = MinHashLSH(num_perm=n_hashes, params=(bands, rows))
    for number, one in enumerate(hashes):
        index.insert(number, one)
    n_pairs = sum(len(index.query(one)) - 1 for one in hashes) // 2
    join_s = time.process_time() - start
    return {"version": version("datasketch"), "signature_s": signature_s, "join_s": join_s, "n_pairs": n_pairs}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:5]))))
