"""What the released code does otherwise than ours, each difference alone and its exact size."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gptrilogy.finetuning import finetune, model
from gptrilogy.finetuning.batches import Batch, Item
from gptrilogy.finetuning.config import TaskConfig, TuneConfig
from gptrilogy.finetuning.model import FineTuned, task_loss
from gptrilogy.finetuning.tasks import Example
from gptrilogy.finetuning.transforms import SpecialTokens, transform
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.tokenizers import BytesTokenizer
from gptrilogy.training.schedule import linear_learning_rate
from gptrilogy.training.signals import StopRequest
from released_finetuning import (
    NONE,
    Deviations,
    ReleasedAdam,
    clip_gradients,
    cut_segments,
    embedding_matrix,
    head_dropout,
    hidden_states,
    language_loss,
    outputs_of,
    released_gradients,
    released_rate,
    warmup_cosine,
    warmup_linear,
    with_bias,
)

N_VOCAB, N_CTX = 23, 12
SIZES = GPTConfig(n_vocab=N_VOCAB, n_ctx=N_CTX, n_embd=16, n_head=2, n_layer=2, dropout=0.1, init_std=0.3)
CHOICE = TaskConfig(kind="choice")
CLASSES = TaskConfig(kind="classification", labels=("0", "1"))
PAIRS = TaskConfig(kind="similarity", labels=("0", "1"))
TRAIN = TuneConfig(precision="fp32", device="cpu")
SURE = 5.0  # standard errors: p < 6e-7 for each comparison
NEVER = 1e-300  # an epsilon that even fp64 does not see beside a root of squares


def weights_of(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    """In fp64, where a hundred steps leave no rounding that a test would have to allow for."""
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def give_gradients(weights: Sequence[nn.Parameter], seed: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in weights:
        weight.grad = scale * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)


def adamw(weights: Sequence[nn.Parameter], *, epsilon: float = 1e-8, decay: float = 0.01) -> torch.optim.AdamW:
    groups = [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": decay},
        {"params": [w for w in weights if w.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.999), eps=epsilon)


def assert_all_close(found: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float = 1e-6) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


class TestOptimizer:
    @pytest.mark.parametrize(
        ("largest", "tolerance"),
        [(math.inf, 1e-12), (1.0, 1e-6)],  # torch adds 1e-6 to the norm that it divides by
        ids=["whole gradients", "clipped"],
    )
    def test_with_no_deviation_it_is_adamw(self, largest: float, tolerance: float) -> None:
        ours, twin = (weights_of((4, 3), (3,), (2, 2, 2)) for _ in range(2))
        optimizer, released = adamw(ours), ReleasedAdam(twin, deviations=NONE)
        for step in range(100):
            for weights in (ours, twin):
                give_gradients(weights, step, scale=0.2)  # norms on both sides of 1
            if math.isfinite(largest):
                nn.utils.clip_grad_norm_(ours, largest)
                clip_gradients(twin, largest)
            optimizer.step()
            released.step(1e-2)
        assert_all_close(twin, ours, tolerance)

    @pytest.mark.parametrize("deviations", [Deviations(raw_epsilon=True), Deviations(scaled_decay=True)])
    def test_either_deviation_makes_it_another_rule(self, deviations: Deviations) -> None:
        ours, twin = weights_of((4, 3)), weights_of((4, 3))
        optimizer = adamw(ours, epsilon=1e-2, decay=0.5)
        released = ReleasedAdam(twin, epsilon=1e-2, decay=0.5, deviations=deviations)
        for weights in (ours, twin):
            give_gradients(weights, seed=0)
        optimizer.step()
        released.step(1e-2)
        assert (ours[0] - twin[0]).abs().max() > 1e-4

    def test_the_released_rule_by_hand(self) -> None:
        matrix = nn.Parameter(torch.tensor([[4.0]], dtype=torch.float64))
        gain = nn.Parameter(torch.tensor([4.0], dtype=torch.float64))
        released = ReleasedAdam([matrix, gain], beta1=0.5, beta2=0.75, epsilon=1.0, decay=0.5)
        # First m = 1, v = 1, and both corrections are a half: 4 - 0.4 (1 / (1 + 1) + 0.5 * 4), the gain without decay.
        matrix.grad, gain.grad = torch.full_like(matrix, 2), torch.full_like(gain, 2)
        released.step(0.4)
        assert matrix.item() == pytest.approx(3.0, abs=1e-12)
        assert gain.item() == pytest.approx(3.8, abs=1e-12)
        # Then m = 0.5 + 0.5, v = 0.75 + 0.25; the corrections are 1 - 0.5^2 = 0.75 and 1 - 0.75^2 = 0.4375.
        matrix.grad, gain.grad = torch.full_like(matrix, 1), torch.full_like(gain, 1)
        released.step(0.4)
        factor = math.sqrt(0.4375) / 0.75
        assert matrix.item() == pytest.approx(3.0 - 0.4 * factor * (0.5 + 1.5), abs=1e-12)
        assert gain.item() == pytest.approx(3.8 - 0.4 * factor * 0.5, abs=1e-12)

    @pytest.mark.parametrize(("t", "times"), [(1, 31.6228), (10, 10.0226), (1000, 1.2576)])
    def test_a_raw_epsilon_is_larger_by_the_root_of_the_correction(self, t: int, times: float) -> None:
        epsilon, gradient, rate = 1e-3, 0.01, 0.1
        unbias = math.sqrt(1 - 0.999**t)
        assert 1 / unbias == pytest.approx(times, abs=1e-4)
        last: dict[bool, float] = {}
        for raw in (False, True):
            (weight,) = weights_of((1, 1))
            optimizer = ReleasedAdam([weight], epsilon=epsilon, decay=0, deviations=Deviations(raw_epsilon=raw))
            weight.grad = torch.full_like(weight, gradient)
            for _ in range(t - 1):
                optimizer.step(rate)
            before = weight.item()
            optimizer.step(rate)
            last[raw] = before - weight.item()
        # A constant gradient is its own unbiased mean, and the root of its unbiased square.
        assert last[False] == pytest.approx(rate * gradient / (gradient + epsilon), rel=1e-9)
        assert last[True] == pytest.approx(rate * gradient / (gradient + epsilon / unbias), rel=1e-9)

    @pytest.mark.parametrize(("t", "share"), [(1, 0.3162), (10, 0.1532), (1000, 0.7951)])
    def test_a_scaled_decay_takes_a_share_of_a_weight_without_gradient(self, t: int, share: float) -> None:
        correction = math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        assert correction == pytest.approx(share, abs=1e-4)
        (weight,) = weights_of((2, 2))
        optimizer = ReleasedAdam([weight], decay=0.01, deviations=Deviations(scaled_decay=True))
        weight.grad = torch.zeros_like(weight)
        optimizer.t = t - 1
        before = weight.detach().clone()
        optimizer.step(0.1)
        assert_all_close([weight], [before * (1 - 0.1 * 0.01 * correction)], 1e-15)

    def test_without_epsilon_and_decay_the_two_are_one(self) -> None:
        ours, twin = (weights_of((4, 3), (3,)) for _ in range(2))
        optimizer = adamw(ours, epsilon=NEVER, decay=0)
        released = ReleasedAdam(twin, epsilon=NEVER, decay=0)
        for step in range(50):
            for weights in (ours, twin):
                give_gradients(weights, step)
            optimizer.step()
            released.step(1e-2)
        assert_all_close(twin, ours, 1e-12)

    def test_after_many_steps_an_update_is_the_same(self) -> None:
        changes: list[Tensor] = []
        for deviations in (NONE, Deviations.all()):
            (weight,) = weights_of((4, 3))
            optimizer = ReleasedAdam([weight], epsilon=1e-2, decay=0.5, deviations=deviations)
            optimizer.means[0].fill_(0.3)
            optimizer.squares[0].fill_(0.2)
            optimizer.t = 30_000  # where 1 - beta2^t is one but for 1e-13
            give_gradients([weight], seed=1)
            before = weight.detach().clone()
            optimizer.step(0.1)
            changes.append(weight.detach() - before)
        assert_all_close(changes[:1], changes[1:], 1e-12)

    def test_gradients_are_clipped_to_the_norm_itself(self) -> None:
        weights = weights_of((4, 3), (3,))
        give_gradients(weights, seed=0)
        before = clip_gradients(weights, 1.0)
        assert before > 1
        assert clip_gradients(weights, 1.0) == pytest.approx(1.0, abs=1e-6)
        small = [weight.grad for weight in weights if weight.grad is not None]
        kept = [gradient.mul_(0.5).clone() for gradient in small]
        clip_gradients(weights, 1.0)
        assert_all_close(small, kept, 0)


places = st.integers(2, 5000).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n)))  # step, max_steps


class TestSchedule:
    def test_the_first_update_of_the_released_code_has_no_rate(self) -> None:
        assert released_rate(1.0, step=0, max_steps=138, warmup_fraction=0.002) == 0
        assert linear_learning_rate(1.0, step=0, max_steps=138, warmup_fraction=0.002) == 1

    @given(place=places, share=st.floats(0, 0.99))
    def test_while_rising_it_is_ours_of_the_update_before_times_what_is_left(
        self, place: tuple[int, int], share: float
    ) -> None:
        step, max_steps = place
        x = step / max_steps
        warmup = x + share * (1 - x)
        ours = linear_learning_rate(1.0, step=step - 1, max_steps=max_steps, warmup_fraction=warmup)
        released = released_rate(1.0, step=step, max_steps=max_steps, warmup_fraction=warmup)
        assert released == pytest.approx(ours * (1 - x), rel=1e-9)

    @given(place=places, share=st.floats(1e-3, 0.999))
    def test_while_falling_it_is_ours_of_the_same_update_times_one_less_the_warm_up(
        self, place: tuple[int, int], share: float
    ) -> None:
        step, max_steps = place
        warmup = share * step / max_steps
        ours = linear_learning_rate(1.0, step=step, max_steps=max_steps, warmup_fraction=warmup)
        released = released_rate(1.0, step=step, max_steps=max_steps, warmup_fraction=warmup)
        assert released == pytest.approx(ours * (1 - warmup), rel=1e-9)

    @pytest.mark.parametrize("warmup", [0.002, 0.1, 0.5])
    def test_the_cosine_jumps_where_the_warm_up_ends(self, warmup: float) -> None:
        jump = warmup_cosine(warmup, warmup) - warmup_cosine(math.nextafter(warmup, 1), warmup)
        assert jump == pytest.approx(math.sin(math.pi * warmup / 2) ** 2, rel=1e-9)

    def test_the_line_does_not_jump(self) -> None:
        assert warmup_linear(math.nextafter(0.1, 1), 0.1) == pytest.approx(warmup_linear(0.1, 0.1), rel=1e-12)


def made(task: TaskConfig, sizes: GPTConfig = SIZES) -> FineTuned:
    generator = torch.Generator().manual_seed(0)
    return FineTuned(GPT(sizes, generator), task, 0.1, generator).train()


def items_of(task: TaskConfig, n: int = 6) -> list[Item]:
    """Examples of different lengths; those of a choice have two to four answers."""
    generator = torch.Generator().manual_seed(1)

    def sequence() -> tuple[int, ...]:
        length = int(torch.randint(4, N_CTX + 1, (), generator=generator))
        return tuple(torch.randint(1, N_VOCAB, (length,), generator=generator).tolist())

    found: list[Item] = []
    for number in range(n):
        n_sequences = {"choice": 2 + number % 3, "similarity": 2}.get(task.kind, 1)
        found.append(Item(tuple(sequence() for _ in range(n_sequences)), float(number % 2)))
    return found


def batch_of(task: TaskConfig) -> Batch:
    return Batch.of(items_of(task), torch.device("cpu"))


class TestLoss:
    @pytest.mark.parametrize("task", [CHOICE, CLASSES, PAIRS], ids=lambda task: task.kind)
    def test_with_no_deviation_a_step_is_ours_dropout_included(self, task: TaskConfig) -> None:
        ours, twin = made(task), made(task)
        items = items_of(task)
        torch.manual_seed(5)
        losses = finetune.l3_gradients(ours, items, TRAIN, StopRequest())
        torch.manual_seed(5)
        found = released_gradients(twin, items, TRAIN, NONE, n_positions=N_CTX)
        assert losses is not None
        assert found == pytest.approx((losses["task_loss_nats"], losses["lm_loss_nats"]), abs=1e-6)
        for one, other in zip(ours.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=0)

    def test_positions_in_the_softmax_cost_the_log_of_one_more_their_odds(self) -> None:
        gpt, batch = made(CLASSES).gpt.eval(), batch_of(CLASSES)
        matrix = embedding_matrix(gpt, N_CTX).detach()
        hidden = gpt.hidden(batch.ids).detach()
        released = language_loss(hidden, matrix, batch)
        logits = hidden @ matrix.t()
        odds = logits[..., N_VOCAB:].exp().sum(-1) / logits[..., :N_VOCAB].exp().sum(-1)
        more = [odds[row, :end].log1p().mean() for row, end in enumerate(batch.ends.tolist())]
        ours = model.language_loss(gpt, hidden, batch)
        assert (released - ours).item() == pytest.approx(torch.stack(more).mean().item(), abs=1e-6)
        assert released - ours > 0.1

    @pytest.mark.parametrize("competing", [False, True])
    def test_a_position_that_no_sequence_reaches_learns_only_where_it_competes(self, competing: bool) -> None:
        twin, items = made(CLASSES), items_of(CLASSES)
        assert max(item.length for item in items) < N_CTX
        released_gradients(twin, items, TRAIN, Deviations(position_logits=competing), N_CTX)
        assert twin.gpt.wpe.weight.grad is not None
        assert bool(twin.gpt.wpe.weight.grad[-1].any()) == competing

    def test_a_bias_changes_no_choice_and_stays_zero(self) -> None:
        twin, batch = made(CHOICE).eval(), batch_of(CHOICE)
        hidden = twin.gpt.hidden(batch.ids).detach()
        before = task_loss(CHOICE, outputs_of(twin, hidden, batch, shared_mask=False), batch.targets)
        twin.head = with_bias(twin.head)
        with torch.no_grad():
            twin.head.bias.fill_(3.0)
        loss = task_loss(CHOICE, outputs_of(twin, hidden, batch, shared_mask=False), batch.targets)
        loss.backward()
        assert loss.item() == pytest.approx(before.item(), abs=1e-6)
        assert twin.head.bias.grad is not None
        assert twin.head.bias.grad.abs().item() < 1e-6

    def test_a_bias_begins_as_the_head_without_one(self) -> None:
        head = made(CLASSES).head
        x = torch.randn(5, SIZES.n_embd, generator=torch.Generator().manual_seed(2))
        assert torch.equal(with_bias(head)(x), head(x))


class TestMatrixDropout:
    def test_a_dropped_matrix_is_one_for_all_groups_of_a_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = SIZES.replace(dropout=0.0)
        found: list[tuple[float, float]] = []
        gradients: list[Tensor] = []
        for group_tokens in (1000, 1):
            monkeypatch.setattr("gptrilogy.finetuning.batches.GROUP_TOKENS", group_tokens)
            twin = made(CLASSES, sizes)
            twin.head_dropout = 0.0
            twin.gpt.config = sizes.replace(dropout=0.5)  # in the embedding alone, so that no other mask is drawn
            torch.manual_seed(3)
            train = TRAIN.replace(bucket=False)
            found.append(released_gradients(twin, items_of(CLASSES), train, Deviations(dropped_matrix=True), N_CTX))
            assert twin.gpt.wte.weight.grad is not None
            gradients.append(twin.gpt.wte.weight.grad)
        assert found[0] == pytest.approx(found[1], abs=1e-5)
        assert_all_close(gradients[:1], gradients[1:], 1e-5)
        share = (gradients[0] == 0).float().mean().item()  # what was dropped is neither read nor predicted with
        assert abs(share - 0.5) < SURE * math.sqrt(0.25 / gradients[0].numel())

    def test_ours_drops_each_place_of_a_token_on_its_own(self) -> None:
        gpt = made(CLASSES, SIZES.replace(dropout=0.0)).gpt
        gpt.h = nn.ModuleList()
        gpt.ln_f = nn.Identity()
        with torch.no_grad():
            gpt.wpe.weight.zero_()
        ids = torch.full((1, 2), 7)
        matrix = embedding_matrix(gpt, N_CTX)
        torch.manual_seed(0)
        ours = hidden_states(gpt, matrix, ids, 0.5)[0]
        released = hidden_states(gpt, F.dropout(matrix, 0.5), ids, 0.0)[0]
        assert not torch.equal(ours[0], ours[1])
        assert torch.equal(released[0], released[1])


N_MASKS, P = 20_000, 0.1


@pytest.fixture
def answers() -> Tensor:
    """The hidden states of two answers, which are alike as answers to one question are."""
    generator = torch.Generator().manual_seed(4)
    common, own = torch.randn(8, generator=generator), torch.randn(2, 8, generator=generator)
    return common + 0.3 * own


class TestSharedMask:
    def test_the_scores_expected_are_those_without_dropout(self, answers: Tensor) -> None:
        for shared in (False, True):
            scores, head = drawn_scores(answers, shared=shared)
            errors = scores.std(0) / math.sqrt(N_MASKS)
            assert ((scores.mean(0) - answers @ head).abs() < SURE * errors).all()

    def test_a_shared_mask_moves_answers_together_and_ours_does_not(self, answers: Tensor) -> None:
        for shared in (False, True):
            scores, head = drawn_scores(answers, shared=shared)
            covariance = (P / (1 - P) * head.square() * answers[0] * answers[1]).sum()
            products = (scores - answers @ head).prod(1)  # of the errors of the two answers
            error = products.std() / math.sqrt(N_MASKS)
            assert (products.mean() - covariance * shared).abs() < SURE * error
            assert covariance > 4 * SURE * error  # so that neither would pass for the other

    def test_a_shared_mask_makes_less_noise_between_answers_that_are_alike(self, answers: Tensor) -> None:
        noise = {shared: drawn_scores(answers, shared=shared)[0].diff(dim=1).var().item() for shared in (False, True)}
        head = drawn_scores(answers, shared=True)[1]
        per_unit = P / (1 - P) * head.square()
        assert noise[True] == pytest.approx((per_unit * answers.diff(dim=0).square()).sum().item(), rel=0.1)
        assert noise[False] == pytest.approx((per_unit * answers.square()).sum().item(), rel=0.1)
        assert noise[True] < noise[False] / 2

    def test_answers_of_different_examples_have_masks_of_their_own(self) -> None:
        torch.manual_seed(0)
        dropped = head_dropout(torch.ones(5, 64), (2, 3), 0.5, shared=True, training=True)
        assert torch.equal(dropped[0], dropped[1])
        assert torch.equal(dropped[2], dropped[4])
        assert not torch.equal(dropped[0], dropped[2])


def drawn_scores(answers: Tensor, *, shared: bool) -> tuple[Tensor, Tensor]:
    """The scores of both answers under many masks, and the head that gives them.

    Shapes: answers (2, C) -> (N_MASKS, 2), (C,).
    """
    head = torch.linspace(-1, 2, answers.shape[1])
    torch.manual_seed(6)
    dropped = head_dropout(answers.repeat(N_MASKS, 1), (2,) * N_MASKS, P, shared=shared, training=True)
    return (dropped @ head).view(N_MASKS, 2), head


words = st.text("abcdef", min_size=1, max_size=40)


class TestSegments:
    @given(texts=st.tuples(words, words), n_ctx=st.integers(8, 90))
    def test_texts_are_cut_as_if_before_the_transformation(self, texts: tuple[str, str], n_ctx: int) -> None:
        tokenizer = BytesTokenizer()
        delimiter = SpecialTokens.after(tokenizer.n_vocab).delimiter
        room = n_ctx // 2 - 2
        whole = transform("entailment", [Example(texts)], tokenizer, n_ctx=n_ctx)[0].sequences[0]
        short = Example(tuple(text[:room] for text in texts))
        expected = transform("entailment", [short], tokenizer, n_ctx=n_ctx)[0]
        assert not expected.is_cut
        assert cut_segments(whole, delimiter, n_ctx) == expected.sequences[0]

    def test_ours_keeps_what_fits_where_the_released_code_cuts(self) -> None:
        tokenizer = BytesTokenizer()
        delimiter = SpecialTokens.after(tokenizer.n_vocab).delimiter
        example = Example(("a" * 20, "b"))
        (ours,) = transform("entailment", [example], tokenizer, n_ctx=24)[0].sequences
        assert len(ours) == 24
        assert len(cut_segments(ours, delimiter, 24)) == 10 + 1 + 3
