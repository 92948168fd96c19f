"""Fine-tuning: GPT-1's L3 on labelled examples, with guards against forgetting, by the loop of all training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptrilogy.checkpoints import Checkpoint, best, read_checkpoint
from gptrilogy.data.loader import Loader
from gptrilogy.data.shards import PackedData
from gptrilogy.devices import pick_device
from gptrilogy.finetuning.batches import GROUP_TOKENS, Batch, Item, chosen, in_groups
from gptrilogy.finetuning.config import FinetuneConfig, TuneConfig
from gptrilogy.finetuning.judging import confusion_table, estimates, predict, scores
from gptrilogy.finetuning.lora import add_adapters
from gptrilogy.finetuning.model import FineTuned, freeze, language_loss, taken_over, task_loss
from gptrilogy.finetuning.saved import language_model, rebuild, restore_finetuned
from gptrilogy.finetuning.transforms import N_SPECIAL
from gptrilogy.metrics import Row
from gptrilogy.models.gpt import GPT
from gptrilogy.runs import Run
from gptrilogy.training.beginning import begin
from gptrilogy.training.loop import Judgement, OnProgress, Outcome, Reporter, autocast, run_loop
from gptrilogy.training.optimizer import build_optimizer
from gptrilogy.training.schedule import linear_learning_rate
from gptrilogy.training.signals import StopRequest
from gptrilogy.training.state import TrainState
from gptrilogy.training.validation import Validation, validate

FORGETTING_TOKENS = 65_536  # of held-out pretraining text, at most, on which forgetting is measured


@dataclass(frozen=True, slots=True)
class FinetuneData:
    """What a run reads: examples as tokens, and text like that of the pretraining, if there is any."""

    train: Sequence[Item]
    valid: Sequence[Item]
    pretraining: PackedData | None = None


def finetune(
    config: FinetuneConfig,
    run: Run,
    data: FinetuneData,
    reporter: Reporter,
    stop: StopRequest,
    *,
    stop_at: int | None = None,
) -> Outcome:
    """Train until `max_steps`, `stop_at` or a signal, from the newest valid checkpoint of the run or from RUN/initial.

    `config` is resolved, and the run holds its initial weights.

    Raises: DivergedError after three steps in a row whose loss or gradient is not finite; CheckpointError; DataError.
    Source: GPT1 §3.2, §4.1.
    """
    state = begin(run, config, reporter, state_builder(config, run))
    return run_loop(run, state, FineTuning(config, run, data), reporter, stop, stop_at=stop_at)


def state_builder(config: FinetuneConfig, run: Run) -> Callable[[Checkpoint | None], TrainState[FineTuned]]:
    """How a state begins: from the weights of a checkpoint, or from those the run began with and the seed."""
    device, train = pick_device(config.train.device), config.train

    def build(checkpoint: Checkpoint | None) -> TrainState[FineTuned]:
        model = rebuild(config, initial_weights(run) if checkpoint is None else checkpoint.model, device)
        if checkpoint is None:
            torch.manual_seed(config.seed)
            if train.lora_rank:
                add_adapters(model.gpt, train.lora_rank, train.lora_alpha, torch.Generator().manual_seed(config.seed))
                model.to(device)
        spared = freeze(model, train)
        return TrainState(model, build_optimizer(model, train, spared=spared))

    return build


def initial_weights(run: Run) -> Mapping[str, Tensor]:
    """What the run began with.

    Raises: CheckpointError where a file is missing or damaged.
    """
    return read_checkpoint(run.initial_folder, with_train_state=False).model


class FineTuning:
    """L3 = L2 + lambda L1 on the examples of a step, and what guards against forgetting.

    Source: GPT1 eq. 3-5, as means where the paper writes sums.
    """

    def __init__(self, config: FinetuneConfig, run: Run, data: FinetuneData) -> None:
        self.config, self.train = config, config.train
        self._run, self._data = run, data
        self._device = pick_device(config.train.device)
        self._pretrained: Mapping[str, Tensor] = {}
        if self.train.l2_sp:
            began = initial_weights(run)
            names = [f"gpt.{name}" for name in taken_over(config.model, self.train.transfer_layers)]
            self._pretrained = {name: began[name].to(self._device) for name in names}
        self._replay: Loader | None = None
        if self.train.replay:
            assert data.pretraining is not None
            self._replay = Loader(data.pretraining.train, n_ctx=config.model.n_ctx, seed=config.seed)

    def learning_rate(self, step: int) -> float:
        max_steps = self.train.max_steps or 1
        return linear_learning_rate(
            self.train.learning_rate, step=step, max_steps=max_steps, warmup_fraction=self.train.warmup_fraction
        )

    def gradients(self, state: TrainState[FineTuned], stop: StopRequest, on_progress: OnProgress) -> Row | None:
        size = self.train.batch_size
        places = chosen(len(self._data.train), state.samples, size, seed=self.config.seed)
        items = [self._data.train[place] for place in places]
        state.model.train()
        state.model.zero_grad(set_to_none=True)
        losses = l3_gradients(
            state.model, items, self.train, stop, on_done=lambda done: on_progress(state.step + 1, done, size)
        )
        if losses is None:
            return None
        if self._replay is not None:
            n_windows = max(1, round(self.train.replay * size))
            loss = replay_gradients(state.model.gpt, self._replay, state.step * n_windows, n_windows, self.train, stop)
            if loss is None:
                return None
            losses["replay_loss_nats"] = loss
            losses["loss_nats"] += n_windows / size * loss
        pull(state.model, self._pretrained, self.train.l2_sp)
        return losses

    def progress(self, samples: int) -> Row:
        return {"examples": samples}

    def validate(self, state: TrainState[FineTuned], stop: StopRequest, *, last: bool) -> Judgement | None:
        """The last time, the best checkpoint is judged, with intervals, and what it has forgotten."""
        model = self._best_model() if last else state.model
        task, items = self.config.task, self._data.valid
        with autocast(self.train, self._device):
            predicted = predict(model, items, stop)
        if predicted is None:
            return None
        row: Row = {"loss_nats": predicted.loss_nats, **scores(task, items, predicted)}
        kept = {"valid_score": row[task.metrics[0]]}
        if last:
            found = estimates(task, items, predicted)
            row |= {f"{name}_95": [estimate.low, estimate.high] for name, estimate in found.items()}
            if task.labels:
                row["confusion"] = confusion_table(task, items, predicted)
            forgotten = forgetting(language_model(model), self._data.pretraining, stop)
            if stop:
                return None
            row |= {} if forgotten is None else {"pretraining_loss_nats": forgotten.loss_nats}
        return Judgement(row, kept)

    def _best_model(self) -> FineTuned:
        folder = best(self._run.checkpoints_folder)
        assert folder is not None
        return restore_finetuned(read_checkpoint(folder, with_train_state=False), self._device)[1]


def l3_gradients(
    model: FineTuned,
    items: Sequence[Item],
    train: TuneConfig,
    stop: StopRequest,
    on_done: Callable[[int], None] = lambda _: None,
) -> Row | None:
    """Add the gradient of L2 + lambda L1 over the examples of a step, a group of like length at a time.

    -> `loss_nats`, which is L3, and its two parts. None where a request to stop came in between.
    """
    device = model.head.weight.device
    n_sequences = sum(len(item.sequences) for item in items)
    task_nats, lm_nats, done = 0.0, 0.0, 0
    for group in in_groups(items, bucket=train.bucket):
        if stop:
            return None
        batch = Batch.of(group, device)
        with autocast(train, device):
            outputs, hidden = model(batch)
            L2 = task_loss(model.task, outputs, batch.targets) * (len(group) / len(items))
            L1 = torch.zeros((), device=device)
            if train.lm_weight:
                L1 = language_loss(model.gpt, hidden, batch) * (len(batch.ids) / n_sequences)
            loss = L2 + train.lm_weight * L1
        loss.backward()
        task_nats += L2.item()
        lm_nats += L1.item()
        done += len(group)
        on_done(done)
    parts = {"task_loss_nats": task_nats, **({"lm_loss_nats": lm_nats} if train.lm_weight else {})}
    return {"loss_nats": task_nats + train.lm_weight * lm_nats, **parts}


def replay_gradients(
    gpt: GPT, loader: Loader, first_window: int, n_windows: int, train: TuneConfig, stop: StopRequest
) -> float | None:
    """Add the gradient of windows of pretraining text, each of which counts as much as an example of the batch.

    -> their mean loss in nats a token. None where a request to stop came in between.
    """
    at_once = max(1, GROUP_TOKENS // loader.n_ctx)
    total = 0.0
    for start in range(0, n_windows, at_once):
        if stop:
            return None
        size = min(at_once, n_windows - start)
        with autocast(train, gpt.wte.weight.device):
            loss = gpt.loss(loader.batch(first_window + start, size).to(gpt.wte.weight.device))
        (loss * (size / train.batch_size)).backward()
        total += loss.item() * size / n_windows
    return total


@torch.no_grad()
def pull(model: FineTuned, pretrained: Mapping[str, Tensor], strength: float) -> None:
    """Add the gradient of strength / 2 times the squared distance of each `pretrained` weight from where it began.

    Source: L2-SP of Li et al. 2018, without its second term on what is new.
    """
    n_pretrained = model.gpt.config.n_vocab - N_SPECIAL
    for name, weight in model.named_parameters():
        if name in pretrained and weight.grad is not None:
            rows = slice(n_pretrained if name == "gpt.wte.weight" else None)
            weight.grad[rows].add_(weight[rows] - pretrained[name][rows], alpha=strength)


def forgetting(gpt: GPT, pretraining: PackedData | None, stop: StopRequest | None = None) -> Validation | None:
    """The loss on held-out text of the pretraining, which says what fine-tuning has cost; None where there is none."""
    if pretraining is None or not len(pretraining.valid):
        return None
    return validate(gpt, pretraining.valid, stop, max_windows=max(1, FORGETTING_TOKENS // gpt.config.n_ctx))
