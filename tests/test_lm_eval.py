"""In EleutherAI's evaluation harness our models give the numbers its own Hugging Face adapter gives."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model, model_registry
from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from endless_tokenizer import EndlessTokenizer
from gptrilogy.errors import CheckpointError, ConfigError, PromptError
from gptrilogy.interop.names import HF_GPT2, to_theirs
from gptrilogy.lm_eval import GPTrilogyLM, generation_settings, main, register_entry_points
from gptrilogy.models import GPT
from gptrilogy.tokenizers import END_OF_TEXT, ByteLevelBPE, train_byte_bpe
from gptrilogy.tokenizers.symbols import vocabulary
from tiny_run import write_run

N_CTX = 32
TEXT = "The cat sat on the mat, and the dog ran to the cat. What did the dog see? The dog saw the cat on the mat.\n"
QUESTIONS = [
    {"question": "The cat sat on", "choices": [" the mat", " the dog", " a hat"], "answer": 0},
    {"question": "What did the dog see? ", "choices": ["The cat", "the mat", "nothing at all"], "answer": 1},
    {"question": "The dog ran to the cat, and the cat " * 4, "choices": [" ran", " sat on the mat"], "answer": 1},
    {"question": "", "choices": ["The", " the"], "answer": 0},
]
PAGES = [{"page": TEXT * 3}, {"page": "The cat."}, {"page": TEXT[:60]}]
PROMPTS = [
    {"prompt": "The cat sat", "answer": " on"},
    {"prompt": TEXT * 2, "answer": "x"},
    {"prompt": "What", "answer": ""},
]
TASKS: dict[str, dict[str, Any]] = {
    "tiny_choice": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    },
    "tiny_pages": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{page}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}],
    },
    "tiny_prompts": {
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["t", "\n\n"], "max_gen_toks": 12, "do_sample": False},
        "metric_list": [{"metric": "exact_match"}],
    },
}
DATA = {"tiny_choice": QUESTIONS, "tiny_pages": PAGES, "tiny_prompts": PROMPTS}
Results = dict[str, Any]


@pytest.fixture(scope="module")
def tokenizer() -> ByteLevelBPE:
    return train_byte_bpe([TEXT * 9], n_vocab=300)


@pytest.fixture(scope="module")
def run(tokenizer: ByteLevelBPE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    write_run(folder, tokenizer, n_ctx=N_CTX)
    return folder


@pytest.fixture(scope="module")
def ours(run: Path) -> GPTrilogyLM:
    return GPTrilogyLM(str(run), device="cpu")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three tasks with their data, one for each verb."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, task in TASKS.items():
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in DATA[name]), encoding="utf-8")
        files = {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")}
        whole = {"task": name, "dataset_path": "json", "dataset_kwargs": files, "test_split": "test", **task}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def both(ours: GPTrilogyLM, tokenizer: ByteLevelBPE, tasks: Path) -> tuple[Results, Results]:
    """All tasks by our adapter, and by the harness's own over the same weights and the same merges."""
    hf: Any = get_model("hf")
    theirs = hf(pretrained=hf_model(ours.language_model.model), tokenizer=hf_tokenizer(tokenizer), batch_size=3)
    manager = TaskManager(include_path=str(tasks), include_defaults=False)

    def evaluate(model: LM) -> Any:
        return simple_evaluate(model=model, tasks=list(TASKS), task_manager=manager, bootstrap_iters=0)

    with pytest.warns(UserWarning, match="lost their first ones") as caught:
        found = evaluate(ours)
    assert [str(warning.message) for warning in caught] == [  # as is meant
        "2 of 10 texts have more than 33 tokens and lost their first ones",
        "1 of 3 prompts have more than 20 tokens and lost their first ones",
    ]
    return found, evaluate(theirs)


def hf_model(model: GPT) -> GPT2LMHeadModel:
    sizes = model.config
    config = GPT2Config(
        vocab_size=sizes.n_vocab,
        n_positions=sizes.n_ctx,
        n_embd=sizes.n_embd,
        n_layer=sizes.n_layer,
        n_head=sizes.n_head,
        bos_token_id=sizes.n_vocab - 1,
        eos_token_id=sizes.n_vocab - 1,
    )
    theirs = GPT2LMHeadModel(config).eval()
    missing = theirs.load_state_dict(to_theirs(model.state_dict(), sizes, HF_GPT2), strict=False)
    assert missing.unexpected_keys == []
    assert missing.missing_keys in ([], ["lm_head.weight"])  # tied
    return theirs


def hf_tokenizer(tokenizer: ByteLevelBPE) -> PreTrainedTokenizerFast:
    engine = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary(tokenizer.merges), list(tokenizer.merges)))
    engine.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = tokenizers.decoders.ByteLevel()
    engine.add_special_tokens([END_OF_TEXT])
    return PreTrainedTokenizerFast(tokenizer_object=engine, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT)


def requests(kind: Any, *arguments: tuple[object, ...]) -> list[Instance]:
    return [Instance(kind, {}, one, index) for index, one in enumerate(arguments)]


def answers(results: Results, task: str) -> list[Any]:
    """What the model said to each request, in the order of the documents."""
    return [sample["resps"] for sample in sorted(results["samples"][task], key=lambda sample: sample["doc_id"])]


# The same numbers.


def test_choices_are_scored_as_by_the_harness(both: tuple[Results, Results]) -> None:
    found, expected = (answers(results, "tiny_choice") for results in both)
    for one, other in zip(found, expected, strict=True):
        for ((nats, greedy),), ((their_nats, their_greedy),) in zip(one, other, strict=True):
            assert nats == pytest.approx(their_nats, abs=1e-4)
            assert greedy == their_greedy
    assert both[0]["results"]["tiny_choice"] == both[1]["results"]["tiny_choice"]


def test_pages_are_scored_as_by_the_harness(both: tuple[Results, Results]) -> None:
    found, expected = (answers(results, "tiny_pages") for results in both)
    for ((nats,),), ((their_nats,),) in zip(found, expected, strict=True):
        assert nats == pytest.approx(their_nats, abs=1e-4)
    one, other = (results["results"]["tiny_pages"] for results in both)
    for metric in ("word_perplexity,none", "byte_perplexity,none", "bits_per_byte,none"):
        assert one[metric] == pytest.approx(other[metric], rel=1e-6)


def test_prompts_are_continued_as_by_the_harness(both: tuple[Results, Results]) -> None:
    found, expected = (answers(results, "tiny_prompts") for results in both)
    assert found == expected
    assert any(len(text) > 3 for [[text]] in found)
    assert both[0]["results"]["tiny_prompts"] == both[1]["results"]["tiny_prompts"]


def test_results_say_which_model_they_are_of(both: tuple[Results, Results], run: Path) -> None:
    config = both[0]["config"]
    assert config["model_checkpoint"] == str(run / "checkpoints" / "step-00000001")
    assert config["model_num_parameters"] == both[1]["config"]["model_num_parameters"]


# One request at a time.


def test_a_batch_size_does_not_change_the_numbers(ours: GPTrilogyLM, run: Path) -> None:
    pairs = requests("loglikelihood", *(("The cat", f" {word}") for word in TEXT.split()))
    expected = ours.loglikelihood(pairs, disable_tqdm=True)
    for batch_size in ("auto:4", "16", 7):
        found = GPTrilogyLM(str(run), device="cpu", batch_size=batch_size).loglikelihood(pairs, disable_tqdm=True)
        assert [nats for nats, _ in found] == pytest.approx([nats for nats, _ in expected], abs=1e-4)
        assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


def test_samples_of_one_prompt_differ_and_follow_the_seed(run: Path) -> None:
    hot = {"do_sample": True, "temperature": 2.0, "max_gen_toks": 12}
    prompts = requests("generate_until", *[("The cat", hot)] * 3, ("The dog", {"max_gen_toks": 3}))
    torch.manual_seed(1234)
    found = GPTrilogyLM(str(run), device="cpu").generate_until(prompts, disable_tqdm=True)
    assert len(set(found[:3])) == 3
    torch.manual_seed(1234)
    assert GPTrilogyLM(str(run), device="cpu").generate_until(prompts, disable_tqdm=True) == found
    torch.manual_seed(1235)
    other = GPTrilogyLM(str(run), device="cpu").generate_until(prompts, disable_tqdm=True)
    assert other[:3] != found[:3]
    assert other[3] == found[3]  # greedy


@pytest.mark.parametrize(
    ("gen_kwargs", "temperature"),
    [
        ({}, 0.0),
        ({"temperature": 0.7}, 0.7),
        ({"do_sample": True}, 1.0),
        ({"do_sample": True, "temperature": 0.7}, 0.7),
        ({"do_sample": False, "temperature": 0.7}, 0.0),
    ],
    ids=repr,
)
def test_do_sample_and_temperature_mean_what_they_mean_to_the_harness(
    gen_kwargs: dict[str, Any], temperature: float
) -> None:
    assert generation_settings(gen_kwargs).sampling().temperature == temperature


def test_a_length_has_the_names_that_tasks_use() -> None:
    names = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
    assert {generation_settings({name: 9}).max_gen_toks for name in names} == {9}
    assert generation_settings({}).max_gen_toks == 256


def test_stop_strings_come_as_one_as_many_or_not_at_all() -> None:
    untils = ("Q:", ["Q:", "A:"], None)
    assert [generation_settings({"until": until}).stops() for until in untils] == [("Q:",), ("Q:", "A:"), ()]


def test_filters_of_sampling_are_kept_and_0_keeps_every_token() -> None:
    sampling = generation_settings({"top_k": 0, "top_p": 0.9}).sampling()
    assert (sampling.top_k, sampling.top_p) == (None, 0.9)
    assert generation_settings({"top_k": 5}).sampling().top_k == 5


# What cannot be done, and what can.


def test_model_args_come_before_the_options_of_the_harness(run: Path) -> None:
    options = {"device": "meta", "batch_size": "3", "max_batch_size": None}
    model = GPTrilogyLM.create_from_arg_string(f"path={run},device=cpu", options)
    assert (model.get_model_info()["model_device"], model.batch_size) == ("cpu", 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there cuda:0 is a device")
def test_the_harness_default_device_is_whatever_there_is(run: Path) -> None:
    model = GPTrilogyLM.create_from_arg_obj({"path": str(run)}, {"device": "cuda:0", "batch_size": 1})
    assert model.get_model_info()["model_device"] == "cpu"
    with pytest.raises(ConfigError, match="torch finds 0 devices of type cuda here, got cuda:0"):
        GPTrilogyLM.create_from_arg_obj({"path": str(run), "device": "cuda:0"})


@pytest.mark.parametrize(
    ("gen_kwargs", "message"),
    [
        ({"num_beams": 4}, "generation settings: unknown field num_beams"),
        ({"temprature": 1}, r"unknown field temprature: did you mean temperature\?"),
        ({"max_gen_toks": 0}, "generation settings: max_gen_toks: .*, got 0"),
        ({"top_p": 2.0}, "top_p: .*, got 2.0"),
    ],
    ids=repr,
)
def test_generation_settings_that_cannot_be_are_refused(
    ours: GPTrilogyLM, gen_kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ours.generate_until(
            requests("generate_until", ("The cat", {"max_gen_toks": 2, **gen_kwargs})), disable_tqdm=True
        )


def test_a_completion_as_long_as_the_context_is_refused(ours: GPTrilogyLM) -> None:
    with pytest.raises(PromptError, match="32 new tokens leave no room for a prompt in the model's context of 32"):
        ours.generate_until(requests("generate_until", ("The cat", {"max_gen_toks": N_CTX})), disable_tqdm=True)


def test_a_model_is_asked_for_by_a_path_and_known_arguments(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model_args lack path; give --model_args path=RUN"):
        GPTrilogyLM()
    with pytest.raises(ConfigError, match=r"unknown model_args pth: did you mean path\?"):
        GPTrilogyLM.create_from_arg_string(f"pth={run}")
    with pytest.raises(ConfigError, match="batch_size must be a whole number from 1, or auto; got 0"):
        GPTrilogyLM(str(run), batch_size=0)
    with pytest.raises(CheckpointError, match="does not exist"):
        GPTrilogyLM(str(tmp_path / "nothing"))


def test_a_tokenizer_without_an_end_of_text_needs_a_context(run: Path) -> None:
    model = GPTrilogyLM(str(run), device="cpu")
    model.language_model.tokenizer = EndlessTokenizer()
    assert len(model.loglikelihood(requests("loglikelihood", ("The", " cat")), disable_tqdm=True)) == 1
    with pytest.raises(PromptError, match="has no token that begins a document"):
        model.loglikelihood(requests("loglikelihood", ("", "The cat")), disable_tqdm=True)
    with pytest.raises(PromptError, match="has no token that begins a document"):
        model.loglikelihood_rolling(requests("loglikelihood_rolling", ("The cat",)), disable_tqdm=True)


# How the harness finds it.


def test_the_installed_package_offers_the_class_by_name() -> None:
    (point,) = entry_points(group="lm_eval.models", name="gptrilogy")
    assert point.load() is GPTrilogyLM


def test_registered_entry_points_are_found_beside_the_harness_own() -> None:
    register_entry_points()
    register_entry_points()  # again changes nothing
    assert get_model("gptrilogy") is GPTrilogyLM
    assert {"hf", "gptrilogy"} <= set(model_registry)


@pytest.mark.slow  # the harness reads all of its own tasks first
def test_the_command_evaluates_a_run(run: Path, tasks: Path, both: tuple[Results, Results], tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    arguments = ["--model", "gptrilogy", "--model_args", f"path={run},device=cpu", "--tasks", "tiny_choice"]
    done = lm_eval(*arguments, "--include_path", str(tasks), "--limit", "4", "--output_path", str(out), home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "|tiny_choice|" in done.stdout
    (written,) = tmp_path.glob("results*.json")
    value = json.loads(written.read_text())["results"]["tiny_choice"]["acc,none"]
    assert value == both[0]["results"]["tiny_choice"]["acc,none"]


def test_the_command_says_in_one_line_what_was_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def evaluate() -> None:
        GPTrilogyLM("nowhere")

    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", evaluate)
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "error: nowhere does not exist; give a run folder or a checkpoint folder\n"


def lm_eval(*arguments: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """`python -m gptrilogy.lm_eval run`, offline and with a home of its own."""
    environment = {**os.environ, "HF_HOME": str(home / "hf"), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "gptrilogy.lm_eval", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, check=False)


def test_the_command_without_the_harness_names_the_extra() -> None:
    code = (
        "import runpy, sys; sys.modules['lm_eval'] = None; runpy.run_module('gptrilogy.lm_eval', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the evaluation harness needs lm_eval")
    assert done.stderr.count("\n") == 1
