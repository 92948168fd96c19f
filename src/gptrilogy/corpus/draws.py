"""Chance by a document's id alone, so that neither order nor machine nor company changes what it meets."""

import hashlib


def draw(purpose: str, document_id: str, seed: int) -> int:
    """One of 2^64 equally likely numbers; another purpose draws independently.

    >>> draw("keep", "emma.txt", seed=1) == draw("keep", "emma.txt", seed=1)
    True
    >>> draw("keep", "emma.txt", seed=1) == draw("sample", "emma.txt", seed=1)
    False
    """
    content = document_id.encode("utf-8", "surrogatepass")
    salt = seed.to_bytes(16, "little", signed=True)
    return int.from_bytes(
        hashlib.blake2b(content, digest_size=8, salt=salt, person=purpose.encode()).digest(), "little"
    )
