"""What is fine-tuned, and the ways to do it that are timed against each other. Needs no torch."""

from pathlib import Path

from pydantic import Field

from gptrilogy.config import Config
from gptrilogy.devices import NO_BF16, Precision, bf16_unit
from gptrilogy.models.config import GPTConfig

PRECISION: Precision = "bf16" if bf16_unit() else "fp32"  # what `gpt finetune` picks on this CPU for GPT-2's width
OURS = f"ours {PRECISION}"
OURS_LM, OURS_FP32, OURS_UNBUCKETED = f"{OURS}, lambda 0.5", "ours fp32", "ours fp32, unbucketed"
TRAINER, TRAINER_BF16, TRAINER_8 = "Trainer fp32", "Trainer bf16", "Trainer fp32, batch 8"
# The first two are the claim; where memory is short, those at the end are left out.
ALL = (OURS, TRAINER, TRAINER_BF16, OURS_LM, OURS_FP32, OURS_UNBUCKETED, TRAINER_8)
SLOW = set() if bf16_unit() else {TRAINER_BF16}  # it would take many times as long
CONTENDERS = tuple(name for name in dict.fromkeys(ALL) if name not in SLOW)
ABSENT = tuple(f"{name}: {NO_BF16}" for name in SLOW)
SAME_IN_FP32 = (OURS_FP32, OURS_UNBUCKETED, TRAINER)  # one computation three times: losses must agree at every step
TRAINER_BATCH = 8  # examples a step, by its default


class TuneCase(Config):
    """Examples of sentence pairs, a tokenizer, and the shape of the model before it gets the special tokens."""

    examples: Path = Field(description="a table with the columns premise, hypothesis and label")
    tokenizer: str = Field(description="as load_tokenizer takes it; of the model's n_vocab")
    model: GPTConfig
    n_examples: int = Field(default=2048, ge=1, description="drawn from the table")
    batch_size: int = Field(default=32, ge=TRAINER_BATCH, multiple_of=TRAINER_BATCH, description="examples a step")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="the default of both sides")


def snli(data: Path, dropout: float) -> TuneCase:
    """GPT-2 small on SNLI's validation split, from a folder that also holds GPT-2's published tokenizer."""
    return TuneCase(
        examples=data / "finetune" / "snli" / "validation.tsv",
        tokenizer=str(data / "vocab" / "gpt2"),
        model=GPTConfig.preset("gpt2-small"),
        dropout=dropout,
    )
