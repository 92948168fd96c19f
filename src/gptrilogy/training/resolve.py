"""Filling in what a config leaves open, once, so that what is stored with a run is the whole truth about it."""

import math

from gptrilogy.data.shards import PackedData, PackedSet
from gptrilogy.devices import memory_bytes, pick_device, pick_precision
from gptrilogy.errors import ConfigError, DataError
from gptrilogy.scaling.plan import memory_by_part
from gptrilogy.training.config import RunConfig

MICRO_BATCH_TOKENS = 8192  # more at a time is no faster on a CPU
MEMORY_SHARE = 0.5


def resolve(config: RunConfig, data: PackedData) -> tuple[RunConfig, list[str]]:
    """Set vocabulary, precision, micro-batch size, steps and the end of the decay; say what was chosen and why.

    Raises: ConfigError where a value does not fit the text; DataError where nothing is left to validate on.
    """
    if not len(data.valid):
        raise DataError("no text is left to validate on: give more text, or a file of its own with --valid")
    for one in data.sets:
        _check_set(one, config.model.n_ctx)
    notes: list[str] = []
    n_vocab = data.index.tokenizer.n_vocab
    model = config.model.replace(n_vocab=n_vocab)
    train = config.train
    precision = train.precision
    if precision == "auto":
        precision, reason = pick_precision(pick_device(train.device), model.n_embd)
        notes.append(f"precision {precision}: {reason}")
    steps = train.max_steps
    if steps is None and train.epochs is not None:
        windows = len(data.train) // model.n_ctx
        steps = max(1, round(train.epochs * windows / train.batch_size))
        notes.append(f"{train.epochs:g} epochs of {len(data.train):,} tokens are {steps:,} steps")
    if steps is None:
        raise ConfigError("the length of training is open: give --max-steps, --train.epochs or --budget")
    config = config.replace(model=model.model_dump(), train={"precision": precision})
    micro = train.micro_batch_size or micro_batch_size(config)
    changes = {
        "max_steps": steps,
        "epochs": None,
        "micro_batch_size": min(micro, train.batch_size),
        "decay_steps": train.decay_steps or (None if train.decay_tokens else steps),
    }
    return config.replace(train=changes, data={"weights": {one.name: one.weight for one in data.sets}}), notes


def _check_set(one: PackedSet, n_ctx: int) -> None:
    if len(one.train) <= n_ctx or not len(one.valid):
        raise DataError(
            f"the set {one.name} has {len(one.train)} tokens to train on and {len(one.valid)} held out, and must have "
            f"n_ctx + 1 = {n_ctx + 1} and 1: give it more text, leave it out with a weight of 0, or lower --model.n-ctx"
        )


def micro_batch_size(config: RunConfig) -> int:
    """As many sequences at a time as are useful and fit into half of this machine's memory; at least one."""
    n_ctx, batch_size = config.model.n_ctx, config.train.batch_size
    precision = "bf16" if config.train.precision == "bf16" else "fp32"
    most = min(batch_size, max(1, MICRO_BATCH_TOKENS // n_ctx))
    for size in range(most, 1, -1):
        if sum(memory_by_part(config.model, size, precision).values()) <= MEMORY_SHARE * memory_bytes():
            return math.ceil(batch_size / math.ceil(batch_size / size))  # even portions
    return 1
