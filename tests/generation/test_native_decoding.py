"""The kernel gives the logits of `GPT.hidden` with a cache, and each row its own, whatever stands beside it."""

import ctypes
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gptrilogy.errors import ConfigError
from gptrilogy.generation import native_model as native_model_module
from gptrilogy.generation.native_decoding import NativeRows, place
from gptrilogy.generation.native_model import FORMATS, Format, NativeModel, native_model
from gptrilogy.generation.packing import packed_int8, unpacked
from gptrilogy.generation.rows import PaddedRows, Rows, read_in_pytorch
from gptrilogy.models import GPT, GPTConfig, KVCache
from gptrilogy.models.patterns import Banded, Dense, Fixed, Pattern, Strided
from gptrilogy.models.slots import slots_of
from gptrilogy.native import building

SMALL = GPTConfig(n_vocab=257, n_ctx=37, n_embd=64, n_head=2, n_layer=3, init_std=0.15)
POST = {"norm": "post", "final_norm": False}
MODELS = {
    "GPT-2": SMALL,
    "GPT-1": SMALL.replace(**POST),
    "post-norm with a final norm": SMALL.replace(norm="post"),
    "pre-norm without one": SMALL.replace(final_norm=False),
    "odd sizes": SMALL.replace(n_vocab=51, n_embd=30, n_head=3),
    "one wide head": SMALL.replace(n_embd=80, n_head=1),
    "heads of one number": SMALL.replace(n_embd=5, n_head=5),
    "heads of 128": SMALL.replace(n_embd=256, n_head=2, n_layer=1),
    **{
        attention: SMALL.replace(
            attention=attention, band_width=6, stride=5, summary_width=2, sub_blocks=2, n_embd=60, n_head=3
        )
        for attention in ("dense,banded", "banded", "strided", "fixed", "fixed,banded,strided")
    },
}


def made(config: GPTConfig) -> GPT:
    """A model in which no bias is 0 and no norm the identity."""
    generator = torch.Generator().manual_seed(1)
    model = GPT(config, generator).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


def prepared(model: GPT, weights: Format) -> NativeModel:
    native = native_model(model, int8=weights == "int8")
    assert native is not None, "these tests need a C++ compiler"
    return native


def texts(count: int, n_vocab: int, length: int = 37) -> list[list[int]]:
    draws = torch.randint(n_vocab, (count, length), generator=torch.Generator().manual_seed(3))
    return draws.tolist()


@torch.inference_mode()
def step_by_step(rows: Rows, model: GPT, ids: Sequence[Sequence[int]], n_prompt: int = 1) -> Tensor:
    """Logits of each row after each token past its prompt. Shapes: -> (rows, T - n_prompt, V)."""
    for text in ids:
        root = KVCache(model.config, 1, like=model.wte.weight, capacity=max(1, n_prompt))
        if n_prompt:
            model.hidden(torch.tensor([text[:n_prompt]]), root)
        rows.append(root, len(text) + 2)
    steps = [
        torch.stack([scores.clone() for scores in rows.next(newest)])
        for newest in list(zip(*ids, strict=True))[n_prompt:]
    ]
    return torch.stack(steps, 1).float()


@torch.inference_mode()
def at_once(model: GPT, ids: Sequence[Sequence[int]], n_prompt: int = 1) -> Tensor:
    return model(torch.tensor(ids))[:, n_prompt:].float()


@pytest.mark.parametrize("name", MODELS)
def test_fp32_logits_are_those_of_pytorch(name: str) -> None:
    model, config = made(MODELS[name]), MODELS[name]
    ids = texts(3, config.n_vocab)
    expected = at_once(model, ids)
    torch.testing.assert_close(
        step_by_step(NativeRows(prepared(model, "fp32")), model, ids), expected, rtol=0, atol=1e-4
    )
    torch.testing.assert_close(step_by_step(PaddedRows(model), model, ids), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["GPT-2", "GPT-1", "odd sizes", "fixed,banded,strided"])
def test_a_prompt_read_in_pytorch_is_continued(name: str) -> None:
    model, config = made(MODELS[name]), MODELS[name]
    ids = texts(2, config.n_vocab)
    found = step_by_step(NativeRows(prepared(model, "fp32")), model, ids, n_prompt=23)
    torch.testing.assert_close(found, at_once(model, ids, n_prompt=23), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["GPT-2", "GPT-1", "odd sizes", "dense,banded"])
def test_bf16_is_as_near_to_fp32_as_pytorch_in_bf16(name: str) -> None:
    model, config = made(MODELS[name]), MODELS[name]
    ids = texts(3, config.n_vocab)
    exact = at_once(model, ids)
    model = model.to(torch.bfloat16)
    found = step_by_step(NativeRows(prepared(model, "bf16")), model, ids)
    scale = float(exact.abs().max())
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-2 * scale)
    assert (found - exact).norm() <= 1.1 * (at_once(model, ids) - exact).norm()


@torch.inference_mode()
def read(native: NativeModel, ids: Sequence[int]) -> tuple[KVCache, Tensor]:
    cache, scores = NativeRows(native).read(ids)
    return cache, scores.clone()


@torch.inference_mode()
def scores_of(native: NativeModel, found: tuple[KVCache, Tensor]) -> Tensor:
    """What a reader says comes next, and after one token more. Shapes: -> (2 V,), fp32."""
    rows, (cache, scores) = NativeRows(native), found
    rows.append(cache, cache.lengths[0] + 1)
    return torch.cat([scores, rows.next([3])[0]]).float()


@pytest.mark.parametrize("name", MODELS)
def test_a_text_is_read_in_bf16_as_near_to_fp32_as_in_pytorch(name: str) -> None:
    """36 tokens are a whole block of queries and a part of one. Of the texts the median: one may turn on a near tie."""
    model, ids = made(MODELS[name]), texts(9, MODELS[name].n_vocab, length=36)
    native = prepared(model, "fp32")
    exact = torch.stack([scores_of(native, read(native, text)) for text in ids])
    model = model.to(torch.bfloat16)
    native = prepared(model, "bf16")
    found = torch.stack([scores_of(native, read(native, text)) for text in ids])
    with torch.inference_mode():
        other = torch.stack([scores_of(native, read_in_pytorch(model, text)) for text in ids])
    assert (found - exact).norm(dim=1).median() <= (other - exact).norm(dim=1).median()


@pytest.mark.parametrize("weights", ["bf16", "int8"])
@pytest.mark.parametrize("name", ["GPT-2", "GPT-1", "odd sizes", "one wide head", "dense,banded", "strided"])
def test_a_text_read_in_parts_is_the_same_to_the_bit(
    name: str, weights: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = prepared(made(MODELS[name]).to(torch.bfloat16), weights)
    (ids,) = texts(1, MODELS[name].n_vocab)
    cache, scores = read(native, ids)
    for size in (1, 2, 5, 16, 33):
        monkeypatch.setattr("gptrilogy.generation.native_decoding.READ_TOKENS", size)
        again, same = read(native, ids)
        assert torch.equal(same, scores)
        assert all(map(torch.equal, again.keys + again.values, cache.keys + cache.values))


@pytest.mark.parametrize("weights", ["bf16", "int8"])
@pytest.mark.parametrize("name", ["strided", "fixed,banded,strided"])
def test_where_not_all_is_seen_a_text_read_is_a_text_written_to_the_bit(name: str, weights: Format) -> None:
    model = made(MODELS[name]).to(torch.bfloat16)
    native, (ids,) = prepared(model, weights), texts(1, MODELS[name].n_vocab)
    assert torch.equal(read(native, ids)[1], step_by_step(NativeRows(native), model, [ids], n_prompt=0)[0, -1])


def test_what_is_read_in_int8_goes_on_as_what_is_written() -> None:
    """Apart from the rounding of attention's shares to bf16."""
    model = made(SMALL).to(torch.bfloat16)
    native, (ids,) = prepared(model, "int8"), texts(1, SMALL.n_vocab)
    written = step_by_step(NativeRows(native), model, [ids], n_prompt=0)[0, -1]
    torch.testing.assert_close(read(native, ids)[1], written, rtol=0, atol=2e-2 * float(written.abs().max()))


def rounded_to_int8(model: GPT) -> GPT:
    """The same model with the weights that the kernel computes with in int8."""
    linears = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for weight in linears:
            weight.copy_(unpacked(*packed_int8(weight), *weight.shape))
    return model


@pytest.mark.parametrize("name", ["GPT-2", "GPT-1", "odd sizes"])
def test_int8_is_a_model_of_rounded_weights(name: str) -> None:
    """What is left is the rounding of activations: 1 part in 254 of the largest of 64, at every product."""
    model, config = made(MODELS[name]), MODELS[name]
    ids = texts(3, config.n_vocab)
    found = step_by_step(NativeRows(prepared(model.to(torch.bfloat16), "int8")), model, ids)
    expected = at_once(rounded_to_int8(model.float()), ids)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-2 * float(expected.abs().max()))


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("name", ["GPT-2", "odd sizes", "fixed,banded,strided"])
def test_a_row_is_the_same_in_any_company_to_the_bit(name: str, weights: Format) -> None:
    config = MODELS[name].replace(n_layer=2)
    model = made(config)
    model = model if weights == "fp32" else model.to(torch.bfloat16)
    native, ids = prepared(model, weights), texts(40, config.n_vocab, length=9)
    everyone = step_by_step(NativeRows(native), model, ids)
    for count in (1, 2, 3, 4, 5, 17, 33):
        assert torch.equal(step_by_step(NativeRows(native), model, ids[:count]), everyone[:count])
    assert torch.equal(step_by_step(NativeRows(native), model, ids[::-1]), everyone.flip(0))


@pytest.mark.parametrize("weights", FORMATS)
def test_the_number_of_threads_changes_no_bit(weights: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(SMALL)
    model = model if weights == "fp32" else model.to(torch.bfloat16)
    native, ids = prepared(model, weights), texts(3, SMALL.n_vocab, length=6)
    found: list[Tensor] = []
    monkeypatch.setattr("gptrilogy.generation.native_decoding.THREAD_BYTES", 1)
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(step_by_step(NativeRows(native), model, ids, n_prompt=0))
        if weights != "fp32":  # which PyTorch reads
            found[-1] = torch.cat([found[-1].flatten(), read(native, ids[0] * 6)[1]])
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_rows_come_and_go() -> None:
    """The last row moves into a gap, and a row may begin again."""
    model = made(SMALL)
    rows, ids = NativeRows(prepared(model, "fp32")), texts(3, SMALL.n_vocab, length=12)
    step_by_step(rows, model, [text[:6] for text in ids])
    rows.remove(0)
    assert [rows.length(row) for row in range(2)] == [6, 6]
    with torch.inference_mode():
        last, middle = (scores.clone() for scores in rows.next([ids[2][6], ids[1][6]]))
        torch.testing.assert_close(last, model(torch.tensor([ids[2][:7]]))[0, -1], rtol=0, atol=1e-4)
        torch.testing.assert_close(middle, model(torch.tensor([ids[1][:7]]))[0, -1], rtol=0, atol=1e-4)
        rows.restart(0, None)
        again, _ = rows.next([5, 6])
        torch.testing.assert_close(again, model(torch.tensor([[5]]))[0, -1], rtol=0, atol=1e-4)


def test_a_full_cache_is_our_own_bug() -> None:
    model = made(SMALL)
    rows = NativeRows(prepared(model, "fp32"))
    rows.append(KVCache(SMALL, 1, like=model.wte.weight.detach(), capacity=1), 1)
    rows.next([3])
    with pytest.raises(AssertionError, match="write past a cache"):
        rows.next([3])


def test_a_position_past_the_context_is_our_own_bug() -> None:
    rows = NativeRows(prepared(made(SMALL), "fp32"))
    rows.append(KVCache(SMALL, 1, like=torch.empty(0), capacity=1), SMALL.n_ctx + 1)
    for _ in range(SMALL.n_ctx):
        rows.next([3])
    with pytest.raises(AssertionError, match="read past all positions"):
        rows.next([3])


@pytest.mark.parametrize("token", [-1, 257, 2**31])
def test_a_token_outside_the_vocabulary_is_refused(token: int) -> None:
    rows = NativeRows(prepared(made(SMALL), "fp32"))
    for _ in range(2):
        rows.append(KVCache(SMALL, 1, like=torch.empty(0), capacity=1), 1)
    with pytest.raises(IndexError, match=rf"ids from 0 to 256, got {min(3, token)} to {max(3, token)}"):
        rows.next([3, token])


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["attn.c_attn.bias", "mlp.c_fc.bias", "attn.c_attn.weight"])
def test_what_is_not_finite_stays_so(name: str, bad: float, weights: Format) -> None:
    """A damaged query must not end as a text that looks like any other."""
    model = made(SMALL)
    with torch.no_grad():
        model.h[1].get_parameter(name)[5] = bad
    model = model if weights == "fp32" else model.to(torch.bfloat16)
    rows = NativeRows(prepared(model, weights))
    assert not step_by_step(rows, model, texts(2, SMALL.n_vocab, length=3), n_prompt=0).isfinite().any()


def test_no_rows_have_no_logits() -> None:
    assert NativeRows(prepared(made(SMALL), "fp32")).next([]) == []


@pytest.mark.parametrize("pattern", [Dense(), Banded(6), Strided(5), Fixed(5, 2, 2)], ids=str)
def test_a_place_says_in_numbers_what_slots_say_in_slices(pattern: Pattern) -> None:
    n_head = 3
    for position in range(37):
        slots = slots_of(pattern, 37)
        n, *rest = place(slots, position)
        writes, runs = [rest[:3], rest[3:6]], [rest[6:9], rest[9:]]
        written = {(h, slot) for head, step, slot in writes for h in range(head, n_head, step) if slot >= 0}
        expected = {
            (h, range(n)[where][0] if isinstance(where, slice) else where[0])
            for heads, where, _ in slots.written(position, 1)
            for h in range(n_head)[heads]
        }
        assert (n, written) == (slots.n, expected)
        read = [start + i * step for start, count, step in runs for i in range(count)]
        assert read == [slot for part in slots.read(position) for slot in range(n)[part]]


def test_weights_in_fp32_are_read_where_they_are_and_others_copied() -> None:
    model = made(SMALL)
    native = prepared(model, "fp32")
    ids = texts(1, SMALL.n_vocab, length=4)
    before = step_by_step(NativeRows(native), model, ids)
    with torch.no_grad():
        model.h[0].get_parameter("mlp.c_fc.weight").mul_(2)
    assert not torch.equal(step_by_step(NativeRows(native), model, ids), before)


def written_to(model: GPT) -> None:
    with torch.no_grad():
        model.h[0].get_parameter("mlp.c_fc.weight").mul_(2)


def loaded(model: GPT) -> None:
    model.load_state_dict({name: 2 * weight for name, weight in model.state_dict().items()})


def replaced(model: GPT) -> None:
    linear = model.get_submodule("h.0.mlp.c_fc")
    linear.register_parameter("bias", torch.nn.Parameter(linear.get_parameter("bias") + 1))


@pytest.mark.parametrize("change", [written_to, loaded, replaced, GPT.double])
@pytest.mark.parametrize("weights", FORMATS)
def test_other_weights_are_noticed(change: Callable[[GPT], object], weights: Format) -> None:
    model = made(SMALL) if weights == "fp32" else made(SMALL).to(torch.bfloat16)
    native = prepared(model, weights)
    assert native.is_current
    change(model)
    assert not native.is_current


def test_a_model_without_gradients_is_prepared_once() -> None:
    with torch.inference_mode():
        assert prepared(made(SMALL), "fp32").is_current


def test_weights_are_rounded_to_int8_beside_bf16_alone() -> None:
    with pytest.raises(ConfigError, match=r"need a model in bf16.* this one is in torch.float32: call"):
        native_model(made(SMALL), int8=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_precisions_stay_in_pytorch(dtype: torch.dtype) -> None:
    assert native_model(made(SMALL).to(dtype)) is None


def test_without_a_compiler_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(native_model_module, "compiled", nothing)
    assert native_model(made(SMALL)) is None


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are levels of x86-64")
@pytest.mark.parametrize("level", ["x86-64", "x86-64-v3", "x86-64-v4", "x86-64-v4 -mavx512vnni -mavx512bf16"])
def test_code_for_lesser_processors_gives_the_same(level: str, tmp_path: Path, has: Callable[[str], bool]) -> None:
    """Their vectors are narrower and their dot products others, so bits may differ; int8 sums are whole, and do not."""
    if not has(level):
        pytest.skip(f"this processor is less than {level}")
    compiler = shutil.which("c++")
    assert compiler is not None
    source = Path(building.__file__).with_name("decoding.cpp")
    first, *others = level.split()
    building.build([compiler], source, tmp_path / "lesser.so", f"-march={first}", *others)
    lesser = ctypes.CDLL(str(tmp_path / "lesser.so"))
    ids = texts(6, SMALL.n_vocab, length=20)
    for weights in FORMATS:
        model = made(SMALL)
        model = model if weights == "fp32" else model.to(torch.bfloat16)
        here = step_by_step(NativeRows(prepared(model, weights)), model, ids)
        there = step_by_step(NativeRows(NativeModel(model, weights, lesser)), model, ids)
        tolerance = 1e-4 if weights == "fp32" else 2e-2
        torch.testing.assert_close(there, here, rtol=0, atol=tolerance * float(here.abs().max()))


@pytest.fixture
def has() -> Callable[[str], bool]:
    """Whether this processor can do what a level of x86-64 may use."""
    fields = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    flags = set(next(line for line in fields.splitlines() if line.startswith("flags")).split())

    def can(level: str) -> bool:
        needed = {"x86-64-v3": {"avx2", "fma"}, "x86-64-v4": {"avx512f", "avx512bw", "avx512vl"}}
        extra = {"avx512_vnni", "avx512_bf16"} if "vnni" in level else set[str]()
        return needed.get(level.split(maxsplit=1)[0], set[str]()) | extra <= flags

    return can
