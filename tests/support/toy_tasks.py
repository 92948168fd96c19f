"""Tasks of a few records of every kind, and two models for them: sure of what follows each byte, and of nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from gptrilogy.evaluation.items import Choice, Cloze, Free, Item, Option, Passage
from gptrilogy.evaluation.measures import ACCURACY, CLOZE_PERPLEXITY, GREEDY_ACCURACY, PERPLEXITY, mean_of
from gptrilogy.evaluation.task import Answering, Record, Task
from gptrilogy.generation.language_model import LanguageModel
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import BytesTokenizer, Tokenizer

ANSWERS = ("yes", "no", "perhaps")
CHAIN = "?: yes\n"  # what follows "?" for the model that is sure: ": yes", then a line's end


def unsure(*, n_ctx: int = 96, n_vocab: int = 257, tokenizer: Tokenizer | None = None) -> LanguageModel:
    """Random weights, large enough to have opinions."""
    config = GPTConfig(n_vocab=n_vocab, n_ctx=n_ctx, n_embd=24, n_head=3, n_layer=2, init_std=0.3)
    return LanguageModel(GPT(config, torch.Generator().manual_seed(0)), tokenizer or BytesTokenizer())


def sure(chain: str = CHAIN, *, n_ctx: int = 96) -> LanguageModel:
    """A model of bytes for which each byte of the chain is followed by the next, and the last by the end of text.

    Embeddings are unit vectors; attention is off; the network turns a byte's vector into many of its follower's.
    """
    tokenizer = BytesTokenizer()
    model = GPT(GPTConfig(n_vocab=257, n_ctx=n_ctx, n_embd=257, n_head=1, n_layer=1)).eval()
    ids = tokenizer.encode(chain)
    assert len(set(ids)) == len(ids), "a byte has one follower"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.wte.weight.copy_(3 * torch.eye(257))
        for norm in ("h.0.ln_2", "ln_f"):
            model.get_parameter(f"{norm}.weight").fill_(1)
        model.get_parameter("h.0.mlp.c_fc.weight")[:257].copy_(torch.eye(257))
        for here, after in zip(ids, [*ids[1:], tokenizer.eot_id], strict=True):
            model.get_parameter("h.0.mlp.c_proj.weight")[after, here] = 10.0
    return LanguageModel(model, tokenizer)


def records(split: str, n: int = 6) -> Iterator[Record]:
    """Questions of the split's own; every other one is to be answered with yes."""
    for number in range(n):
        yield {"question": f"{split} {number}?", "answer": ANSWERS[number % 2]}


def choices(record: Record, _shots: int, /) -> Sequence[Item]:
    options = tuple(Option(f"{record['question']}:", f" {answer}") for answer in ANSWERS)
    return [Choice(options, (ANSWERS.index(record["answer"]),))]


def two_choices(record: Record, shots: int, /) -> Sequence[Item]:
    """Two items a record, of which the second asks for no."""
    [first] = choices(record, shots)
    assert isinstance(first, Choice)
    return [first, replace(first, gold=(1,))]


def completions(record: Record, _shots: int, /) -> Sequence[Item]:
    return [Cloze(f"{record['question']}:", f" {record['answer']}")]


def questions(record: Record, _shots: int, /) -> Sequence[Item]:
    return [Free(f"{record['question']}:", (record["answer"],))]


def passages(record: Record, _shots: int, /) -> Sequence[Item]:
    text = f"{record['question']}: {record['answer']}\n" * 9
    return [Passage(text, len(text.split()))]


EXACT = mean_of("em", lambda record: float(record[0].text.strip() == record[0].item.answers[0]))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - every item is Free

CHOICE = Task("toy-choice", "Toy", "ours", choices, (ACCURACY,), generate=records, separator="\n")
PAIRS = replace(CHOICE, name="toy-pairs", items=two_choices)
CLOZE = replace(CHOICE, name="toy-cloze", items=completions, measures=(GREEDY_ACCURACY, CLOZE_PERPLEXITY))
FREE = replace(
    CHOICE, name="toy-free", items=questions, measures=(EXACT,), answering=Answering(max_tokens=6, stop=("\n",))
)
PASSAGE = replace(CHOICE, name="toy-passage", items=passages, measures=(PERPLEXITY,))
TASKS = (CHOICE, PAIRS, CLOZE, FREE, PASSAGE)
