"""A profile of training steps as tables for people, and as one JSON document."""

import os
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from gptrilogy.cli.output import print_json, print_note, print_table, print_text, size

if TYPE_CHECKING:
    from gptrilogy.training.profile_memory import Memory
    from gptrilogy.training.profiling import PartTime, Profile

PLANNED_AS = {"the optimizer's moments": "Adam's two moments"}
LEAST_SHOWN = 0.001  # of the peak, for the activations of a part


def silence_tracing() -> None:
    """Keep PyTorch's tracing from talking on stderr; it asks for this as it is imported."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def print_profile(found: "Profile", *, json: bool) -> None:
    if json:
        print_json(as_json(found))
        return
    more, watching = f"{found.watched_s / found.step_s - 1:+.1%}", _ms(found.watching_s)
    print_table(
        f"a step of {found.tokens:,} tokens: {_ms(found.step_s)} ms, {found.tokens / found.step_s:,.0f} tokens/s; "
        f"taken apart {_ms(found.watched_s)} ms ({more}), {watching} ms of that the profiling itself",
        _time_rows(found),
    )
    print_text(
        f"  ceilings: {found.flops_per_s / 1e9:,.0f} GFLOP/s of matrix products, {found.bytes_per_s / 1e9:,.1f} GB/s "
        "of memory (a part whose data is still in the cache can be above it)"
    )
    memory, names = found.memory, [part.name for part in found.parts]
    print_table(
        f"memory of tensors at the peak, in {label(memory.peak_part, names)}, {memory.peak_phase}: "
        f"{size(memory.peak_bytes)}; planned {size(sum(memory.planned.values()))}",
        _memory_rows(memory),
    )
    print_note("nothing was trained or kept: leave --profile out to train")


def as_json(found: "Profile") -> dict[str, Any]:
    """The same numbers: seconds, operations, bytes, and shares of the step without what watching it took."""
    whole_s = found.watched_s - found.watching_s
    memory = found.memory
    return {
        "tokens": found.tokens,
        "step_s": found.step_s,
        "tokens_per_s": found.tokens / found.step_s,
        "watched_s": found.watched_s,
        "watching_s": found.watching_s,
        "flops_per_s": found.flops_per_s,
        "bytes_per_s": found.bytes_per_s,
        "parts": [
            {
                "name": part.name,
                "forward_s": part.seconds.get("forward", 0.0),
                "backward_s": part.seconds.get("backward", 0.0),
                "other_s": part.seconds.get("other", 0.0),
                "share": part.total_s / whole_s,
                "flops": part.work.flops,
                "moved_bytes": part.work.moved_bytes,
                "of_ceiling": part.best_s / part.total_s if part.best_s else None,
            }
            for part in found.parts
        ],
        "memory": {
            "peak_bytes": memory.peak_bytes,
            "peak_part": memory.peak_part,
            "peak_phase": memory.peak_phase,
            "by_part": dict(memory.by_part),
            "activations_by_part": dict(memory.activations_by_part),
            "planned": dict(memory.planned),
        },
    }


def label(name: str, beside: Collection[str]) -> str:
    """What a part is called; one without its inner parts beside it has done their work too.

    >>> label("mlp", ["mlp.c_fc", "mlp.c_proj"]), label("mlp", ["attn"]), label("h", [])
    ('gelu', 'mlp, as one', 'blocks, as one')
    """
    match name:
        case "h":
            return "residual sums" if {"attn", "mlp"} & {*beside} else "blocks, as one"
        case "attn":
            return "attention itself" if "attn.c_attn" in beside else "attn, as one"
        case "mlp":
            return "gelu" if "mlp.c_fc" in beside else "mlp, as one"
        case _:
            return name


def _time_rows(found: "Profile") -> Iterator[tuple[str, ...]]:
    yield "", "forward ms", "backward ms", "other ms", "share", "work", "of ceiling"
    whole_s, names = found.watched_s - found.watching_s, [part.name for part in found.parts]
    for part in found.parts:
        phases = [_ms(part.seconds.get(phase, 0.0)) for phase in ("forward", "backward", "other")]
        ceiling = f"{part.best_s / part.total_s:.0%}" if part.best_s else ""
        yield label(part.name, names), *phases, f"{part.total_s / whole_s:.1%}", _work(part), ceiling
    sums = [sum(part.seconds.get(phase, 0.0) for part in found.parts) for phase in ("forward", "backward", "other")]
    flops, best_s = sum(part.work.flops for part in found.parts), sum(part.best_s for part in found.parts)
    yield "together", *map(_ms, sums), "100%", f"{flops / 1e9:,.3g} GFLOP", f"{best_s / whole_s:.0%}"


def _work(part: "PartTime") -> str:
    """Operations, or bytes where a part has no matrix product."""
    if part.work.flops:
        return f"{part.work.flops / 1e9:,.3g} GFLOP"
    return size(part.work.moved_bytes) if part.work.moved_bytes else ""


def _memory_rows(memory: "Memory") -> Iterator[tuple[str, ...]]:
    yield "", "at the peak", "planned"
    for name, found in memory.by_part.items():
        planned = memory.planned.get(PLANNED_AS.get(name, name))
        yield name, size(found), "" if planned is None else size(planned)
        if name != "activations":
            continue
        for part, kept in memory.activations_by_part.items():
            if kept >= LEAST_SHOWN * memory.peak_bytes:
                yield f"  {label(part, memory.activations_by_part)}", size(kept)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f}" if seconds else ""
