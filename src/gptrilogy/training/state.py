"""All that a training loop knows, so that it can be written down and taken up again bit for bit."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from gptrilogy.checkpoints import MANIFEST, Checkpoint, amend_checkpoint, read_checkpoint, write_checkpoint
from gptrilogy.config import Config, Tree, parse
from gptrilogy.devices import memory_bytes, pick_device
from gptrilogy.errors import CheckpointError, ConfigError
from gptrilogy.metrics import MetricsLog
from gptrilogy.models.gpt import GPT
from gptrilogy.models.weights import with_weights
from gptrilogy.runs import Run
from gptrilogy.scaling.compute import n_parameters
from gptrilogy.training.config import RunConfig
from gptrilogy.training.optimizer import build_optimizer, parameters

M = TypeVar("M", bound=nn.Module)
FIXED = ("model.", "task.", "train.optimizer", "train.lora_rank")  # what a checkpoint's tensors are made for


@dataclass(slots=True)
class TrainState(Generic[M]):
    """The model, its optimizer, and how far the run has come. Data order follows from `samples` alone."""

    model: M
    optimizer: torch.optim.Optimizer
    step: int = 0
    samples: int = 0
    skipped_in_a_row: int = 0
    elapsed_s: float = 0.0

    def save(self, run: Run, config: Config, *, judged: Mapping[str, float]) -> Path:
        """Write a checkpoint of this step into the run; `judged` goes into its manifest, also of one that is there.

        Raises: CheckpointError or RunError where the disk is full or cannot be written.
        """
        folder, summary = run.checkpoint_folder(self.step), {"step": self.step, **judged}
        MetricsLog(run.metrics_path).flush()  # no checkpoint without the rows before it
        if (folder / MANIFEST).exists():
            amend_checkpoint(folder, summary)
            return folder
        write_checkpoint(folder, self.checkpoint(config), tokenizer=run.tokenizer_folder, summary=summary)
        return folder

    def checkpoint(self, config: Config) -> Checkpoint:
        """All of it as it is written down; the tensors are those of the state, not copies."""
        tensors = optimizer_tensors(self.optimizer) | generators()
        values: dict[str, Any] = {
            "step": self.step,
            "samples": self.samples,
            "skipped_in_a_row": self.skipped_in_a_row,
            "elapsed_s": self.elapsed_s,
        }
        return Checkpoint(config.model_dump(mode="json"), self.model.state_dict(), tensors, values)


def restore(folder: Path, config: Config, build: Callable[[Checkpoint], TrainState[M]]) -> TrainState[M]:
    """The state as `TrainState.save` wrote it; `build` makes one of a checkpoint's weights alone.

    Raises: CheckpointError where a file is damaged, or belongs to another model or optimizer than `config` says.
    """
    checkpoint = read_checkpoint(folder)
    _check_same(folder, config, checkpoint)
    state = build(checkpoint)
    restore_optimizer(state.optimizer, checkpoint.train_tensors)
    restore_generators(checkpoint.train_tensors)
    try:
        return TrainState(state.model, state.optimizer, **checkpoint.train_values)
    except TypeError:
        raise CheckpointError(f"{folder} was written by another version: its training state has other fields") from None


def _check_same(folder: Path, config: Config, checkpoint: Checkpoint) -> None:
    """Compare a run's config with the one a checkpoint was written under, as far as its tensors depend on it.

    Raises: CheckpointError naming the first field that was changed since.
    """
    then = _flat(parse(type(config), checkpoint.config).model_dump(mode="json"))
    for name, value in _flat(config.model_dump(mode="json")).items():
        if name.startswith(FIXED) and "dropout" not in name and value != then.get(name):
            raise CheckpointError(
                f"{folder} was written with {name} {then.get(name)}, and the run's config.json says {value}: put that "
                "back, or begin another run"
            )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields by their dotted names.

    >>> _flat({"seed": 1, "model": {"n_layer": 2}})
    {'seed': 1, 'model.n_layer': 2}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(cast("Tree", value), f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def state_hash(checkpoint: Checkpoint) -> str:
    """SHA-256 of what decides how a run goes on: weights, moments, random generators and counters.

    Equal for two runs of one seed, since what the clock says is left out. A tensor counts by its name, type, shape and
    bytes, in the order of the names, so that it does not matter how a file lays them out.
    """
    digest = hashlib.sha256()
    parts = {"model": checkpoint.model, "train": checkpoint.train_tensors}
    named = {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}
    for name, tensor in sorted(named.items()):
        digest.update(f"{name} {tensor.dtype} {[*tensor.shape]}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    counters = {name: value for name, value in checkpoint.train_values.items() if name != "elapsed_s"}
    digest.update(json.dumps(counters, sort_keys=True).encode())
    return digest.hexdigest()


def fresh_state(config: RunConfig, device: torch.device) -> TrainState[GPT]:
    """A language model with initial weights from the seed; the global generator (dropout) starts from it too.

    Raises: ConfigError where this machine has too little memory.
    """
    check_memory(config)
    torch.manual_seed(config.seed)
    model = GPT(config.model, torch.Generator().manual_seed(config.seed)).to(device)
    return TrainState(model, build_optimizer(model, config.train))


def check_memory(config: RunConfig) -> None:
    """Refuse what the system would end half-way, without a word; activations, an estimate, are left out.

    Raises: ConfigError.
    """
    n_moments = 1 if config.train.optimizer == "muon" else 2
    n_weights = n_parameters(config.model)
    needed = (2 + n_moments) * 4 * n_weights
    if pick_device(config.train.device).type == "cpu" and needed > memory_bytes():
        raise ConfigError(
            f"a model of {n_weights:,} weights takes {needed / 1e9:,.1f} GB to train with its gradients and moments, "
            f"and this machine has {memory_bytes() / 1e9:,.1f} GB: choose a smaller one"
        )


def load_model(checkpoint: Checkpoint, device: torch.device) -> GPT:
    """The model of a checkpoint.

    Raises: CheckpointError where tensors are missing, left over, or of another shape than the config says.
    """
    return with_weights(parse(RunConfig, checkpoint.config).model, checkpoint.model, device)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors, named `optimizer.WEIGHT.QUANTITY`."""
    return {
        f"optimizer.{name}.{key}": value
        for name, parameter in parameters(optimizer).items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: "dict[str, Tensor] | Any") -> None:
    """Put back what `optimizer_tensors` gave."""
    by_name = parameters(optimizer)
    for full_name, tensor in tensors.items():
        if full_name.startswith("optimizer."):
            name, _, key = full_name.removeprefix("optimizer.").rpartition(".")
            parameter = by_name[name]
            place = tensor.device if key == "step" else parameter.device
            optimizer.state[parameter][key] = tensor.to(place)


def generators() -> dict[str, Tensor]:
    """The state of every random generator training draws from."""
    states = {"generator.cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["generator.cuda"] = torch.cuda.get_rng_state()
    return states


def restore_generators(tensors: "dict[str, Tensor] | Any") -> None:
    """Put back what `generators` gave."""
    torch.set_rng_state(tensors["generator.cpu"])
    if "generator.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["generator.cuda"])
