"""The promise of the engine: a stream's tokens, and the scores behind them to the bit, are a function of itself."""

import copy
import random
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from gptrilogy.errors import PromptError
from gptrilogy.generation import engine as engine_module
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.engine import MAX_LIVE, Engine, Stream
from gptrilogy.generation.native_model import native_model
from gptrilogy.generation.sampling import choose
from gptrilogy.models import GPT, GPTConfig

Recipe = Callable[[], Stream]
GREEDY, WARM = Sampling(temperature=0), Sampling(temperature=0.9, top_p=0.95)


def decode(model: GPT, streams: Sequence[Stream], eot_id: int | None = None) -> list[list[int]]:
    engine = Engine(model, eot_id=eot_id)
    for stream in streams:
        engine.add(stream)
    while engine.step():
        pass
    return [stream.ids for stream in streams]


def without(_model: GPT) -> None:
    """What `native_model` finds where there is no compiler."""


def mixed_streams(count: int, sampling: Sampling) -> list[Stream]:
    """Streams of many prompts and lengths, a third of them further samples of the prompt before."""
    draws = random.Random(1)
    streams: list[Stream] = []
    for index in range(count):
        prompt = tuple(draws.randrange(257) for _ in range(draws.randint(1, 30)))
        if index % 3 == 2:
            prompt = streams[-1].prompt
        streams.append(Stream(prompt, draws.randint(1, 7), sampling, seed=5, sample=index))
    return streams


@pytest.fixture(scope="module")
def alone(model: GPT) -> Callable[[Sampling], list[list[int]]]:
    """The tokens of `mixed_streams(70)`, each decoded in an engine of its own."""
    found: dict[str, list[list[int]]] = {}

    def tokens(sampling: Sampling) -> list[list[int]]:
        if repr(sampling) not in found:
            found[repr(sampling)] = [decode(model, [stream])[0] for stream in mixed_streams(70, sampling)]
        return found[repr(sampling)]

    return tokens


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "sampled"])
@pytest.mark.parametrize("count", [1, 3, 5, 9, 33, 70])
def test_tokens_are_the_same_alone_and_in_company(
    model: GPT, alone: Callable[[Sampling], list[list[int]]], sampling: Sampling, count: int
) -> None:
    assert decode(model, mixed_streams(count, sampling)) == alone(sampling)[:count]


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "sampled"])
def test_the_order_of_the_prompts_changes_nothing(
    model: GPT, alone: Callable[[Sampling], list[list[int]]], sampling: Sampling
) -> None:
    order = random.Random(2).sample(range(70), 70)
    streams = mixed_streams(70, sampling)
    decode(model, [streams[index] for index in order])
    assert [stream.ids for stream in streams] == alone(sampling)


def test_scores_are_the_same_alone_and_in_company_to_the_bit(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens seldom show a last bit, so the scores themselves are compared; a stream is known by its draws."""
    seen: dict[float, bytes] = {}

    def noting(logits: Tensor, sampling: Sampling, uniform: float) -> int:
        bits = logits.numpy().tobytes()
        assert seen.setdefault(uniform, bits) == bits
        return choose(logits, sampling, uniform)

    monkeypatch.setattr(engine_module, "choose", noting)
    decode(model, mixed_streams(70, WARM))
    n_scores = len(seen)
    for stream in mixed_streams(70, WARM)[::4]:
        decode(model, [stream])
    decode(model, mixed_streams(21, WARM))
    assert len(seen) == n_scores == sum(stream.max_tokens for stream in mixed_streams(70, WARM))


@torch.no_grad()
def decode_slowly(model: GPT, prompt: Sequence[int], max_tokens: int) -> list[int]:
    """Greedy, without a cache; past the context only the last half of it and the newest token are seen."""
    text, start, n_ctx = list(prompt), 0, model.config.n_ctx
    for _ in range(max_tokens):
        if len(text) - start > n_ctx:
            start = len(text) - 1 - n_ctx // 2
        text.append(int(model(torch.tensor([text[start:]]))[0, -1].argmax()))
    return text[len(prompt) :]


@pytest.mark.parametrize("native", ["on", "off"])
def test_decoding_equals_the_slow_obvious_way(model: GPT, native: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if native == "off":
        monkeypatch.setattr(engine_module, "native_model", without)
    streams = mixed_streams(20, GREEDY)
    assert decode(model, streams) == [decode_slowly(model, stream.prompt, stream.max_tokens) for stream in streams]


@pytest.mark.parametrize("n_ctx", [1, 2, 3, 8])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_text_slides_past_the_context(n_ctx: int, norm: str) -> None:
    config = GPTConfig(n_vocab=11, n_ctx=n_ctx, n_embd=8, n_head=2, n_layer=2, init_std=0.5).replace(norm=norm)
    model = GPT(config, torch.Generator().manual_seed(3))
    prompts = [tuple(range(length)) for length in range(1, n_ctx + 1)]
    ids = decode(model, [Stream(prompt, 25, GREEDY) for prompt in prompts])
    assert ids == [decode_slowly(model, prompt, 25) for prompt in prompts]


def test_a_sliding_text_does_not_depend_on_its_company(model: GPT) -> None:
    def streams() -> list[Stream]:
        return [Stream((7,) * length, 60, WARM, sample=length) for length in (1, 20, 37)]

    assert decode(model, streams()) == [decode(model, [stream])[0] for stream in streams()]
    assert [len(ids) for ids in decode(model, streams())] == [60, 60, 60]


def test_streams_past_the_last_row_wait_for_a_free_one(model: GPT) -> None:
    streams = [Stream((1,), 3 + index % 2, WARM, sample=index) for index in range(MAX_LIVE + 6)]
    engine = Engine(model, eot_id=None)
    for stream in streams:
        engine.add(stream)
    sizes: list[int] = []
    while advanced := engine.step():
        sizes.append(len(advanced))
    assert max(sizes) == MAX_LIVE
    assert sum(sizes) == sum(len(stream.ids) for stream in streams) == sum(stream.max_tokens for stream in streams)
    assert {stream.finish_reason for stream in streams} == {"length"}


def test_samples_of_one_prompt_differ_and_seeds_repeat(model: GPT) -> None:
    first = decode(model, [Stream((1, 2), 8, WARM, seed=3, sample=j) for j in range(6)])
    assert decode(model, [Stream((1, 2), 8, WARM, seed=3, sample=j) for j in range(6)]) == first
    assert len({tuple(ids) for ids in first}) == 6
    assert decode(model, [Stream((1, 2), 8, WARM, seed=4, sample=j) for j in range(6)]) != first


# Models whose layers see a part of their past.


def test_sparse_models_decode_as_the_slow_obvious_way_does(sparse_model: GPT) -> None:
    streams = mixed_streams(12, GREEDY)
    slowly = [decode_slowly(sparse_model, stream.prompt, stream.max_tokens) for stream in streams]
    assert decode(sparse_model, streams) == slowly


def test_sparse_models_slide_past_the_context(sparse_model: GPT) -> None:
    """Prompts of about a multiple of the band and the stride, each of which slides once or twice."""
    prompts = [tuple(range(length)) for length in (5, 6, 20, 36, 37)]
    ids = decode(sparse_model, [Stream(prompt, 40, GREEDY) for prompt in prompts])
    assert ids == [decode_slowly(sparse_model, prompt, 40) for prompt in prompts]


def test_scores_of_sparse_models_are_the_same_alone_and_in_company_to_the_bit(
    sparse_model: GPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last stream outlives the context, so that a row starts again among others that go on."""
    seen: dict[float, bytes] = {}

    def noting(logits: Tensor, sampling: Sampling, uniform: float) -> int:
        bits = logits.numpy().tobytes()
        assert seen.setdefault(uniform, bits) == bits
        return choose(logits, sampling, uniform)

    def streams() -> list[Stream]:
        return [*mixed_streams(20, WARM), Stream((7,) * 30, 30, WARM, seed=6)]

    monkeypatch.setattr(engine_module, "choose", noting)
    together = decode(sparse_model, streams())
    n_scores = len(seen)
    assert [decode(sparse_model, [stream])[0] for stream in streams()] == together
    assert len(seen) == n_scores == sum(stream.max_tokens for stream in streams())


# Rows in PyTorch, where there is no compiler.


def test_tokens_in_pytorch_are_the_same_alone_and_in_company(
    model: GPT, alone: Callable[[Sampling], list[list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(GREEDY)
    monkeypatch.setattr(engine_module, "native_model", without)
    assert decode(model, mixed_streams(33, GREEDY)) == expected[:33]
    assert decode(model, mixed_streams(3, WARM)) == [decode(model, [stream])[0] for stream in mixed_streams(3, WARM)]


def test_sparse_models_in_pytorch_slide_past_the_context(sparse_model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "native_model", without)
    (ids,) = decode(sparse_model, [Stream(tuple(range(36)), 25, GREEDY)])
    assert ids == decode_slowly(sparse_model, tuple(range(36)), 25)


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_rounded_models_give_the_same_tokens_alone_and_in_company(model: GPT, weights: str) -> None:
    rounded = copy.deepcopy(model).to(torch.bfloat16)
    native = native_model(rounded, int8=weights == "int8")
    assert native is not None

    def together(streams: Sequence[Stream]) -> list[list[int]]:
        engine = Engine(rounded, eot_id=None, native=native)
        for stream in streams:
            engine.add(stream)
        while engine.step():
            pass
        return [stream.ids for stream in streams]

    expected = [together([stream])[0] for stream in mixed_streams(20, WARM)]
    assert together(mixed_streams(20, WARM)) == expected


# How a stream ends.


def test_a_stream_of_no_tokens_is_done_at_once(model: GPT) -> None:
    stream = Stream((1,), 0)
    assert decode(model, [stream]) == [[]]
    assert stream.finish_reason == "length"


def test_the_end_of_text_ends_a_stream(model: GPT) -> None:
    (free,) = decode(model, [Stream((1, 2), 20, WARM)])
    eot = free[5]
    stopped = Stream((1, 2), 20, WARM)
    decode(model, [stopped], eot_id=eot)
    assert stopped.ids == free[: free.index(eot) + 1]
    assert stopped.finish_reason == "stop"


def test_a_stream_ended_from_outside_frees_its_row(model: GPT) -> None:
    streams = mixed_streams(MAX_LIVE, WARM)
    streams = [Stream(stream.prompt, 6, WARM, 5, stream.sample) for stream in streams]
    late, ended = Stream((9, 9), 6, WARM), streams[10]
    engine = Engine(model, eot_id=None)
    for stream in [*streams, late]:
        engine.add(stream)
    assert late not in engine.step()
    ended.finish_reason = "stop"
    advanced = engine.step()
    assert late in advanced
    assert ended not in advanced
    while engine.step():
        pass
    assert len(ended.ids) == 1
    again = [Stream(stream.prompt, 6, WARM, 5, stream.sample) for stream in streams]
    expected = decode(model, [*again, Stream((9, 9), 6, WARM)])
    assert [stream.ids for stream in [*streams, late] if stream is not ended] == expected[:10] + expected[11:]


def test_a_stream_ended_while_it_waits_gets_no_token(model: GPT) -> None:
    stream, other = Stream((1,), 5), Stream((2,), 1)
    engine = Engine(model, eot_id=None)
    engine.add(stream)
    engine.add(other)
    stream.finish_reason = "stop"
    assert engine.step() == [other]
    assert stream.ids == []


def test_a_row_that_was_full_to_the_context_may_fall_idle(model: GPT) -> None:
    n_ctx = model.config.n_ctx
    short, full = Stream((1,), 9, GREEDY), Stream((2,) * n_ctx, 1, GREEDY)
    brim = Stream((3,) * (n_ctx - 1), 2, GREEDY)
    assert [len(ids) for ids in decode(model, [short, full, brim])] == [9, 1, 2]


# What is refused.


@pytest.mark.parametrize("length", [0, 38, 1000])
def test_a_prompt_must_fit_the_context(model: GPT, length: int) -> None:
    engine = Engine(model, eot_id=None)
    with pytest.raises(PromptError, match=rf"1 to 37 tokens.* got {length}; shorten it"):
        engine.add(Stream((1,) * length, 5))
    assert engine.step() == []


def test_a_prompt_as_long_as_the_context_is_taken(model: GPT) -> None:
    assert [len(ids) for ids in decode(model, [Stream((1,) * 37, 4)])] == [4]
