"""Ids to logits: `GPT`, its `GPTConfig`, and the cache for decoding. Importing this package imports no torch."""

from typing import TYPE_CHECKING, Any

from gptrilogy.models.config import PRESETS, GPTConfig

if TYPE_CHECKING:
    from gptrilogy.models.cache import KVCache
    from gptrilogy.models.gpt import GPT

__all__ = ["GPT", "PRESETS", "GPTConfig", "KVCache"]


def __getattr__(name: str) -> Any:
    if name == "GPT":
        from gptrilogy.models.gpt import GPT

        return GPT
    if name == "KVCache":
        from gptrilogy.models.cache import KVCache

        return KVCache
    raise AttributeError(f"module {__name__} has no attribute {name}")
