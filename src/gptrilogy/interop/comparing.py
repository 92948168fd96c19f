"""What every check of an export compares, with whichever program has loaded it again: logits and token ids."""

from collections.abc import Callable

import torch
from torch import Tensor

from gptrilogy.errors import FormatError
from gptrilogy.models.config import GPTConfig
from gptrilogy.models.gpt import GPT
from gptrilogy.tokenizers.base import Tokenizer

ROWS, MAX_TOKENS = 2, 256
TOLERANCE = 1e-4  # of the largest logit: the two libraries add up in different orders
TEXTS = (
    "Hello world",
    "It is a truth universally acknowledged, that a single man in possession",
    "We've seen  two   spaces,\n\n\tnew lines and 1,234.5 numbers!",
    "naïve café — Ελλάδα, 中文, 🙂",
)


def random_ids(config: GPTConfig) -> Tensor:
    """Rows as long as the context, always the same.

    Shapes: -> (B, T).
    """
    generator = torch.Generator().manual_seed(0)
    return torch.randint(config.n_vocab, (ROWS, min(config.n_ctx, MAX_TOKENS)), generator=generator)


@torch.inference_mode()
def compare_logits(model: GPT, theirs: Callable[[Tensor], Tensor]) -> str:
    """Logits of random ids over a whole context, ours and theirs.

    Raises: FormatError where they differ by more than the order of additions explains.
    """
    ids = random_ids(model.config)
    ours = model.float().cpu().eval()(ids)
    difference = (ours - theirs(ids).float()).abs().max().item()
    limit = TOLERANCE * max(1.0, ours.abs().max().item())
    if not difference <= limit:
        raise FormatError(
            f"the exported model's logits differ from ours by {difference:.1e}, more than {limit:.1e}: "
            "please report this with both folders"
        )
    return f"logits of {ids.numel()} tokens equal, largest difference {difference:.1e}"


def compare_ids(tokenizer: Tokenizer, theirs: dict[str, list[int]]) -> str:
    """Token ids of some texts, ours and theirs; GPT-1's word rules exist only here, so there they are only counted.

    Raises: FormatError where ids that must be equal are not.
    """
    different = [text for text, ids in theirs.items() if tokenizer.encode(text) != ids]
    if tokenizer.separator:
        return f"token ids differ on {len(different)} of {len(theirs)} texts, since its word rules are not GPT-1's"
    if different:
        raise FormatError(f"the exported tokenizer gives other ids for {different[0]!r}: please report this")
    return f"token ids of {len(theirs)} texts equal"
