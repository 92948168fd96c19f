"""What a fine-tuning run is: the model it starts from, the task, the optimisation. Needs no torch."""

from typing import Literal

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.finetuning.tasks import KindName
from gptrilogy.models.config import GPTConfig
from gptrilogy.training.config import LoopConfig

Regression = Literal["classes", "mse"]
MetricName = Literal["accuracy", "f1", "macro_f1", "matthews", "pearson", "spearman"]

OF_CLASSES: tuple[MetricName, ...] = ("accuracy", "f1", "macro_f1", "matthews")
METRICS_OF: dict[str, tuple[MetricName, ...]] = {"choice": ("accuracy",), "regression": ("pearson", "spearman")}


class TaskConfig(Config):
    """What is predicted from what. The fields after `metrics` follow from the training examples."""

    name: str = Field(default="classification", description="a kind of task, or the published data set it comes from")
    kind: KindName = Field(default="classification", description="which input transformation and which head")
    columns: dict[str, str] = Field(default={}, description="field of the task -> column name, or number from 0")
    metrics: tuple[MetricName, ...] = Field(default=(), description="the first one chooses the best checkpoint")
    regression: Regression = Field(
        default="classes",
        description="classes: a soft target on the two nearest whole numbers, as GPT-1's code; mse: squared error",
    )
    labels: tuple[str, ...] = Field(default=(), description="names of the classes, in the order of the head's outputs")
    low: float = Field(default=0.0, description="least whole score a head for regression by classes knows")
    high: float = Field(default=0.0, description="largest one")
    mean: float = Field(default=0.0, description="of the training scores, which squared error takes out")
    std: float = Field(default=1.0, description="of the same, by which it divides")

    def check(self) -> None:
        fitting = METRICS_OF.get(self.kind, OF_CLASSES)
        for metric in self.metrics:
            if metric not in fitting:
                raise ValueError(f"metrics of {self.kind} are {', '.join(fitting)}, got {metric}")

    @property
    def n_outputs(self) -> int:
        """Numbers the linear head gives for a sequence, or for a pair of them."""
        match self.kind:
            case "choice":
                return 1
            case "regression":
                return 1 if self.regression == "mse" else round(self.high - self.low) + 1
            case _:
                return len(self.labels)


EPOCHS = 3.0  # "for most" tasks, GPT1 §4.1


class TuneConfig(LoopConfig):
    """How a model is fine-tuned. Defaults are GPT-1's; those it does not publish come from its released code.

    Source: GPT1 §4.1; Adam's 0.9, 0.999, 1e-8 and clipping at 1 from its released code.
    """

    epochs: float | None = Field(default=None, gt=0, description="passes over the examples, unless max_steps; none: 3")
    batch_size: int = Field(default=32, ge=1, description="examples an optimizer step")
    learning_rate: float = Field(default=6.25e-5, gt=0, description="peak rate")
    warmup_fraction: float = Field(default=0.002, ge=0, lt=1, description="share of the steps with linear warm-up")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="of Adam")
    weight_decay: float = Field(default=0.01, ge=0, description="decoupled, on matrices and embeddings only")
    valid_every: int | None = Field(default=None, ge=1, description="steps between validations; none: once an epoch")
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="steps between checkpoints; none: at each validation"
    )
    lm_weight: float = Field(
        default=0.5, ge=0, description="lambda: weight of the language-modelling loss on the fine-tuning inputs"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="in the model, as in its pretraining by GPT-1")
    head_dropout: float = Field(default=0.1, ge=0, lt=1, description="on what the linear head reads")
    transfer_layers: int | None = Field(
        default=None,
        ge=-1,
        description="blocks whose pretrained weights are taken over; none: all; 0: embeddings alone; -1: nothing",
    )
    freeze_blocks: int = Field(
        default=0, ge=0, description="first blocks that stay as they are, and with them the pretrained embeddings"
    )
    l2_sp: float = Field(default=0.0, ge=0, description="pull of each weight toward its pretrained value (L2-SP)")
    replay: float = Field(
        default=0.0, ge=0, description="windows of pretraining text a step, as a share of batch_size, mixed into it"
    )
    lora_rank: int | None = Field(
        default=None, ge=1, description="train only low-rank adapters of this rank on c_attn, and what is new (LoRA)"
    )
    lora_alpha: float = Field(default=16.0, gt=0, description="adapters count alpha / rank")
    bucket: bool = Field(default=True, description="within a batch, run sequences of like length together")

    def check(self) -> None:
        if self.max_steps and self.epochs:
            raise ValueError("give train.max_steps or train.epochs, not both")
        if self.lora_rank and (self.freeze_blocks or self.l2_sp):
            raise ValueError("train.lora_rank leaves all pretrained weights as they are: drop freeze_blocks and l2_sp")


class FinetuneConfig(Config):
    """Everything that decides the numbers of a fine-tuning run."""

    base: str = Field(default="", description="the pretrained model, as it was named")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of the new weights, the order of examples and dropout")
    task: TaskConfig = TaskConfig()
    model: GPTConfig = GPTConfig()
    train: TuneConfig = TuneConfig()
