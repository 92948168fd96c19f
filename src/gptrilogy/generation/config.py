"""How text is sampled. Needs no torch."""

from pydantic import Field

from gptrilogy.config import Config


class Sampling(Config):
    """How the next token is chosen. The filters apply in this order: temperature, top-k, top-p."""

    temperature: float = Field(default=1.0, ge=0, le=100, description="0: always the most likely token")
    top_k: int | None = Field(default=None, ge=1, description="only the k most likely tokens, ties kept")
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="only the most likely tokens that together reach this probability"
    )
