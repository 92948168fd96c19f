"""A tree of texts in one row: each token has the state that it has in its own text, read by itself."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptrilogy.errors import PromptError
from gptrilogy.models import branches
from gptrilogy.models.branches import Branches, Path
from tree_models import KINDS, beginnings, hidden_of, model_of

Text = tuple[int, ...]

TEXTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=8)


def read(kind: str, path: Path, nodes: Sequence[Text]) -> None:
    """One pass over some beginnings, in their order; each has to be followed or to be on the path already."""
    model = model_of(kind)
    number = {node: place for place, node in enumerate(nodes)}
    parents = np.array([number.get(node[:-1], -1) for node in nodes])
    positions = np.array([len(node) - 1 for node in nodes])
    with torch.inference_mode():
        found = model.hidden(torch.tensor([[node[-1] for node in nodes]]), Branches(path, positions, parents))[0]
    expected = torch.stack([hidden_of(kind, node) for node in nodes])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert path.length == len(nodes[-1])


def empty_path(kind: str) -> Path:
    return Path(KINDS[kind], like=model_of(kind).wte.weight)


@settings(max_examples=20)
@given(kind=st.sampled_from([*KINDS]), texts=TEXTS)
def test_each_token_sees_its_own_text_and_no_other(kind: str, texts: list[Text]) -> None:
    read(kind, empty_path(kind), beginnings(texts))


@settings(max_examples=20)
@given(kind=st.sampled_from([*KINDS]), texts=TEXTS, size=st.integers(1, 7))
def test_a_walk_may_be_cut_into_passes_anywhere(kind: str, texts: list[Text], size: int) -> None:
    nodes = beginnings(texts)
    path = empty_path(kind)
    for start in range(0, len(nodes), size):
        read(kind, path, nodes[start : start + size])


@settings(max_examples=15)
@given(first=st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), texts=TEXTS)
def test_branches_depart_from_a_path_that_was_read_before(first: Text, texts: list[Text]) -> None:
    path = empty_path("gpt3")
    read("gpt3", path, beginnings([first]))
    known = set(beginnings([first]))
    if new := [node for node in beginnings(texts) if node not in known]:
        read("gpt3", path, new)


@pytest.mark.parametrize("block", [1, 2, 5])
@pytest.mark.parametrize("kind", ["gpt2", "fixed"])
def test_scores_of_any_number_of_queries_may_be_in_memory(
    kind: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "BLOCK", block)
    read(kind, empty_path(kind), beginnings([(0, 1, 2, 0, 1), (0, 1, 0, 0), (0, 2, 2, 2, 2, 1), (1, 1, 1)]))


def test_afterwards_the_path_is_that_of_the_last_token() -> None:
    tree, alone = empty_path("gpt2"), empty_path("gpt2")
    read("gpt2", tree, beginnings([(0, 1, 2), (0, 2, 1, 1, 0), (2, 0)]))
    read("gpt2", alone, beginnings([(2, 0)]))
    for one, other in zip((*tree.keys, *tree.values), (*alone.keys, *alone.values), strict=True):
        torch.testing.assert_close(one[:, :2], other[:, :2], atol=1e-6, rtol=1e-6)


def test_a_token_beyond_the_context_is_refused_before_anything_is_computed() -> None:
    path = empty_path("gpt2")
    ids, positions = torch.zeros(1, 13, dtype=torch.long), np.arange(13)
    with pytest.raises(PromptError, match="13 tokens are more than the model's context of 12"):
        model_of("gpt2").hidden(ids, Branches(path, positions, positions - 1))
    assert path.length == 0


def test_what_departs_from_beyond_the_path_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="beyond the path's end"):
        Branches(empty_path("gpt2"), np.array([1]), np.array([-1]))


def test_a_pass_of_many_tokens_takes_memory_in_proportion() -> None:
    n = 20_000  # whose square is 400 MB
    positions = np.arange(n) % 12
    parents = np.where(positions == 0, -1, np.arange(n) - 1)
    tracemalloc.start()
    Branches(empty_path("gpt2"), positions, parents)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8e6
