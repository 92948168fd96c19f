"""A model of ours in EleutherAI's evaluation harness: `lm_eval --model gptrilogy --model_args path=RUN --tasks ...`.

The harness finds the class by its entry point in the group `lm_eval.models`. Its release 0.4.13 does not look for entry
points yet; there `python -m gptrilogy.lm_eval` stands for `lm_eval`, with the same arguments.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Self, cast

import torch
from pydantic import AliasChoices, Field

from gptrilogy.config import Config, parse, suggest
from gptrilogy.errors import ConfigError, GPTrilogyError, MissingExtraError
from gptrilogy.extras import needs
from gptrilogy.generation.config import Sampling
from gptrilogy.loading import load

try:
    with needs("eval", purpose="the evaluation harness"):
        from lm_eval.api.instance import Instance
        from lm_eval.api.model import LM
        from lm_eval.utils import simple_parse_args_string  # pyright: ignore[reportUnknownVariableType] - untyped
        from tqdm import tqdm
except MissingExtraError as missing:
    if __name__ != "__main__":
        raise
    sys.exit(f"error: {missing}")


class GenerationSettings(Config):
    """How one request of `generate_until` is continued, under the harness's names for it."""

    until: str | tuple[str, ...] | None = Field(default=None, description="strings that end the text")
    max_gen_toks: int = Field(
        default=256,
        ge=1,
        validation_alias=AliasChoices("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"),
        description="tokens at most",
    )
    do_sample: bool | None = Field(default=None, description="none: where the temperature is above 0")
    temperature: float | None = Field(default=None, description="none: 1 with do_sample, else 0")
    top_k: int | None = Field(default=None, description="0 keeps all, as in transformers")
    top_p: float | None = Field(default=None, description="none: keeps all")

    def sampling(self) -> Sampling:
        """Raises: ConfigError for a value out of range."""
        temperature = self.temperature if self.temperature is not None else float(bool(self.do_sample))
        return Sampling().replace(
            temperature=0.0 if self.do_sample is False else temperature,
            top_k=self.top_k or None,
            top_p=1.0 if self.top_p is None else self.top_p,
        )

    def stops(self) -> tuple[str, ...]:
        return (self.until,) if isinstance(self.until, str) else self.until or ()


class GPTrilogyLM(LM):
    """Whatever `gptrilogy.load` takes, as the harness asks for it: three verbs over text.

    `batch_size` (`auto` is 1) is what `score_pairs` makes of it: rows at least; the numbers do not need it. Sampling
    follows the harness's `--seed`.

    Raises: ConfigError for unknown `--model_args`, and what `gptrilogy.load` raises.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        device: str = "auto",
        batch_size: int | str = 1,
        max_batch_size: int | None = None,  # noqa: ARG002 - how far a search by `auto` may go; ours needs none
        **unknown: object,
    ) -> None:
        super().__init__()
        if unknown:
            name = next(iter(unknown))
            raise ConfigError(f"unknown model_args {name}: {suggest(name, ('path', 'device', 'batch_size'))}")
        if path is None:
            raise ConfigError("model_args lack path; give --model_args path=RUN, a run or checkpoint folder")
        self.path = str(path)
        self.language_model = load(self.path, device=device)
        self.batch_size = _batch_size(batch_size)
        self.seed = torch.initial_seed()

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> Self:
        """What the harness calls with `--model_args` as they were written."""
        return cls.create_from_arg_obj(cast("dict[str, Any]", simple_parse_args_string(arg_string)), additional_config)

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> Self:
        """What the harness calls with `--model_args` and, second to them, options of its own.

        Its device is cuda:0 where nobody named one, on machines without it too: that means `auto`.
        """
        options = {name: value for name, value in (additional_config or {}).items() if value is not None}
        if options.get("device") == "cuda:0":
            del options["device"]
        return cls(**{**options, **arg_dict})

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Raises: PromptError as `encode_pairs`, and for a continuation longer than the context."""
        texts = [(context, continuation) for context, continuation in map(_arguments, requests)]
        with tqdm(total=len(texts), desc="loglikelihood", disable=disable_tqdm) as bar:
            scores = self.language_model.loglikelihood(
                texts, batch_size=self.batch_size, truncate=True, on_scored=bar.update
            )
        return [(score.nats, score.greedy) for score in scores]

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Raises: PromptError where the tokenizer has no end of text to begin with."""
        texts = [text for (text,) in map(_arguments, requests)]
        with tqdm(desc="loglikelihood_rolling", unit="window", disable=disable_tqdm) as bar:
            return self.language_model.loglikelihood_rolling(texts, batch_size=self.batch_size, on_scored=bar.update)

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Raises: ConfigError for a setting that is unknown or out of range; PromptError where it fills the context."""
        alike: dict[GenerationSettings, list[int]] = defaultdict(list)
        prompts: list[str] = []
        for index, (prompt, gen_kwargs) in enumerate(map(_arguments, requests)):
            prompts.append(prompt)
            alike[generation_settings(gen_kwargs)].append(index)
        texts = [""] * len(prompts)
        with tqdm(total=len(texts), desc="generate_until", disable=disable_tqdm) as bar:
            for settings, indices in alike.items():
                found = self.language_model.generate_until(
                    [prompts[index] for index in indices],
                    settings.sampling(),
                    max_tokens=settings.max_gen_toks,
                    seed=self.seed,
                    stop=settings.stops(),
                    on_done=bar.update,
                )
                for index, text in zip(indices, found, strict=True):
                    texts[index] = text
        return texts

    def get_model_info(self) -> dict[str, Any]:
        """What the harness writes into its results about the model."""
        parameters = list(self.language_model.model.parameters())
        return {
            "model_num_parameters": sum(parameter.numel() for parameter in parameters),
            "model_dtype": str(parameters[0].dtype),
            "model_device": str(parameters[0].device),
            "model_checkpoint": str(self.language_model.source or self.path),
        }


def generation_settings(gen_kwargs: Mapping[str, Any]) -> GenerationSettings:
    """The settings of a request.

    Raises: ConfigError naming one that is unknown or cannot be.

    >>> generation_settings({"until": ["Q:"], "max_gen_toks": 8}).sampling().temperature
    0.0
    >>> generation_settings({"num_beams": 4})
    Traceback (most recent call last):
    ...
    gptrilogy.errors.ConfigError: generation settings: unknown field num_beams: known: until, max_gen_toks, ...
    """
    try:
        return parse(GenerationSettings, gen_kwargs)
    except ConfigError as error:
        raise ConfigError(f"generation settings: {error}") from None


def register_entry_points() -> None:
    """Tell the harness of every model that an installed package offers, as it does itself after 0.4.13."""
    from lm_eval.api.registry import model_registry

    import_module("lm_eval.models")  # its own names come first
    for point in entry_points(group="lm_eval.models"):
        if point.name not in model_registry:
            model_registry.register(point.name, target=point)


def main() -> None:
    """The command `lm_eval`, with this and all other installed models."""
    from lm_eval.__main__ import cli_evaluate

    register_entry_points()
    try:
        cli_evaluate()
    except GPTrilogyError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's last word
        sys.exit(error.exit_code)


def _arguments(request: Instance) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", request.args)


def _batch_size(value: int | str) -> int:
    text = str(value)
    if text.startswith("auto"):
        return 1
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"batch_size must be a whole number from 1, or auto; got {value}")
    return int(text)


if __name__ == "__main__":
    main()
