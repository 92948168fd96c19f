"""A tokenizer without a token that ends a document, as GPT-1's."""

from collections.abc import Mapping

from gptrilogy.tokenizers import BytesTokenizer


class EndlessTokenizer(BytesTokenizer):
    """Bytes, and nothing that could stand before the first."""

    n_vocab = 256
    eot_id = None  # pyright: ignore[reportAssignmentType] - bytes have one otherwise
    name = "endless"
    special_tokens: Mapping[str, int] = {}
