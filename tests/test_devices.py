from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gptrilogy import devices
from gptrilogy.devices import bf16_unit, describe, matmul_flops, memory_bytes, pick_device, pick_precision, why_slow
from gptrilogy.errors import ConfigError

CPU = torch.device("cpu")


@pytest.fixture
def cpu_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give this CPU other flags; what was read of the real ones is forgotten before and after."""

    def pretend(*flags: str) -> None:
        monkeypatch.setattr(devices, "cpu_flags", lambda: frozenset(flags))
        bf16_unit.cache_clear()

    yield pretend
    bf16_unit.cache_clear()


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give this machine some GPUs, with or without bf16."""

    def pretend(count: int, *, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)

    return pretend


# Devices.


def test_auto_is_the_gpu_where_there_is_one(gpus: Any) -> None:
    gpus(0)
    assert pick_device() == CPU
    gpus(2)
    assert pick_device() == torch.device("cuda")


def test_a_device_may_be_named(gpus: Any) -> None:
    gpus(2)
    assert [pick_device(name) for name in ("cpu", "cuda", "cuda:1")] == list(
        map(torch.device, ("cpu", "cuda", "cuda:1"))
    )


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CPU", "meta"])
def test_an_unknown_device_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^unknown device {name}: give auto, cpu, cuda, or one GPU of several as cuda:1$"
    ):
        pick_device(name)


@pytest.mark.parametrize(("count", "name"), [(0, "cuda"), (0, "cuda:0"), (2, "cuda:2")])
def test_a_gpu_that_is_not_there_is_refused(gpus: Any, count: int, name: str) -> None:
    gpus(count)
    with pytest.raises(
        ConfigError, match=f"^torch finds {count} devices of type cuda here, got {name}; give auto or cpu$"
    ):
        pick_device(name)


# Precision.


@pytest.mark.parametrize(
    ("flags", "unit"),
    [
        (["avx512f", "avx512_bf16", "amx_bf16"], "AMX"),
        (["avx512f", "avx512_bf16"], "AVX-512"),
        (["asimd", "bf16"], "Arm"),
        (["avx2", "avx512f"], None),
        ([], None),
    ],
    ids=str,
)
def test_the_bf16_unit_is_read_from_the_cpus_flags(cpu_with: Any, flags: list[str], unit: str | None) -> None:
    cpu_with(*flags)
    assert bf16_unit() == unit


def test_precision_follows_from_hardware_and_width_alone(cpu_with: Any) -> None:
    cpu_with("amx_bf16")
    assert pick_precision(CPU, 128) == ("bf16", "this CPU multiplies bf16 natively (AMX)")
    assert pick_precision(CPU, 127) == ("fp32", "at width 127 the casts to bf16 would cost more than they save")
    cpu_with("avx2")
    assert pick_precision(CPU, 4096) == ("fp32", "this CPU has no native bf16 products")


def test_bf16_on_a_cpu_that_has_none_is_called_slow(cpu_with: Any) -> None:
    cpu_with("avx2")
    assert "many times as long" in (why_slow("bf16", CPU) or "")
    assert why_slow("fp32", CPU) is None
    assert why_slow("bf16", torch.device("cuda")) is None
    cpu_with("amx_bf16")
    assert why_slow("bf16", CPU) is None


def test_a_gpu_is_asked_what_it_can(gpus: Any) -> None:
    gpus(1, bf16=True)
    assert pick_precision(torch.device("cuda"), 64)[0] == "bf16"
    gpus(1, bf16=False)
    assert pick_precision(torch.device("cuda"), 4096)[0] == "fp32"


def test_the_same_machine_answers_the_same_every_time() -> None:
    assert len({pick_precision(CPU, 768) for _ in range(5)}) == 1


# Measures and facts.


def test_the_ceiling_is_the_best_of_its_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 10.0, 10.25, 20.0, 20.5])  # products of 1, 0.25 and 0.5 seconds
    monkeypatch.setattr(devices, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    assert matmul_flops("fp32", CPU, size=10, repeats=2) == 2 * 10**3 / 0.25
    times = iter([0.0, 1.5, 10.0, 11.0, 20.0, 20.5])  # the first two take too long
    assert matmul_flops("fp32", CPU, size=10, repeats=2) == 2 * 10**3 / 1.0


def test_memory_is_what_the_container_allows() -> None:
    assert 2**27 < memory_bytes() < 2**50


def test_the_facts_of_a_run_are_plain_values() -> None:
    facts = describe()
    assert {"cpu", "torch", "threads"} <= facts.keys()
    assert facts["threads"] == torch.get_num_threads()
    assert all(value is None or isinstance(value, str | int) for value in facts.values())
