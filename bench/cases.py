"""What is measured: three model sizes, and the five ways to train each. Needs no torch."""

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.devices import NO_BF16, bf16_unit
from gptrilogy.models.config import GPTConfig

OURS, OURS_FP32 = "ours bf16", "ours fp32"
PLAIN = "plain fp32"
TRANSFORMERS, TRANSFORMERS_FUSED = "transformers fp32", "transformers bf16 + fused"
DEFAULT = OURS if bf16_unit() else OURS_FP32  # what `gpt pretrain` picks on this CPU, for models as wide as these
ALL = (OURS, OURS_FP32, PLAIN, TRANSFORMERS, TRANSFORMERS_FUSED)
NARROW = (OURS, TRANSFORMERS_FUSED)  # whose steps take many times as long where bf16 is emulated
ABSENT: dict[str, str] = {} if bf16_unit() else dict.fromkeys(NARROW, NO_BF16)
CONTENDERS = tuple(name for name in ALL if name not in ABSENT)


class Case(Config):
    """One model and batch. A sample is the time of `sample_steps` steps, so that a process's waking hardly counts."""

    name: str
    model: GPTConfig
    batch_size: int = Field(ge=1)
    sample_steps: int = Field(default=1, ge=1)

    @property
    def step_tokens(self) -> int:
        return self.batch_size * self.model.n_ctx


CASES = (
    Case(
        name="0.8M",
        model=GPTConfig(n_layer=4, n_embd=128, n_head=4, n_ctx=64, n_vocab=65),
        batch_size=12,
        sample_steps=20,
    ),
    Case(name="10.7M", model=GPTConfig(n_layer=6, n_embd=384, n_head=6, n_ctx=256, n_vocab=65), batch_size=16),
    Case(name="124M", model=GPTConfig.preset("gpt2-small"), batch_size=1),
)
