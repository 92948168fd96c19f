"""GPT-2 for classification as transformers trains it: its model, its Trainer, its collator, at their defaults.

What differs from the defaults is what equal work asks for: the weights, the order of the examples, the rate and the
decay are ours; and nothing is saved or drawn on the screen.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import (
    DataCollatorWithPadding,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from bench.finetuning_contenders import SEED, Contender, OnStep, Start, Step
from gptrilogy.finetuning.batches import Item
from gptrilogy.interop.names import HF_GPT2, to_theirs

MOST_STEPS = 4096  # more than are ever asked for
PAD = "<|endoftext|>"  # as GPT-2 is usually padded; no example holds it


class Stream(torch.utils.data.Dataset[dict[str, Any]]):
    """Examples as a tokenizer of theirs would give them, one epoch after the other."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        [ids] = self._items[index].sequences
        return {"input_ids": list(ids), "attention_mask": [1] * len(ids), "label": int(self._items[index].target)}


class WatchedTrainer(Trainer):
    """The Trainer, telling what each step went through when the step has ended."""

    def __init__(self, on_step: OnStep, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._newest = Step(0, 0.0, 0, 0)
        self.add_callback(_AtStepEnd(lambda: on_step(self._newest)))

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._newest = Step(len(ids), loss.item(), int(mask.sum()), ids.numel())
        return loss


class _AtStepEnd(TrainerCallback):
    def __init__(self, call: Any) -> None:
        self._call = call

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._call()


def contender(start: Start, batch_size: int, *, bf16: bool) -> Contender:
    model = their_model(start)
    train = start.config.train
    arguments = TrainingArguments(
        output_dir=tempfile.gettempdir(),  # it makes the folder, and then saves nothing
        per_device_train_batch_size=batch_size,
        learning_rate=train.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=train.weight_decay,
        num_train_epochs=1,
        bf16=bf16,
        use_cpu=True,
        train_sampling_strategy="sequential",
        seed=SEED,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,  # of no use without a GPU, and it would warn
    )
    data, pads = (
        Stream(start.batch(0, MOST_STEPS * train.batch_size)),
        DataCollatorWithPadding(_tokenizer(start.eot_id)),
    )

    def make_steps(on_step: OnStep) -> None:
        trainer = WatchedTrainer(on_step, model=model, args=arguments, train_dataset=data, data_collator=pads)
        trainer.train()

    return Contender(model, make_steps)


def their_model(start: Start) -> Any:
    """Their model with our initial weights."""
    sizes, ours = start.config.model, start.model()
    config = GPT2Config(
        vocab_size=sizes.n_vocab,
        n_positions=sizes.n_ctx,
        n_embd=sizes.n_embd,
        n_head=sizes.n_head,
        n_layer=sizes.n_layer,
        resid_pdrop=sizes.dropout,
        embd_pdrop=sizes.dropout,
        attn_pdrop=sizes.dropout,
        bos_token_id=start.eot_id,
        eos_token_id=start.eot_id,
        pad_token_id=start.eot_id,
    )
    config.num_labels = start.config.task.n_outputs
    model: Any = GPT2ForSequenceClassification(config)
    weights = to_theirs(ours.gpt.state_dict(), sizes, HF_GPT2) | {"score.weight": ours.head.weight.detach()}
    model.load_state_dict(weights)
    return model


def _tokenizer(pad_id: int | None) -> PreTrainedTokenizerFast:
    """One that can pad, which is all a collator wants of it."""
    assert pad_id is not None
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({PAD: pad_id}, PAD)), pad_token=PAD)
