"""A fine-tuned model with its tokenizer: examples in, labels and probabilities out."""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gptrilogy.checkpoints import Checkpoint
from gptrilogy.devices import pick_device
from gptrilogy.finetuning.batches import Item
from gptrilogy.finetuning.config import FinetuneConfig, TaskConfig
from gptrilogy.finetuning.judging import predict
from gptrilogy.finetuning.model import FineTuned
from gptrilogy.finetuning.saved import restore_finetuned
from gptrilogy.finetuning.tasks import Example
from gptrilogy.finetuning.transforms import transform
from gptrilogy.tokenizers import Tokenizer

AT_ONCE = 64  # examples, at most

Label: TypeAlias = str | int | float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one example.

    `label`: the name of a class, the index of an answer, or a score. `probabilities`: of every class by its name, of
    every answer by its index, of every whole score; empty where a score is one number.
    """

    label: Label
    probabilities: dict[str, float] = field(default_factory=dict[str, float])
    is_cut: bool = False


class Predictor:
    """Labels for examples. A prediction does not depend on its neighbours beyond the rounding of fp32."""

    def __init__(self, config: FinetuneConfig, model: FineTuned, tokenizer: Tokenizer) -> None:
        self.config = config
        self.model = model.eval()
        self.tokenizer = tokenizer

    @classmethod
    def of(cls, checkpoint: Checkpoint, tokenizer: Tokenizer, *, device: str = "auto") -> "Predictor":
        """What a fine-tuning run has learned.

        Raises: CheckpointError where the weights do not fit; ConfigError where the config is not a fine-tuning run's.
        """
        return cls(*restore_finetuned(checkpoint, pick_device(device)), tokenizer)

    def __call__(self, examples: Sequence[Example]) -> list[Prediction]:
        """A prediction for each example; labels they carry are not looked at.

        Raises: ConfigError where the context has no room for a token of each text; TokenizerError.
        """
        task = self.config.task
        made = transform(task.kind, examples, self.tokenizer, n_ctx=self.config.model.n_ctx)
        predicted = predict(self.model, [Item(one.sequences, float("nan")) for one in made])
        assert predicted is not None
        return [
            Prediction(_label(task, value), _named(task, shares), one.is_cut)
            for value, shares, one in zip(predicted.values.tolist(), predicted.probabilities, made, strict=True)
        ]

    def stream(self, examples: Iterable[Example]) -> Iterator[tuple[Example, Prediction]]:
        """The same for examples as they come: what has arrived is predicted together, and nothing waits for more.

        Raises: what `examples` raises, after everything before it was given out.
        """
        arriving: queue.Queue[Example | BaseException | None] = queue.Queue(maxsize=2 * AT_ONCE)
        threading.Thread(target=_feed, args=(examples, arriving), daemon=True).start()
        ended: list[BaseException | None] = []
        while not ended:
            batch, ended = _arrived(arriving)
            yield from zip(batch, self(batch) if batch else (), strict=True)
        if ended[0] is not None:
            raise ended[0]


def _feed(examples: Iterable[Example], arriving: "queue.Queue[Example | BaseException | None]") -> None:
    """Pass examples on, and at last None, or the error that ended them."""
    try:
        for example in examples:
            arriving.put(example)
    except BaseException as error:  # noqa: BLE001 - raised again where the examples are used
        arriving.put(error)
    else:
        arriving.put(None)


def _arrived(
    arriving: "queue.Queue[Example | BaseException | None]",
) -> tuple[list[Example], list[BaseException | None]]:
    """One example at least, and what else is there; and how they ended, if they have."""
    batch: list[Example] = []
    while len(batch) < AT_ONCE:
        try:
            found = arriving.get(block=not batch)
        except queue.Empty:
            break
        if not isinstance(found, Example):
            return batch, [found]
        batch.append(found)
    return batch, []


def _label(task: TaskConfig, value: float) -> Label:
    match task.kind:
        case "regression":
            return value
        case "choice":
            return int(value)
        case _:
            return task.labels[int(value)]


def _named(task: TaskConfig, shares: Sequence[float]) -> dict[str, float]:
    match task.kind:
        case "regression":
            names = [f"{task.low + level:g}" for level in range(len(shares))]
        case "choice":
            names = [str(index) for index in range(len(shares))]
        case _:
            names = list(task.labels)
    return dict(zip(names, shares, strict=True))
