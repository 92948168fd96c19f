"""How text is sampled. Needs no torch."""

from pydantic import Field

from gptrilogy.config import Config


class BeamSearch(Config):
    """The likeliest text that a beam finds. Source: GPT3 §2.4, which has a width of 4 and a length penalty of 0.6."""

    width: int = Field(default=4, ge=1, description="continuations kept side by side")
    length_penalty: float = Field(default=0.6, ge=0, le=10, description="0: the likeliest text, however short")


class Sampling(Config):
    """How the next token is chosen. The filters apply in this order: temperature, top-k, top-p."""

    temperature: float = Field(default=1.0, ge=0, le=100, description="0: always the most likely token")
    top_k: int | None = Field(default=None, ge=1, description="only the k most likely tokens, ties kept")
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="only the most likely tokens that together reach this probability"
    )
