"""Fine-tuned models on disk and back, and weights that are not theirs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gptrilogy.checkpoints import Checkpoint, manifest, read_checkpoint
from gptrilogy.errors import CheckpointError, ConfigError
from gptrilogy.files import sha256_file
from gptrilogy.finetuning.batches import Batch
from gptrilogy.finetuning.config import FinetuneConfig, TuneConfig
from gptrilogy.finetuning.lora import Adapted, adapter_weights, add_adapters
from gptrilogy.finetuning.saved import is_finetuned, language_model, rebuild, restore_finetuned
from gptrilogy.runs import Run
from gptrilogy.training.config import RunConfig
from tiny_tasks import GPT2, N_VOCAB, PAPERS, TASKS, items_of, tuned

CPU = torch.device("cpu")


def config_of(name: str = "classification", paper: str = "gpt2", **train: object) -> FinetuneConfig:
    model = PAPERS[paper].replace(n_vocab=N_VOCAB + 3)
    return FinetuneConfig(task=TASKS[name], model=model, train=TuneConfig.model_validate(train))


def test_a_task_in_its_config_marks_a_fine_tuned_model() -> None:
    assert is_finetuned(config_of().model_dump(mode="json"))
    assert not is_finetuned(RunConfig().model_dump(mode="json"))


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("name", TASKS)
def test_a_model_comes_back_from_its_checkpoint(name: str, paper: str) -> None:
    model, batch = tuned(TASKS[name], PAPERS[paper]), Batch.of(items_of(TASKS[name]), CPU)
    config = config_of(name, paper)
    found, restored = restore_finetuned(Checkpoint(config.model_dump(mode="json"), model.state_dict()), CPU)
    assert found == config
    assert torch.equal(restored.eval()(batch)[0], model(batch)[0])
    assert all(weight.requires_grad for weight in restored.parameters())


def test_adapters_come_back_where_the_weights_have_some() -> None:
    model = tuned(TASKS["classification"])
    config = config_of(lora_rank=2)
    assert not any(isinstance(module, Adapted) for module in rebuild(config, model.state_dict(), CPU).modules())
    add_adapters(model.gpt, 2, 16.0, torch.Generator().manual_seed(0))
    for weight in adapter_weights(model.gpt):
        torch.nn.init.normal_(weight)
    again, batch = rebuild(config, model.state_dict(), CPU), Batch.of(items_of(model.task), CPU)
    assert sum(isinstance(module, Adapted) for module in again.modules()) == GPT2.n_layer
    assert torch.equal(again.eval()(batch)[0], model(batch)[0])


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("head.weight", None),
        ("gpt.h.1.mlp.c_fc.bias", None),
        ("other", torch.zeros(1)),
        ("head.weight", torch.zeros(3, 13)),
        ("gpt.wte.weight", torch.zeros(257, 12)),
    ],
)
def test_foreign_weights_are_refused_in_one_line(name: str, weight: Tensor | None) -> None:
    weights: dict[str, Tensor | None] = {**tuned(TASKS["classification"]).state_dict(), name: weight}
    given = {name: weight for name, weight in weights.items() if weight is not None}
    with pytest.raises(CheckpointError, match=r"^the weights do not fit the config of this fine-tuning run: ") as error:
        rebuild(config_of(), given, CPU)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_config_that_is_no_fine_tuning_run_is_refused() -> None:
    weights = tuned(TASKS["classification"]).state_dict()
    with pytest.raises(ConfigError, match="unknown field recipe"):
        restore_finetuned(Checkpoint(RunConfig().model_dump(mode="json"), weights), CPU)


@pytest.mark.parametrize("paper", PAPERS)
def test_the_language_model_inside_predicts_pretrained_tokens_alone(paper: str) -> None:
    model = tuned(TASKS["classification"], PAPERS[paper])
    gpt, ids = language_model(model), torch.tensor([[1, 2, 3]])
    assert gpt.config == PAPERS[paper]
    assert gpt(ids).shape == (1, 3, N_VOCAB)
    assert torch.equal(gpt.hidden(ids), model.gpt.hidden(ids))
    torch.testing.assert_close(gpt(ids), model.gpt(ids)[..., :N_VOCAB], rtol=1e-6, atol=1e-6)


def test_initial_weights_lie_beside_the_config_and_the_digests_of_the_examples(new_run: Callable[..., Run]) -> None:
    run = new_run()
    assert read_checkpoint(run.initial_folder).config == run.config()
    digests = manifest(run.initial_folder)["examples"]
    assert digests == {name: sha256_file(run.data_folder / name) for name in ("train.jsonl", "valid.jsonl")}
