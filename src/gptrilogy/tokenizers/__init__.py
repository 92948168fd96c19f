"""Text to token ids and back: byte-level BPE as GPT-2 has it, GPT-1's BPE of English words, and plain bytes."""

from gptrilogy.tokenizers.base import END_OF_TEXT, Tokenizer
from gptrilogy.tokenizers.bpe_training import train_byte_bpe
from gptrilogy.tokenizers.byte_bpe import ByteLevelBPE
from gptrilogy.tokenizers.bytes import BytesTokenizer
from gptrilogy.tokenizers.gpt1 import FINETUNING_TOKENS, GPT1BPE
from gptrilogy.tokenizers.gpt1_training import train_gpt1_bpe
from gptrilogy.tokenizers.saved import load_tokenizer, save_tokenizer
from gptrilogy.tokenizers.streaming import StreamDecoder

__all__ = [
    "END_OF_TEXT",
    "FINETUNING_TOKENS",
    "GPT1BPE",
    "ByteLevelBPE",
    "BytesTokenizer",
    "StreamDecoder",
    "Tokenizer",
    "load_tokenizer",
    "save_tokenizer",
    "train_byte_bpe",
    "train_gpt1_bpe",
]
