"""Scores of given continuations: what they are, that company does not change them, and which tokens they are of."""

import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from endless_tokenizer import EndlessTokenizer
from gptrilogy.errors import PromptError
from gptrilogy.generation import scoring
from gptrilogy.generation.scoring import (
    ALIGN,
    TOKENS,
    Score,
    encode_pairs,
    first_id,
    rolling_windows,
    score_pairs,
    score_reference,
)
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import ByteLevelBPE, BytesTokenizer, train_byte_bpe

Pair = tuple[list[int], list[int]]


def pairs_of(model: GPT, n: int, seed: int = 0) -> list[Pair]:
    """Random pairs of every length that the context can take."""
    rng = random.Random(seed)
    pairs: list[Pair] = []
    for _ in range(n):
        ids = rng.choices(range(model.config.n_vocab), k=rng.randint(2, model.config.n_ctx + 1))
        cut = rng.randint(1, len(ids) - 1)
        pairs.append((ids[:cut], ids[cut:]))
    return pairs


@torch.inference_mode()
def greedily(model: GPT, context: Sequence[int], n: int) -> list[int]:
    ids = list(context)
    for _ in range(n):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(context) :]


@pytest.fixture(scope="module")
def aligned() -> GPT:
    """A model whose context is a multiple of what texts are padded to."""
    config = GPTConfig(n_vocab=61, n_ctx=4 * ALIGN, n_embd=32, n_head=2, n_layer=2, init_std=0.3)
    return GPT(config, torch.Generator().manual_seed(1)).eval()


# What a score is.


def test_scores_are_those_of_whole_logits(model: GPT) -> None:
    pairs = pairs_of(model, 60)
    expected = [score_reference(model, *pair) for pair in pairs]
    found = score_pairs(model, pairs)
    assert [score.nats for score in found] == pytest.approx([score.nats for score in expected], abs=1e-4)
    assert [score.greedy for score in found] == [score.greedy for score in expected]


def test_greedy_decoding_is_recognised_and_one_other_token_is_not(model: GPT) -> None:
    context = [3, 1, 4]
    likeliest = greedily(model, context, 6)
    for place in range(6):
        other = [*likeliest]
        other[place] = (other[place] + 1) % 257
        assert [score.greedy for score in score_pairs(model, [(context, likeliest), (context, other)])] == [True, False]


def test_a_continuation_of_no_tokens_is_certain(model: GPT) -> None:
    assert score_pairs(model, [([1], []), ([1], [2])])[0] == Score(0.0, greedy=True)
    assert score_pairs(model, []) == []


def test_logits_in_several_chunks_give_the_same_score(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of(model, 12)
    whole = score_pairs(model, pairs)
    for elements in (256, 3 * 257):  # less than one row of logits, and three rows
        monkeypatch.setattr(scoring, "CHUNK_ELEMENTS", elements)
        in_chunks = score_pairs(model, pairs)
        assert [score.nats for score in in_chunks] == pytest.approx([score.nats for score in whole], abs=1e-4)
    likeliest = greedily(model, [3, 1, 4], 7)
    almost = [
        (likeliest[0] + 1) % 257,
        *likeliest[1:3],
        *greedily(model, [3, 1, 4, likeliest[0] + 1, *likeliest[1:3]], 4),
    ]
    assert [score.greedy for score in score_pairs(model, [([3, 1, 4], likeliest), ([3, 1, 4], almost)])] == [
        True,
        False,
    ]


def test_only_scored_positions_are_projected(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    project = model.logits

    def counted(hidden: Tensor) -> Tensor:
        rows.append(len(hidden))
        return project(hidden)

    monkeypatch.setattr(model, "logits", counted)
    score_pairs(model, [([5] * 30, [1, 2]), ([7] * 20, [3])])
    assert sorted(rows) == [1, 2]


# Company.


@pytest.mark.parametrize("name", ["model", "aligned"])
def test_a_score_has_the_same_bits_alone_in_company_and_in_any_order(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    pairs = pairs_of(model, 80)
    together = score_pairs(model, pairs)
    assert [score_pairs(model, [pair])[0] for pair in pairs] == together
    order = random.Random(1).sample(range(80), k=80)
    shuffled = score_pairs(model, [pairs[index] for index in order])
    assert shuffled == [together[index] for index in order]


def test_scores_of_sparse_models_are_those_of_whole_logits_in_any_company(sparse_model: GPT) -> None:
    pairs = pairs_of(sparse_model, 40)
    together = score_pairs(sparse_model, pairs)
    expected = [score_reference(sparse_model, *pair) for pair in pairs]
    assert [score.nats for score in together] == pytest.approx([score.nats for score in expected], abs=1e-4)
    assert [score.greedy for score in together] == [score.greedy for score in expected]
    assert [score_pairs(sparse_model, [pair])[0] for pair in pairs] == together


def test_a_batch_size_keeps_bits_in_company_and_moves_them_little(aligned: GPT) -> None:
    pairs = pairs_of(aligned, 40)
    in_tens = score_pairs(aligned, pairs, batch_size=10)
    assert [score_pairs(aligned, [pair], batch_size=10)[0] for pair in pairs] == in_tens
    expected = [score.nats for score in score_pairs(aligned, pairs)]
    assert [score.nats for score in in_tens] == pytest.approx(expected, abs=1e-4)


@torch.inference_mode()
def test_padding_is_never_seen(aligned: GPT) -> None:
    text = torch.arange(1, 10)
    padded = [torch.cat([text, torch.full((23,), padding)])[None] for padding in (0, 60)]
    one, other = (aligned.hidden(ids)[0, :9] for ids in padded)
    assert torch.equal(one, other)


def test_texts_of_like_lengths_share_a_batch(aligned: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    run = aligned.hidden

    def seen(ids: Tensor) -> Tensor:
        shapes.append(tuple(ids.shape))
        return run(ids)

    monkeypatch.setattr(aligned, "hidden", seen)
    score_pairs(aligned, [([1] * n, [2]) for n in (1, 2, 9, 16, 17, 64)])
    assert shapes == [(TOKENS // 64, 64), (TOKENS // 32, 32), (TOKENS // 16, 16)]


def test_equal_inputs_run_once(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    question = [9] * 20
    expected = [score_pairs(model, [(question, [answer])])[0] for answer in range(65, 69)]
    runs: list[int] = []
    run = model.hidden

    def counted(ids: Tensor) -> Tensor:
        runs.append(int((ids[:, 0] == 9).sum()))
        return run(ids)

    monkeypatch.setattr(model, "hidden", counted)
    assert score_pairs(model, [(question, [answer]) for answer in range(65, 69)]) == expected
    assert sum(runs) == 1


def test_progress_counts_every_pair_once(model: GPT) -> None:
    pairs = [*pairs_of(model, 30), ([1, 2], [3]), ([1, 2], [4])]
    done: list[int] = []
    score_pairs(model, pairs, on_scored=done.append)
    assert sum(done) == 32
    assert len(done) > 1


# What does not fit.


def test_a_pair_may_use_the_whole_context_and_one_more_token(model: GPT) -> None:
    assert len(score_pairs(model, [([1] * 30, [2] * 8)])) == 1
    with pytest.raises(PromptError, match="have 39 tokens, the model can score 38; shorten the prompt"):
        score_pairs(model, [([1] * 30, [2] * 9)])


def test_a_truncated_pair_keeps_its_last_tokens(model: GPT) -> None:
    context = [token % 257 for token in range(100, 200)]
    (cut,) = score_pairs(model, [(context, [7] * 8)], truncate=True)
    assert cut == score_pairs(model, [(context[-30:], [7] * 8)])[0]


def test_a_continuation_needs_a_context_even_when_truncated(model: GPT) -> None:
    assert len(score_pairs(model, [([1, 2, 3], [2] * 37)], truncate=True)) == 1
    with pytest.raises(PromptError, match="an answer has 38 tokens, the model can score 37; shorten it"):
        score_pairs(model, [([1, 2, 3], [2] * 38)], truncate=True)
    with pytest.raises(PromptError, match="at least 1 token, got none"):
        score_pairs(model, [([], [2])])


# From text to pairs.


def test_white_space_that_ends_a_context_goes_to_the_continuation() -> None:
    tokenizer = train_byte_bpe(["the cat and the hat " * 9], n_vocab=280)
    (apart,) = encode_pairs(tokenizer, [("the", " cat")])
    assert encode_pairs(tokenizer, [("the ", "cat"), ("the", " cat")]) == [apart, apart]
    assert apart == (tokenizer.encode("the"), tokenizer.encode(" cat"))


@given(context=st.text(max_size=12), continuation=st.text(max_size=12))
@settings(max_examples=200)
def test_a_pair_of_bytes_is_the_text_itself(context: str, continuation: str) -> None:
    text = context + continuation
    ((before, after),) = encode_pairs(BytesTokenizer(), [(context, continuation)])
    assert bytes(token for token in [*before, *after] if token < 256).decode() == text
    assert (before == [256]) == (context.rstrip() == "")


def test_a_continuation_swallowed_by_the_context_is_refused() -> None:
    tokenizer = ByteLevelBPE([("h", "e"), ("he", "n"), ("hen", "s")])
    assert tokenizer.encode("hens") == [258]
    with pytest.raises(PromptError, match="'s' has no token of its own after 'hen'; begin it with a space"):
        encode_pairs(tokenizer, [("hen", "s")])
    assert encode_pairs(tokenizer, [("hen", "")]) == [(tokenizer.encode("hen"), [])]


@pytest.mark.parametrize("context", ["", "  \n"])
def test_a_context_without_tokens_begins_a_document(context: str) -> None:
    assert encode_pairs(BytesTokenizer(), [(context, "a")])[0][0] == [256]
    with pytest.raises(PromptError, match=r"endless has no token that begins a document.* give a prompt with words"):
        encode_pairs(EndlessTokenizer(), [(context, "a")])
    with pytest.raises(PromptError, match="endless has no token"):
        first_id(EndlessTokenizer())


# Windows.


@given(n=st.integers(0, 50), n_ctx=st.integers(1, 12))
def test_windows_score_each_token_once_with_all_the_context_there_is(n: int, n_ctx: int) -> None:
    ids = list(range(n))
    windows = list(rolling_windows(ids, 99, n_ctx))
    assert [token for _, scored in windows for token in scored] == ids
    for context, scored in windows:
        before = [99, *ids][: scored[0] + 1]
        assert context
        assert list(context) == before[-len(context) :]
        assert len(context) + len(scored) == min(n_ctx, n) + 1


@pytest.mark.parametrize("stride", [-1, 0, 5])
def test_a_stride_that_leaves_tokens_out_is_refused(stride: int) -> None:
    with pytest.raises(PromptError, match=rf"stride must lie in 1..4, the model's context, got {stride}"):
        list(rolling_windows(list(range(9)), 99, 4, stride))


def test_windows_are_those_of_the_harness() -> None:
    from lm_eval import utils as harness

    for n in range(30):
        for n_ctx in range(1, 9):
            theirs = harness.get_rolling_token_windows(
                token_list=list(range(n)), prefix_token=99, max_seq_len=n_ctx, context_len=1
            )
            expected = [harness.make_disjoint_window(window) for window in theirs]
            assert list(rolling_windows(list(range(n)), 99, n_ctx)) == expected
