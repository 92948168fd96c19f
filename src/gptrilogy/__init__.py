"""GPT-1, GPT-2 and GPT-3 as one working system.

>>> import gptrilogy
>>> gptrilogy.__version__
'0.1.0'
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptrilogy.loading import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load":  # torch is imported when it is first needed
        from gptrilogy.loading import load

        return load
    raise AttributeError(f"module gptrilogy has no attribute {name}")
