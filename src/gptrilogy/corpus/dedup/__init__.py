"""Near copies of documents: found by MinHash, proved by their exact overlap, and which of them is kept."""
