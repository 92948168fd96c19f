"""Every error a user, a file or a network can cause. Each says what was wrong, the value, the limit and the remedy.

GPTrilogyError
├── ConfigError        a command, field or recipe is wrong             exit code 2
├── DataError          text or shards that cannot be used
├── TokenizerError     a text or token id outside a tokenizer's reach
├── CheckpointError    a saved state is missing, damaged or foreign
│   └── UnreadableCheckpointError    it may be whole, but cannot be read here and now
├── FormatError        another program's files cannot be read, or cannot hold this model
├── MissingExtraError  an optional dependency is not installed
├── RunError           a run folder cannot be made or used
├── PromptError        a prompt that the model cannot take
└── DivergedError      training stopped on non-finite numbers
"""


class GPTrilogyError(Exception):
    """Base of the tree: the work could not be done, and one line says why and what to do."""

    exit_code = 1


class ConfigError(GPTrilogyError):
    """A command, a config field or a recipe name is wrong."""

    exit_code = 2


class DataError(GPTrilogyError):
    """Text or token shards that cannot be used as they are."""


class TokenizerError(GPTrilogyError):
    """A text, a token id or a tokenizer file outside what a tokenizer can take."""


class CheckpointError(GPTrilogyError):
    """A saved state is missing, damaged, or belongs to something else."""


class UnreadableCheckpointError(CheckpointError):
    """A saved state that may be whole, but not for this process, this disk or this version: do not go on without it."""


class FormatError(GPTrilogyError):
    """Files of another program that cannot be read as they are, or a format that cannot hold a model."""


class MissingExtraError(GPTrilogyError):
    """Work that needs a package which only an extra of gptrilogy brings."""


class RunError(GPTrilogyError):
    """A run folder cannot be created, found or written."""


class PromptError(GPTrilogyError):
    """A prompt or a generation setting that the model cannot take."""


class DivergedError(GPTrilogyError):
    """Training met non-finite numbers too many times in a row."""
