"""A beam finds what its definition finds, and a prompt's answer is a function of itself."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gptrilogy.errors import PromptError
from gptrilogy.generation.beam import Beam, beam_reference, beam_search, length_factor
from gptrilogy.generation.config import Sampling
from gptrilogy.generation.engine import Engine, Stream
from gptrilogy.models import GPT, GPTConfig

Prompt = tuple[int, ...]


def tiny(n_vocab: int, n_ctx: int = 16) -> GPT:
    """A model of few words that has opinions about them."""
    config = GPTConfig(n_vocab=n_vocab, n_ctx=n_ctx, n_embd=12, n_head=2, n_layer=2, init_std=0.8)
    return GPT(config, torch.Generator().manual_seed(3)).eval()


def mixed_prompts(count: int, n_vocab: int = 257, longest: int = 20) -> list[Prompt]:
    draws = random.Random(4)
    return [tuple(draws.randrange(n_vocab) for _ in range(draws.randint(1, longest))) for _ in range(count)]


def even(_: Sequence[int], ids: Sequence[int]) -> bool:
    """Half of all tokens end a text: a beam is often short of live ones."""
    return ids[-1] % 2 == 0


def agree(found: Sequence[Beam], expected: Sequence[Beam]) -> None:
    assert [(beam.ids, beam.finish_reason) for beam in found] == [(beam.ids, beam.finish_reason) for beam in expected]
    assert [beam.nats for beam in found] == pytest.approx([beam.nats for beam in expected], abs=1e-4)
    assert [beam.score for beam in found] == pytest.approx([beam.score for beam in expected], abs=1e-4)


@pytest.mark.parametrize(("width", "length_penalty"), [(1, 0.6), (2, 2.0), (4, 0.0), (4, 0.6), (9, 0.6)])
def test_a_beam_finds_what_the_slow_obvious_one_finds(model: GPT, width: int, length_penalty: float) -> None:
    settings: dict[str, Any] = {"width": width, "length_penalty": length_penalty, "max_tokens": 5, "eot_id": 7}
    prompts = mixed_prompts(3)
    agree(beam_search(model, prompts, **settings), beam_reference(model, prompts, **settings))


def third(_: Sequence[int], ids: Sequence[int]) -> bool:
    return len(ids) == 3


@pytest.mark.parametrize(("ends", "length_penalty"), [(None, 0.6), (even, 0.6), (even, 2.0), (third, 0.6)])
def test_it_agrees_where_texts_end_early_or_late(ends: Any, length_penalty: float) -> None:
    """With a high penalty a text that ended early is often overtaken by one that was then less likely."""
    settings: dict[str, Any] = {
        "width": 4,
        "max_tokens": 7,
        "eot_id": 1,
        "length_penalty": length_penalty,
        "ends": ends,
    }
    prompts = mixed_prompts(8, n_vocab=9, longest=9)
    found = beam_search(tiny(9), prompts, **settings)
    agree(found, beam_reference(tiny(9), prompts, **settings))
    assert len({len(beam.ids) for beam in found}) > 1 or ends is third


def test_sparse_models_search_as_the_slow_obvious_way_does(sparse_model: GPT) -> None:
    settings: dict[str, Any] = {"width": 4, "length_penalty": 0.6, "max_tokens": 9, "eot_id": 7}
    prompts = mixed_prompts(2)
    agree(beam_search(sparse_model, prompts, **settings), beam_reference(sparse_model, prompts, **settings))


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 3.0])
def test_a_beam_wide_enough_for_all_texts_finds_the_best_of_all(length_penalty: float) -> None:
    """All texts of up to 4 tokens that token 0 ends, and of 4 that it does not, each scored by itself."""
    model = tiny(3)
    texts = [ids for n in range(1, 5) for ids in itertools.product(range(3), repeat=n) if 0 not in ids[:-1]]
    texts = [ids for ids in texts if ids[-1] == 0 or len(ids) == 4]
    for prompt in itertools.product(range(3), repeat=2):
        best = max(texts, key=lambda ids: nats(model, prompt, ids) / length_factor(len(ids), length_penalty))
        [beam] = beam_search(model, [prompt], width=3**4, length_penalty=length_penalty, max_tokens=4, eot_id=0)
        assert beam.ids == best
        assert beam.nats == pytest.approx(nats(model, prompt, best), abs=1e-4)
        assert beam.score == beam.nats / length_factor(len(best), length_penalty)


@torch.no_grad()
def nats(model: GPT, prompt: Prompt, ids: Prompt) -> float:
    return -float(model.token_nats(torch.tensor([[*prompt, *ids]]))[0, len(prompt) - 1 :].double().sum())


def test_a_beam_of_one_is_greedy(model: GPT) -> None:
    engine = Engine(model, eot_id=None)
    streams = [Stream(prompt, 8, Sampling(temperature=0)) for prompt in mixed_prompts(6)]
    for stream in streams:
        engine.add(stream)
    while engine.step():
        pass
    beams = beam_search(model, mixed_prompts(6), width=1, length_penalty=0.6, max_tokens=8, eot_id=None)
    assert [list(beam.ids) for beam in beams] == [stream.ids for stream in streams]


@pytest.mark.parametrize("width", [1, 3, 4, 8, 11])
@pytest.mark.parametrize("ends", [None, even])
def test_answers_are_the_same_alone_and_in_company_to_the_bit(model: GPT, width: int, ends: Any) -> None:
    settings: dict[str, Any] = {"width": width, "length_penalty": 0.6, "max_tokens": 6, "eot_id": 7, "ends": ends}
    prompts = mixed_prompts(7)
    alone = [beam_search(model, [prompt], **settings)[0] for prompt in prompts]
    assert beam_search(model, prompts, **settings) == alone
    assert beam_search(model, prompts[::-1], **settings) == alone[::-1]


def test_sparse_models_answer_the_same_alone_and_in_company_to_the_bit(sparse_model: GPT) -> None:
    settings: dict[str, Any] = {"width": 3, "length_penalty": 0.6, "max_tokens": 6, "eot_id": 7}
    prompts = mixed_prompts(5)
    alone = [beam_search(sparse_model, [prompt], **settings)[0] for prompt in prompts]
    assert beam_search(sparse_model, prompts, **settings) == alone


def their_model() -> tuple[Any, GPT]:
    """A random GPT-2 of `transformers`, and ours with its weights."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 24, "vocab_size": 11}
    theirs: Any = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = GPT(GPTConfig(n_vocab=11, n_ctx=24, n_embd=16, n_head=2, n_layer=2)).eval()
    weights = {name.removeprefix("transformer."): tensor for name, tensor in theirs.state_dict().items()}
    linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # theirs are transposed
    ours.load_state_dict(
        {name: weights[name].T if name.endswith(linear) else weights[name] for name in ours.state_dict()}
    )
    return theirs, ours


@pytest.mark.parametrize("endings", [(), (2, 5, 8)])
def test_sums_of_log_probabilities_lead_where_transformers_goes(endings: Prompt) -> None:
    """Without a penalty the definitions coincide; with one theirs divides by length ** penalty, ours by GNMT's factor.

    `early_stopping="never"` is their name for a search that stops only when nothing better can come.
    """
    theirs, ours = their_model()
    prompts = mixed_prompts(12, n_vocab=11, longest=8)
    settings: dict[str, Any] = {"width": 4, "length_penalty": 0.0, "max_tokens": 9, "eot_id": None}
    beams = beam_search(ours, prompts, **settings, ends=lambda _, ids: ids[-1] in endings)
    for prompt, beam in zip(prompts, beams, strict=True):
        out = theirs.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            num_beams=4,
            length_penalty=0.0,
            early_stopping="never",
            do_sample=False,
            max_new_tokens=9,
            eos_token_id=list(endings) or None,
            pad_token_id=0,
            output_scores=True,
            return_dict_in_generate=True,
        )
        assert tuple(out.sequences[0, len(prompt) :][: len(beam.ids)].tolist()) == beam.ids
        assert float(out.sequences_scores[0]) == pytest.approx(beam.nats, abs=1e-4)
    assert {beam.finish_reason for beam in beams} == ({"stop", "length"} if endings else {"length"})


def test_a_penalty_of_lengths_prefers_longer_texts() -> None:
    prompts = mixed_prompts(8, n_vocab=9, longest=8)
    lengths = [
        sum(
            len(beam.ids)
            for beam in beam_search(
                tiny(9), prompts, width=4, length_penalty=length_penalty, max_tokens=7, eot_id=1, ends=even
            )
        )
        for length_penalty in (0.0, 0.6, 3.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


@pytest.mark.parametrize(("n_tokens", "factor"), [(0, (5 / 6) ** 0.6), (1, 1.0), (7, 2**0.6), (13, 3**0.6)])
def test_the_factor_of_a_length(n_tokens: int, factor: float) -> None:
    assert length_factor(n_tokens, 0.6) == pytest.approx(factor, rel=1e-12)
    assert length_factor(n_tokens, 0.0) == 1.0


def test_equals_are_taken_in_order() -> None:
    """A model that finds all texts alike: the first token, and the first to finish, win."""
    model = tiny(400)
    torch.nn.init.zeros_(model.wte.weight)
    settings: dict[str, Any] = {"width": 3, "max_tokens": 3, "eot_id": None}
    [beam] = beam_search(model, [[4]], length_penalty=0.6, **settings)
    assert beam.ids == (0, 0, 0)
    assert beam.nats == pytest.approx(-3 * math.log(400), abs=1e-6)
    [ended] = beam_search(model, [[4]], length_penalty=0.0, ends=even, **settings)
    assert ended.ids == (0,)


def test_a_text_ends_where_the_context_is_full(model: GPT) -> None:
    """A context of 37 reads 36 tokens and the first two of three that it may then write."""
    settings: dict[str, Any] = {"width": 4, "length_penalty": 0.6, "max_tokens": 10, "eot_id": None}
    prompts = [tuple(range(35)), tuple(range(37))]
    beams = beam_search(model, prompts, **settings)
    assert [(len(beam.ids), beam.finish_reason) for beam in beams] == [(3, "length"), (1, "length")]
    agree(beams, beam_reference(model, prompts, **settings))


@pytest.mark.parametrize("search", [beam_search, beam_reference])
def test_a_text_of_no_tokens_is_done_at_once(model: GPT, search: Any) -> None:
    beams = search(model, [(1, 2), (3,)], width=4, length_penalty=0.6, max_tokens=0, eot_id=None)
    assert beams == [Beam((), 0.0, 0.0, "length")] * 2


def test_no_prompts_give_no_texts(model: GPT) -> None:
    assert beam_search(model, [], width=4, length_penalty=0.6, max_tokens=5, eot_id=None) == []


def test_each_prompt_is_heard_of_when_it_is_done(model: GPT) -> None:
    heard: list[int] = []
    beam_search(model, mixed_prompts(7), width=4, length_penalty=0.6, max_tokens=3, eot_id=7, on_done=heard.append)
    assert heard == [1] * 7


def test_a_search_stops_once_nothing_better_can_come() -> None:
    """With sums alone, a text that ended beats every live one that is already less likely."""
    model, asked = tiny(9), list[int]()

    def ends(prompt: Sequence[int], ids: Sequence[int]) -> bool:
        asked.append(len(ids))
        return even(prompt, ids)

    beam_search(model, mixed_prompts(1, n_vocab=9), width=2, length_penalty=0.0, max_tokens=15, eot_id=None, ends=ends)
    assert max(asked) < 15


@pytest.mark.parametrize(
    ("prompt", "width", "length_penalty", "message"),
    [
        ([], 4, 0.6, "1 to 37 tokens, which is the model's context; got 0"),
        ([1] * 38, 4, 0.6, "1 to 37 tokens, which is the model's context; got 38"),
        ([1], 0, 0.6, "width must be at least 1, got 0"),
        ([1], 4, -0.1, "length_penalty must lie in 0..10, got -0.1"),
        ([1], 4, math.nan, "length_penalty must lie in 0..10, got nan"),
        ([1], 4, 5000, "length_penalty must lie in 0..10, got 5000"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    model: GPT, prompt: list[int], width: int, length_penalty: float, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        beam_search(model, [prompt], width=width, length_penalty=length_penalty, max_tokens=3, eot_id=None)
