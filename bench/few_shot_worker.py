"""Who scores questions, in a process of its own: `python -m bench.few_shot_worker FOLDER CONTENDER`.

Driven by lines on stdin: `fresh I N` and `fixed I N` score N questions of a draw, from the I-th on, and are answered
with one JSON object; between lines it sleeps. With CONFIG and TOKENIZER after FOLDER it makes the model instead: GPT-2
with random weights, as a Hugging Face folder that all of them load.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import torch

from bench.few_shot_cases import MODEL, Asked, Contender, Question, read_questions
from bench.worker import peak_bytes
from gptrilogy import load
from gptrilogy.evaluation.asking import Asker
from gptrilogy.evaluation.items import Choice, Option
from gptrilogy.evaluation.prompts import Prompt
from gptrilogy.interop.huggingface import write_hf
from gptrilogy.models import GPT, GPTConfig
from gptrilogy.tokenizers import load_tokenizer

Score: TypeAlias = Callable[[Sequence[Question]], list[list[float]]]  # log P of each answer to each question

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def ours(folder: Path, contender: Contender) -> Score:
    """As `gpt evaluate` scores; nothing is kept from one call to the next."""
    language_model = load(folder / MODEL, device="cpu")
    language_model.model.to(DTYPES[contender.precision])

    def score(questions: Sequence[Question]) -> list[list[float]]:
        asker = Asker(language_model)
        prompts = [Prompt(question.prefix, [_choice(question)], 0) for question in questions]
        return [list(answer.nats) for (answer,) in asker.ask(prompts, None, alone=False)]

    return score


def theirs(folder: Path, contender: Contender) -> Score:
    """The harness's `hf` model with its defaults, but for batch size, precision and device."""
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import get_model

    hf: Any = get_model("hf")
    settings = {"device": "cpu", "dtype": DTYPES[contender.precision], "batch_size": contender.batch_size}
    model = hf(pretrained=str(folder / MODEL), **settings)

    def score(questions: Sequence[Question]) -> list[list[float]]:
        texts = [(question.prefix + question.context, answer) for question in questions for answer in question.answers]
        requests = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(texts)]
        nats = iter([nats for nats, _ in model.loglikelihood(requests, disable_tqdm=True)])
        return [[next(nats) for _ in question.answers] for question in questions]

    return score


SCORERS = {"ours": ours, "lm-eval": theirs}


def serve(score: Score, asked: Asked, commands: TextIO, answers: TextIO) -> None:
    """Say that the model is loaded, then answer until the commands end."""
    print(json.dumps({"peak_bytes": peak_bytes()}), file=answers, flush=True)
    for line in commands:
        draw, *numbers = line.split()
        first, number = map(int, numbers)
        questions = asked[draw][first : first + number]
        start = time.perf_counter()
        nats = score(questions)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "nats": nats, "peak_bytes": peak_bytes()}), file=answers, flush=True)


def make_model(folder: Path, config: GPTConfig, tokenizer: str) -> None:
    folder.mkdir()
    model = GPT(config, torch.Generator().manual_seed(0))
    write_hf(folder, config, model.state_dict(), load_tokenizer(tokenizer))


def _choice(question: Question) -> Choice:
    return Choice(tuple(Option(question.context, answer) for answer in question.answers), gold=(0,))


if __name__ == "__main__":
    folder, what, *tokenizer = sys.argv[1:]
    if tokenizer:
        make_model(Path(folder, MODEL), GPTConfig.model_validate_json(what), tokenizer[0])
    else:
        stdout = sys.stdout
        with redirect_stdout(sys.stderr):  # what libraries print is no answer
            contender = Contender.model_validate_json(what)
            score = SCORERS[contender.who](Path(folder), contender)
            serve(score, read_questions(Path(folder)), sys.stdin, stdout)
