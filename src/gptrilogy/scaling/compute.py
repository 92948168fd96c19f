"""Parameters and floating-point operations of a GPT, counted from its config."""

from gptrilogy.models.config import GPTConfig
from gptrilogy.models.patterns import mean_keys

PF_DAY_FLOPS = 1e15 * 24 * 3600


def parameters_by_part(config: GPTConfig) -> dict[str, int]:
    """How many weights lie where; the sum is the model's parameter count.

    Source: GPT2 released code; facts of each block: four projections with biases, two layer norms.
    """
    C, L = config.n_embd, config.n_layer
    return {
        "token embedding (tied output)": config.n_vocab * C,
        "position embedding": config.n_ctx * C,
        "attention": L * (4 * C * C + 4 * C),
        "feed-forward": L * (8 * C * C + 5 * C),
        "layer norms": L * 4 * C + (2 * C if config.final_norm else 0),
    }


def n_parameters(config: GPTConfig) -> int:
    """All weights, the tied embedding counted once.

    >>> n_parameters(GPTConfig.preset("gpt2-small"))
    124439808
    """
    return sum(parameters_by_part(config).values())


def n_non_embedding(config: GPTConfig) -> int:
    """N = 12 n_layer n_embd^2: Kaplan's count, without embeddings, biases and norms (eq. 2.1)."""
    return 12 * config.n_layer * config.n_embd**2


def forward_flops_per_token(config: GPTConfig) -> int:
    """2 N + 2 n_layer n_ctx n_embd, as Kaplan eq. 2.2; the output layer is not part of it.

    A dense layer's query sees n_ctx / 2 keys on average; a sparse one's count as many as it sees, for 4 n_embd each.
    """
    keys = sum(mean_keys(pattern, config.n_ctx) for pattern in config.patterns())
    return 2 * n_non_embedding(config) + round(4 * keys * config.n_embd)


def training_flops_per_token(config: GPTConfig) -> int:
    """Forward and backward, the output layer included: 3 (forward + 2 n_vocab n_embd).

    Kaplan leaves the output layer out of C = 6 N; in a small model it is a large part of the work, and a share of
    the machine's ceiling that left it out would look too low.
    """
    return 3 * (forward_flops_per_token(config) + 2 * config.n_vocab * config.n_embd)
