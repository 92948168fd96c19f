"""Of documents with one key the rule keeps one; what another set has goes; and what a whole cluster's fate is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gptrilogy.corpus.build.duplicates import cluster_losers, same_key_losers
from gptrilogy.corpus.build.scoring import KEY, RANK
from gptrilogy.corpus.dedup.components import connected_components

WEB, BOOKS, CRAWL = 0, 1, 2
APART = np.eye(3, dtype=np.bool_)
WITHOUT_WEB = APART.copy()
WITHOUT_WEB[CRAWL, WEB] = True


def rows(*documents: tuple[int, int, int, int]) -> np.ndarray:
    """(key, characters, draw, set), numbered in their order."""
    table = np.zeros(len(documents), KEY)
    for number, (key, characters, draw, set_) in enumerate(documents):
        table[number] = (key, number, characters, draw, set_)
    return table


def fates(table: np.ndarray, gives_way: np.ndarray, *, texts: bool = False) -> dict[int, tuple[int, bool]]:
    losers = same_key_losers(table, gives_way, texts=texts)
    return {int(row["doc"]): (int(row["winner"]), bool(row["other"])) for row in losers}


def test_the_longest_document_of_a_url_stays() -> None:
    table = rows((5, 100, 1, WEB), (5, 300, 9, WEB), (5, 200, 0, WEB), (6, 10, 0, WEB))
    assert fates(table, APART) == {0: (1, False), 2: (1, False)}


def test_of_equally_long_ones_the_smaller_draw_stays() -> None:
    assert fates(rows((5, 100, 7, WEB), (5, 100, 3, WEB)), APART) == {0: (1, False)}


def test_sets_do_not_take_from_each_other_unless_told() -> None:
    table = rows((5, 100, 1, WEB), (5, 900, 1, CRAWL), (5, 800, 1, CRAWL))
    assert fates(table, APART) == {2: (1, False)}
    assert fates(table, WITHOUT_WEB) == {1: (0, True), 2: (0, True)}


def test_texts_of_one_key_and_different_lengths_are_different() -> None:
    table = rows((5, 100, 1, WEB), (5, 101, 1, WEB))
    assert fates(table, APART, texts=True) == {}
    assert fates(table, APART) == {0: (1, False)}


def test_nothing_comes_of_nothing() -> None:
    assert fates(rows(), WITHOUT_WEB) == {}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 2)), max_size=20),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_the_rule_is_what_it_says_in_any_order(
    documents: list[tuple[int, int, int, int]], texts: bool, shuffler: object
) -> None:
    table = rows(*documents)
    assert fates(table, WITHOUT_WEB, texts=texts) == slowly(table, texts=texts)
    order = list(range(len(table)))
    shuffler.shuffle(order)  # pyright: ignore[reportAttributeAccessIssue] - hypothesis's Random
    assert fates(table[order], WITHOUT_WEB, texts=texts) == slowly(table, texts=texts)


def slowly(table: np.ndarray, *, texts: bool) -> dict[int, tuple[int, bool]]:
    """The rule by its definition."""

    def best(candidates: list[np.void]) -> int:
        return int(min(candidates, key=lambda row: (-int(row["characters"]), row["draw"], row["doc"]))["doc"])

    lost: dict[int, tuple[int, bool]] = {}
    for row in table:
        same = [r for r in table if r["key"] == row["key"] and (not texts or r["characters"] == row["characters"])]
        of_web = [r for r in same if r["set"] == WEB]
        if row["set"] == CRAWL and of_web:
            lost[int(row["doc"])] = (best(of_web), True)
        elif (winner := best([r for r in same if r["set"] == row["set"]])) != row["doc"]:
            lost[int(row["doc"])] = (winner, False)
    return lost


def clusters(
    within: list[tuple[int, int]], across: list[tuple[int, int]], lengths: dict[int, int]
) -> dict[int, tuple[int, bool]]:
    pairs = np.array(within, np.uint64).reshape(-1, 2)
    outside = np.array(across, np.uint64).reshape(-1, 2)
    docs, labels = connected_components(np.concatenate([pairs, outside[:, [0, 0]]]))
    ranks = np.array([(lengths[int(doc)], 0) for doc in docs], RANK)
    losers = cluster_losers(docs, labels, ranks, outside)
    return {int(row["doc"]): (int(row["winner"]), bool(row["other"])) for row in losers}


def test_the_longest_document_of_a_cluster_stays() -> None:
    fate = clusters([(1, 2), (2, 3), (7, 8)], [], {1: 10, 2: 20, 3: 30, 7: 6, 8: 5})
    assert fate == {1: (3, False), 2: (3, False), 8: (7, False)}


def test_a_cluster_of_which_another_set_has_one_goes_whole() -> None:
    fate = clusters([(1, 2), (2, 3), (7, 8)], [(2, 90), (5, 91)], {1: 10, 2: 20, 3: 30, 5: 1, 7: 6, 8: 5})
    assert fate == {1: (90, True), 2: (90, True), 3: (90, True), 5: (91, True), 8: (7, False)}


def test_without_pairs_nothing_is_lost() -> None:
    assert clusters([], [], {}) == {}
