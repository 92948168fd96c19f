"""Numbers that are none, which no text may be made from."""

from torch import Tensor

from gptrilogy.errors import CheckpointError


def check_finite(values: Tensor) -> None:
    """Raises: CheckpointError where a model's scores hold NaN or infinity."""
    if not bool(values.isfinite().all()):
        raise CheckpointError(
            "the model gives log-probabilities that are not numbers; its weights are damaged, or it had diverged when "
            "they were saved: take an earlier checkpoint"
        )
