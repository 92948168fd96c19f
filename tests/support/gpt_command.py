"""What the tests of the command `gpt` share: a text, a tiny model, and what a command said."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom.\n\n" * 80
TINY = ["--model.n-layer", "1", "--model.n-embd", "16", "--model.n-head", "2", "--model.n-ctx", "16"]
TINY += ["--train.batch-size", "4", "--train.learning-rate", "0.01", "--train.precision", "fp32", "--budget", "60s"]


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Gpt = Callable[..., Said]
