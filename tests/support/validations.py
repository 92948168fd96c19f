"""What stands in for `training.pretrain.validate`."""

from collections.abc import Callable

from gptrilogy.training.validation import Validation


def cut_short(*_: object, **__: object) -> None:
    """It was asked to stop."""


def finding(*losses: float) -> Callable[..., Validation]:
    """It finds one loss after the other."""
    left = iter(losses)

    def validate(*_: object, **__: object) -> Validation:
        loss_nats = next(left)
        return Validation(loss_nats, loss_nats)

    return validate
