"""The ledger: what the three papers print, as data, each number with its place and how far it is certain."""
