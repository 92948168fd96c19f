import math

import pytest
import torch

from gptrilogy.errors import CheckpointError, ConfigError, PromptError
from gptrilogy.generation import scoring
from gptrilogy.generation.config import BeamSearch, Sampling
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.generation.scoring import first_id
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import GPT1BPE
from gptrilogy.tokenizers.bytes import BytesTokenizer

HALF_A_CHARACTER = "\ufffd"


@pytest.fixture(scope="module")
def language_model(model: GPT) -> LanguageModel:
    return LanguageModel(model, BytesTokenizer())


class FixedText(GPT):
    """A model that continues every prompt with the same bytes, one for each position."""

    def __init__(self, text: bytes) -> None:
        super().__init__(GPTConfig(n_vocab=257, n_ctx=64, n_embd=257, n_head=1, n_layer=1))
        self.ids = [0, *text]
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            self.wte.weight.copy_(torch.eye(257))
            self.ln_f.get_parameter("weight").fill_(1.0)
            for position, following in enumerate(self.ids[1:]):
                self.wpe.weight[position, following] = 10.0


def says(text: str) -> LanguageModel:
    """A model that, after a prompt of one byte, says this text and then ends it."""
    return LanguageModel(FixedText(text.encode() + b"\0"), BytesTokenizer())


GREEDY = Sampling(temperature=0)


# Text.


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stop", [(), ("e", "\ufffd\ufffd"), ("a", "b", "c")], ids=repr)
def test_streamed_pieces_together_are_the_completions_text(
    language_model: LanguageModel, seed: int, stop: tuple[str, ...]
) -> None:
    pieces = list(language_model.stream("On", max_tokens=50, seed=seed, stop=stop))
    (completion,) = language_model.complete(["On"], max_tokens=50, seed=seed, stop=stop)
    assert "".join(pieces) == completion.text
    assert "" not in pieces
    if not stop:
        assert completion.text == language_model.tokenizer.decode(completion.ids)


def test_a_piece_never_holds_half_a_character() -> None:
    text = "naïve 猫, 🦜 und ẞ"
    assert list(says(text).stream("a", GREEDY, max_tokens=len(text.encode()))) == list(text)


def test_a_character_cut_off_by_the_length_is_marked_once() -> None:
    assert list(says("a猫").stream("a", GREEDY, max_tokens=3)) == ["a", HALF_A_CHARACTER]


def test_a_stop_string_ends_the_text_and_is_not_part_of_it() -> None:
    (completion,) = says("one two END three").complete(["a"], GREEDY, stop=["END", "zzz"])
    assert (completion.text, completion.finish_reason) == ("one two ", "stop")


def test_what_could_have_begun_a_stop_string_is_not_lost() -> None:
    (completion,) = says("the EN").complete(["a"], GREEDY, max_tokens=6, stop=["END"])
    assert (completion.text, completion.finish_reason) == ("the EN", "length")


def test_the_end_of_text_is_no_part_of_a_completion(model: GPT) -> None:
    found = LanguageModel(model, BytesTokenizer()).complete(["a"], Sampling(temperature=3), max_tokens=60, n=40)
    ended = [completion for completion in found if completion.finish_reason == "stop"]
    assert ended  # of 2,400 nearly uniform draws
    for completion in ended:
        assert 256 not in completion.ids
        assert "<|endoftext|>" not in completion.text


def test_completions_come_prompt_by_prompt_and_sample_by_sample(language_model: LanguageModel) -> None:
    prompts = ["a", "It is a truth", ""]
    together = language_model.complete(prompts, max_tokens=9, n=3, seed=2)
    one_by_one = [c for prompt in prompts for c in language_model.complete([prompt], max_tokens=9, n=3, seed=2)]
    assert together == one_by_one
    assert len({completion.ids for completion in together}) == 9


def test_an_empty_prompt_begins_a_document(language_model: LanguageModel) -> None:
    assert language_model.prompt_ids("") == [256]
    assert len(language_model.complete([""], GREEDY, max_tokens=4)) == 1


def test_no_tokens_make_no_text(language_model: LanguageModel) -> None:
    (completion,) = language_model.complete(["a"], max_tokens=0)
    assert (completion.text, completion.ids, completion.finish_reason) == ("", (), "length")


def test_generate_takes_the_fields_of_sampling(language_model: LanguageModel) -> None:
    how = Sampling(temperature=0.5, top_k=9, top_p=0.8)
    (expected,) = language_model.complete(["On"], how, max_tokens=12, seed=4)
    assert language_model.generate("On", max_tokens=12, seed=4, temperature=0.5, top_k=9, top_p=0.8) == expected.text


def test_generate_refuses_what_sampling_does_not_know(language_model: LanguageModel) -> None:
    with pytest.raises(ConfigError, match=r"unknown field temprature: did you mean temperature\?"):
        language_model.generate("On", temprature=0.5)
    with pytest.raises(ConfigError, match=r"top_p: .*, got 2"):
        language_model.generate("On", top_p=2)


def test_a_prompt_past_the_context_is_refused_before_anything_is_made(language_model: LanguageModel) -> None:
    long = "a" * 38
    with pytest.raises(PromptError, match=r"1 to 37 tokens.* got 38"):
        language_model.complete(["a", long])
    with pytest.raises(PromptError, match=r"1 to 37 tokens.* got 38"):
        language_model.stream(long)  # at the call, not at the first piece


# Scores.


@torch.no_grad()
def score_reference(model: GPT, before: list[int], after: list[int]) -> float:
    log_p = model(torch.tensor([before + after])).double().log_softmax(-1)[0]
    return sum(float(log_p[len(before) + i - 1, token]) for i, token in enumerate(after))


@pytest.mark.parametrize("prompt", ["It is a truth", "x", ""])
def test_a_score_is_the_sum_of_its_tokens_log_probabilities(language_model: LanguageModel, prompt: str) -> None:
    answers = [" acknowledged", "!", "né"]
    before = language_model.prompt_ids(prompt)
    expected = [score_reference(language_model.model, before, list(answer.encode())) for answer in answers]
    assert language_model.score(prompt, answers) == pytest.approx(expected, abs=1e-4)


def test_a_score_does_not_depend_on_the_other_answers(language_model: LanguageModel) -> None:
    answers = ["a", "longer than that", "b"]
    assert language_model.score("x", answers) == [language_model.score("x", [answer])[0] for answer in answers]


def test_a_score_of_nothing_is_certain(language_model: LanguageModel) -> None:
    assert language_model.score("a", ["", "b"])[0] == language_model.score("", [""])[0] == 0.0
    assert language_model.score("a", []) == []


def test_a_score_may_use_the_whole_context_and_one_more_token(language_model: LanguageModel) -> None:
    assert len(language_model.score("a" * 30, ["b" * 8])) == 1
    with pytest.raises(PromptError, match="have 39 tokens, the model can score 38; shorten the prompt"):
        language_model.score("a" * 30, ["b" * 9])


def test_likelihoods_are_the_scores_of_their_continuations(language_model: LanguageModel) -> None:
    requests = [("It is a truth", " acknowledged"), ("", "x"), ("It is a truth ", "universal"), ("ab", "")]
    found = language_model.loglikelihood(requests)
    expected = [
        *language_model.score("It is a truth", [" acknowledged"]),
        *language_model.score("", ["x"]),
        *language_model.score("It is a truth", [" universal"]),
        0.0,
    ]
    assert [score.nats for score in found] == expected
    assert [score.greedy for score in found] == [False, False, False, True]


def test_a_likely_continuation_is_known_as_greedy() -> None:
    (likely, unlikely) = says("bc").loglikelihood([("a", "bc"), ("a", "bd")])
    assert likely.greedy
    assert not unlikely.greedy
    assert likely.nats > unlikely.nats


def test_a_likelihood_is_cut_only_where_that_is_allowed_and_said(language_model: LanguageModel) -> None:
    requests = [("a" * 20 + "b" * 30, "c" * 8), ("d", "e")]
    with pytest.raises(PromptError, match="58 tokens, the model can score 38"):
        language_model.loglikelihood(requests)
    with pytest.warns(UserWarning, match="1 of 2 texts have more than 38 tokens and lost their first ones"):
        cut = language_model.loglikelihood(requests, truncate=True)
    assert cut == language_model.loglikelihood([("b" * 30, "c" * 8), ("d", "e")], truncate=True)


def test_a_texts_likelihood_is_the_sum_over_its_windows(language_model: LanguageModel) -> None:
    text = "".join(chr(97 + (i * i) % 26) for i in range(80))  # windows of 37, 37 and 6 tokens
    expected = (
        language_model.score("", [text[:37]])[0]
        + language_model.score(text[36:37], [text[37:74]])[0]
        + language_model.score(text[42:74], [text[74:]])[0]
    )
    assert language_model.loglikelihood_rolling([text, "", "a"]) == [
        pytest.approx(expected, abs=1e-9),
        0.0,
        language_model.score("", ["a"])[0],
    ]


# Prompts that may be too long.


def test_a_prompt_keeps_what_leaves_room_for_the_completion(language_model: LanguageModel) -> None:
    (completion,) = language_model.complete(["b" * 30], GREEDY, max_tokens=7)
    with pytest.warns(UserWarning, match="1 of 2 prompts have more than 30 tokens and lost their first ones"):
        found = language_model.generate_until(["a" * 9 + "b" * 30, "b" * 30], GREEDY, max_tokens=7)
    assert found == [completion.text] * 2
    with pytest.raises(PromptError, match="37 new tokens leave no room for a prompt in the model's context of 37"):
        language_model.generate_until(["b"], GREEDY, max_tokens=37)


def test_equal_prompts_are_samples_of_one(language_model: LanguageModel) -> None:
    done: list[int] = []
    found = language_model.generate_until(["On", "x", "On", "On"], max_tokens=9, seed=3, on_done=done.append)
    samples = [completion.text for completion in language_model.complete(["On"], max_tokens=9, seed=3, n=3)]
    assert [found[0], found[2], found[3]] == samples
    assert len(set(samples)) == 3
    assert done == [1] * 4


def test_a_stop_string_is_no_part_of_what_was_generated() -> None:
    assert says("one two END three").generate_until(["a"], GREEDY, max_tokens=40, stop=["END"]) == ["one two "]
    for alone in ("END", ["END"]):
        [completion] = says("one two END three").complete(["a"], GREEDY, max_tokens=40, stop=alone)
        assert completion.text == "one two "


def test_a_beam_writes_up_to_a_stop_string_and_needs_no_seed(language_model: LanguageModel) -> None:
    prompts = ["On the", "x", "On the"]
    found = language_model.generate_until(prompts, BeamSearch(width=3), max_tokens=8)
    assert found == language_model.generate_until(prompts, BeamSearch(width=3), max_tokens=8, seed=5)
    assert found[0] == found[2]
    stop = found[0][2]
    assert stop not in language_model.generate_until(["On the"], BeamSearch(width=3), max_tokens=8, stop=[stop])[0]


def test_a_beam_heeds_no_stop_string_that_is_empty(language_model: LanguageModel) -> None:
    without, several = (
        language_model.generate_until(["On the"], BeamSearch(width=3), max_tokens=8, stop=stop) for stop in ((), ("",))
    )
    assert several == without


def test_words_are_parted_from_the_prompt_by_every_search() -> None:
    tokenizer = GPT1BPE("ab", [])
    model = GPT(GPTConfig(n_vocab=tokenizer.n_vocab, n_ctx=16, n_embd=8, n_head=1, n_layer=1)).eval()
    hows = (Sampling(temperature=0), BeamSearch(width=1, length_penalty=0))
    greedy, beam = (LanguageModel(model, tokenizer).generate_until(["a b"], how, max_tokens=5) for how in hows)
    assert greedy == beam
    assert greedy[0].startswith(" ")


def test_a_beam_of_one_without_a_penalty_is_greedy(language_model: LanguageModel) -> None:
    how = BeamSearch(width=1, length_penalty=0)
    prompts = ["On the", "x"]
    found = language_model.generate_until(prompts, how, max_tokens=9)
    assert found == language_model.generate_until(prompts, GREEDY, max_tokens=9)


def test_a_shorter_stride_gives_later_tokens_more_to_go_by(language_model: LanguageModel) -> None:
    text = "one two three four five six seven " * 4
    ids = language_model.tokenizer.encode(text)
    n_ctx = language_model.model.config.n_ctx
    whole = [first_id(language_model.tokenizer), *ids]
    expected = sum(
        scoring.score_reference(language_model.model, whole[max(0, at - n_ctx) : at], whole[at : at + 1]).nats
        for at in range(1, len(whole))
    )
    [found] = language_model.loglikelihood_rolling([text], stride=1)
    assert found == pytest.approx(expected, abs=1e-3)


# What is refused.


@pytest.mark.parametrize("how", [Sampling(temperature=0), Sampling(), Sampling(top_k=3), BeamSearch()], ids=repr)
def test_a_model_of_broken_weights_says_nothing_but_that(how: Sampling | BeamSearch) -> None:
    with pytest.raises(CheckpointError, match="are not numbers; its weights are damaged"):
        broken().generate_until(["a"], how, max_tokens=3)


def test_a_model_of_broken_weights_has_no_opinion() -> None:
    with pytest.raises(CheckpointError, match="are not numbers; its weights are damaged"):
        broken().score("a", ["b"])


def broken() -> LanguageModel:
    model = FixedText(b"text")
    torch.nn.init.constant_(model.get_parameter("ln_f.bias"), math.nan)
    return LanguageModel(model, BytesTokenizer())


def test_less_than_nothing_cannot_be_asked_for(language_model: LanguageModel) -> None:
    with pytest.raises(ConfigError, match="n must be at least 1, got -1"):
        language_model.complete(["a"], n=-1)
    with pytest.raises(ConfigError, match="max_tokens must be at least 0, got -2"):
        language_model.complete(["a"], max_tokens=-2)


@pytest.mark.parametrize("how", [Sampling(), BeamSearch()], ids=repr)
def test_no_text_takes_less_than_no_tokens(how: Sampling | BeamSearch, language_model: LanguageModel) -> None:
    with pytest.raises(ConfigError, match="max_tokens must be at least 0, got -3"):
        language_model.generate_until(["a"], how, max_tokens=-3)


@pytest.mark.parametrize("how", [Sampling(), BeamSearch()], ids=repr)
def test_texts_of_no_tokens_are_done_too(how: Sampling | BeamSearch, language_model: LanguageModel) -> None:
    done: list[int] = []
    assert language_model.generate_until(["a", "b"], how, max_tokens=0, on_done=done.append) == ["", ""]
    assert done == [1, 1]
